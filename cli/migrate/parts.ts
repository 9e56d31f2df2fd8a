/** What of a mesh is installed in a cluster, of its objects. Pure. */
import type { Pod } from '../../common/kube/kinds/core.ts';
import {
  defaultRevision,
  defaultValidator,
  type Revisions,
  revisionLabel,
  revisionsOf,
  tagLabel,
} from '../../common/kube/revisions.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { type Release, releaseIn } from './release.ts';

export type PartName = 'istiod' | 'cni' | 'ztunnel' | 'waypoint' | 'gateway';

export interface Part {
  readonly part: PartName;
  /** Of this program, not Istio. */
  readonly isOurs: boolean;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Tag of its image. */
  readonly version: string;
  readonly revision: string;
  readonly env: Readonly<Record<string, string>>;
  /** Of its pods as many as are wanted are ready, and one at least. */
  readonly isReady: boolean;
}

export interface MeshNamespace {
  readonly name: string;
  readonly mode: 'sidecar' | 'ambient' | 'none';
  readonly revision: string | undefined;
  /** Names of its pods with a sidecar. */
  readonly sidecars: readonly string[];
  /** Of its pods that belong to the mesh, those whose traffic is not captured yet. */
  readonly uncaptured: readonly string[];
}

export interface Facts {
  /** Where istiod is. */
  readonly istioNamespace: string;
  readonly parts: readonly Part[];
  readonly releases: readonly Release[];
  readonly namespaces: readonly MeshNamespace[];
  readonly revisions: Revisions;
  readonly objects: readonly KubeObject[];
}

interface Container {
  readonly name?: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}

interface Workload extends KubeObject {
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: { readonly spec?: { readonly containers?: readonly Container[] } };
  };
  readonly status?: Readonly<Record<string, number>>;
}

/** Programs of ours by what containers start: images may be anybody's copies. */
const own: Readonly<Record<string, PartName>> = {
  '/usr/local/bin/istiod': 'istiod',
  '/usr/local/bin/cni-agent': 'cni',
  '/usr/local/bin/ztunnel': 'ztunnel',
  '/usr/local/bin/waypoint': 'waypoint',
};
const sidecarStatus = 'sidecar.istio.io/status';

export function factsOf(objects: readonly KubeObject[], istioNamespace: string): Facts {
  const ofKind = (kind: string) => objects.filter((o) => o.kind === kind);
  const parts = objects.flatMap((o) =>
    o.kind === 'Deployment' || o.kind === 'DaemonSet' ? partOf(o as Workload) : [],
  );
  const istiod =
    parts.find((p) => p.part === 'istiod' && p.namespace === istioNamespace) ?? parts.find((p) => p.part === 'istiod');
  const place = istiod?.namespace ?? istioNamespace;
  const injected = new Set(
    ofKind('MutatingWebhookConfiguration').flatMap(({ metadata: { labels = {} } }) =>
      labels['app'] === 'sidecar-injector' ? [labels[tagLabel] ?? labels[revisionLabel] ?? ''] : [],
    ),
  );
  return {
    istioNamespace: place,
    parts: parts.sort((a, b) => order.indexOf(a.part) - order.indexOf(b.part)),
    releases: newest(ofKind('Secret').flatMap((s) => releaseIn(s) ?? [])),
    namespaces: ofKind('Namespace').map((n) => namespaceOf(n, ofKind('Pod') as unknown as readonly Pod[], injected)),
    revisions: revisionsOf({
      services: ofKind('Service').filter(
        (s) => s.metadata.namespace === place && s.metadata.labels?.[tagLabel] !== undefined,
      ),
      webhooks: ofKind('MutatingWebhookConfiguration'),
      validator: ofKind('ValidatingWebhookConfiguration').find((v) => v.metadata.name === defaultValidator),
    }),
    objects,
  };
}

const order: readonly PartName[] = ['istiod', 'cni', 'ztunnel', 'waypoint', 'gateway'];

function newest(all: readonly Release[]): readonly Release[] {
  const latest = new Map<string, Release>();
  for (const release of all) {
    const key = `${release.namespace}/${release.name}`;
    if ((latest.get(key)?.version ?? 0) < release.version) latest.set(key, release);
  }
  return [...latest.values()].filter((r) => r.status !== 'uninstalled');
}

function partOf(workload: Workload): readonly Part[] {
  const { kind, metadata, spec, status = {} } = workload;
  const labels = metadata.labels ?? {};
  for (const container of spec?.template?.spec?.containers ?? []) {
    const ours = own[container.command?.[0] ?? ''];
    const part = ours ?? theirs(container, labels, kind);
    if (part === undefined) continue;
    const env = Object.fromEntries(
      (container.env ?? []).flatMap((e) => (e.value === undefined ? [] : [[e.name, e.value]])),
    );
    const wanted = kind === 'DaemonSet' ? status['desiredNumberScheduled'] : (spec?.replicas ?? 1);
    const ready = status[kind === 'DaemonSet' ? 'numberReady' : 'readyReplicas'] ?? 0;
    return [
      {
        part,
        // Made for a Gateway by istiod: what runs there is the Gateway's own choice.
        isOurs: ours !== undefined,
        kind,
        namespace: metadata.namespace ?? 'default',
        name: metadata.name,
        version: /:([^/:@]+)(@|$)/.exec(container.image ?? '')?.[1] ?? 'unknown',
        revision: labels[revisionLabel] ?? env['REVISION'] ?? defaultRevision,
        env,
        isReady: ready > 0 && ready >= (wanted ?? 1),
      },
    ];
  }
  return [];
}

/** Of Istio. */
function theirs(
  { name, image, args = [] }: Container,
  labels: Readonly<Record<string, string>>,
  kind: string,
): PartName | undefined {
  if (name === 'discovery' && args.includes('discovery')) return 'istiod';
  if (kind === 'DaemonSet' && labels['k8s-app'] === 'istio-cni-node' && name === 'install-cni') return 'cni';
  if (kind === 'DaemonSet' && args.includes('ztunnel')) return 'ztunnel';
  if (name !== 'istio-proxy') return undefined;
  if (args.includes('waypoint')) return 'waypoint';
  return args.includes('router') || image === 'auto' ? 'gateway' : undefined;
}

/** `injected`: revisions and tags whose pods are given sidecars. */
function namespaceOf(
  { metadata: { name, labels = {} } }: KubeObject,
  pods: readonly Pod[],
  injected: ReadonlySet<string>,
): MeshNamespace {
  const own = pods.filter((p) => p.metadata.namespace === name && isThere(p));
  const sidecars = own.filter(
    ({ metadata: { annotations = {} } }) =>
      annotations[sidecarStatus] !== undefined && annotations['inject.istio.io/templates'] !== 'gateway',
  );
  const mode = labels['istio.io/dataplane-mode'];
  const revision = labels[revisionLabel];
  const injects = labels['istio-injection'] === 'enabled' || (mode !== 'ambient' && injected.has(revision ?? ''));
  const enrolled = mode === 'ambient' ? own.filter((p) => mayEnter(p) && !sidecars.includes(p)) : [];
  return {
    name,
    mode: sidecars.length > 0 || injects ? 'sidecar' : mode === 'ambient' ? 'ambient' : 'none',
    revision,
    sidecars: sidecars.map((p) => p.metadata.name),
    uncaptured: enrolled
      .filter((p) => p.metadata.annotations?.['ambient.istio.io/redirection'] !== 'enabled')
      .map((p) => p.metadata.name),
  };
}

function isThere({ metadata, status }: Pod): boolean {
  return metadata.deletionTimestamp === undefined && status?.phase !== 'Succeeded' && status?.phase !== 'Failed';
}

function mayEnter({ metadata: { labels = {} }, spec }: Pod): boolean {
  return (
    labels['istio.io/dataplane-mode'] !== 'none' && (spec as { readonly hostNetwork?: boolean }).hostNetwork !== true
  );
}
