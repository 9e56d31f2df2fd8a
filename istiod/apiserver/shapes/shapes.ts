/** Every built-in kind's shape, by the version that serves it. */
import { type Message, type Messages, parseShapes } from './notation.ts';
import { admissionregistration, authentication, authorization, certificates, rbac } from './tables/access.ts';
import { coordination, discovery, events, networking, node, scheduling, storage } from './tables/cluster.ts';
import { core } from './tables/core.ts';
import { corePods } from './tables/core-pods.ts';
import { coreVolumes } from './tables/core-volumes.ts';
import { apiextensions } from './tables/definitions.ts';
import { meta } from './tables/meta.ts';
import { apps, autoscalingV1, autoscalingV2, batch, policy } from './tables/workloads.ts';

const metaShapes = parseShapes(meta);
const coreShapes = parseShapes(`${core}${coreVolumes}${corePods}`, metaShapes);
const common: Messages = new Map([...metaShapes, ...coreShapes]);
const authenticationShapes = parseShapes(authentication, common);

const versions: ReadonlyMap<string, Messages> = new Map([
  ['meta.k8s.io/v1', metaShapes],
  ['v1', coreShapes],
  ['apps/v1', parseShapes(apps, common)],
  ['batch/v1', parseShapes(batch, common)],
  ['autoscaling/v1', parseShapes(autoscalingV1, common)],
  ['autoscaling/v2', parseShapes(autoscalingV2, common)],
  ['policy/v1', parseShapes(policy, common)],
  ['networking.k8s.io/v1', parseShapes(networking, common)],
  ['discovery.k8s.io/v1', parseShapes(discovery, common)],
  ['storage.k8s.io/v1', parseShapes(storage, common)],
  ['scheduling.k8s.io/v1', parseShapes(scheduling, common)],
  ['node.k8s.io/v1', parseShapes(node, common)],
  ['coordination.k8s.io/v1', parseShapes(coordination, common)],
  ['events.k8s.io/v1', parseShapes(events, common)],
  ['rbac.authorization.k8s.io/v1', parseShapes(rbac, common)],
  ['authentication.k8s.io/v1', authenticationShapes],
  ['authorization.k8s.io/v1', parseShapes(authorization, common)],
  ['apiextensions.k8s.io/v1', parseShapes(apiextensions, metaShapes)],
  ['certificates.k8s.io/v1', parseShapes(certificates, common)],
  [
    'admissionregistration.k8s.io/v1',
    parseShapes(admissionregistration, new Map([...common, ...authenticationShapes])),
  ],
]);

/** Kinds of meta.k8s.io that clients send and get under the version of the objects they are about. */
const everywhere: ReadonlySet<string> = new Set(['DeleteOptions', 'Status']);

/** undefined: not a built-in kind of this version. */
export function findShape(apiVersion: string, kind: string): Message | undefined {
  const messages = versions.get(apiVersion);
  const shape = messages?.get(kind);
  if (shape !== undefined) return shape;
  return everywhere.has(kind) ? metaShapes.get(kind) : undefined;
}

/** Every whole object among the shapes; for tests. */
export function* allKinds(): Generator<{
  readonly apiVersion: string;
  readonly kind: string;
  readonly shape: Message;
}> {
  for (const [apiVersion, messages] of versions) {
    for (const [kind, shape] of messages) {
      if (shape.fields[0]?.name === 'metadata' && !parts.has(kind)) yield { apiVersion, kind, shape };
    }
  }
}

/** Messages with metadata that are parts of kinds. */
const parts: ReadonlySet<string> = new Set([
  'PodTemplateSpec',
  'JobTemplateSpec',
  'PersistentVolumeClaimTemplate',
  'Status',
]);

export const listMeta: Message = metaShapes.get('ListMeta')!;
