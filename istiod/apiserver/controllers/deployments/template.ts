/** Which ReplicaSet is a Deployment's present one, and how a new one is called. Pure. */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Deployment, PodTemplate } from '../../../../common/kube/kinds/apps.ts';
import { controllerRef } from '../replicas/claim.ts';
import type { Draft } from '../runtime/writer.ts';
import type { ReplicaSet } from '../types.ts';
import type { ScaledSet } from './rollout.ts';

export const hashLabel = 'pod-template-hash';
export const revisionAnnotation = 'deployment.kubernetes.io/revision';
const desiredAnnotation = 'deployment.kubernetes.io/desired-replicas';
const maxAnnotation = 'deployment.kubernetes.io/max-replicas';
/** Of the Deployment alone. */
const notCopied = [
  'kubectl.kubernetes.io/last-applied-configuration',
  revisionAnnotation,
  desiredAnnotation,
  maxAnnotation,
  'deprecated.deployment.rollback.to',
];

/** Letters that Kubernetes takes for generated parts of names: none that spells something. */
const letters = 'bcdfghjklmnpqrstvwxz2456789';

/** `collisions` makes another one of the same template. The same for objects whose members come in another order. */
export function templateHash(template: unknown, collisions: number): string {
  const digest = createHash('sha256')
    .update(`${collisions}/${stable(template)}`)
    .digest();
  return [...digest.subarray(0, 10)].map((b) => letters[b % letters.length]).join('');
}

function stable(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(stable).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value).filter(([, v]) => v !== undefined);
  members.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([k, v]) => `${JSON.stringify(k)}:${stable(v)}`).join(',')}}`;
}

/** The oldest where several are. */
export function currentSet(deployment: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  const same = sets.filter((s) => sameTemplate(deployment.spec.template, s.spec.template));
  return same.sort(byAge)[0];
}

export function byAge(a: ReplicaSet, b: ReplicaSet): number {
  const order = (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? '');
  return order !== 0 ? order : revisionOf(a) - revisionOf(b);
}

function sameTemplate(a: PodTemplate, b: PodTemplate | undefined): boolean {
  return b !== undefined && isDeepStrictEqual(withoutHash(a), withoutHash(b));
}

function withoutHash({ metadata = {}, ...rest }: PodTemplate): object {
  const { [hashLabel]: _hash, ...labels } = metadata.labels ?? {};
  return { ...rest, metadata: { ...metadata, labels } };
}

export function revisionOf({ metadata }: ReplicaSet | Deployment): number {
  const n = Number(metadata.annotations?.[revisionAnnotation] ?? 0);
  return Number.isInteger(n) ? n : 0;
}

export function newSet(deployment: Deployment, replicas: number, revision: number, max: number): Draft {
  const { metadata, spec } = deployment;
  const hash = templateHash(spec.template, Number(deployment.status?.['collisionCount'] ?? 0));
  const { template } = spec;
  const labels = { ...template.metadata?.labels, [hashLabel]: hash };
  return {
    metadata: {
      name: `${metadata.name}-${hash}`,
      namespace: metadata.namespace ?? '',
      labels,
      annotations: annotationsFor(deployment, {}, revision, max),
      ownerReferences: [controllerRef(deployment)],
    },
    spec: {
      replicas,
      ...(spec['minReadySeconds'] === undefined ? {} : { minReadySeconds: spec['minReadySeconds'] }),
      selector: { ...spec.selector, matchLabels: { ...spec.selector.matchLabels, [hashLabel]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
}

/** How it was sized last; see `planScaled`. */
export function sizingOf({ metadata }: ReplicaSet): Pick<ScaledSet, 'desiredBefore' | 'allowedBefore'> {
  const numberAt = (name: string) => {
    const text = metadata.annotations?.[name];
    return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
  };
  return { desiredBefore: numberAt(desiredAnnotation), allowedBefore: numberAt(maxAnnotation) };
}

/** What `sizingOf` reads. */
export function sizingAnnotations(desired: number, max: number): Record<string, string> {
  return { [desiredAnnotation]: String(desired), [maxAnnotation]: String(max) };
}

/** Of the present ReplicaSet: the Deployment's, with what kubectl's history reads. */
export function annotationsFor(
  { metadata, spec }: Deployment,
  own: Readonly<Record<string, string>>,
  revision: number,
  max: number,
): Record<string, string> {
  const copied = Object.entries(metadata.annotations ?? {}).filter(([k]) => !notCopied.includes(k));
  return {
    ...own,
    ...Object.fromEntries(copied),
    [revisionAnnotation]: String(revision),
    ...sizingAnnotations(spec.replicas ?? 1, max),
  };
}
