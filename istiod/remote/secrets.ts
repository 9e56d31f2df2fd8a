/** Which clusters the Secrets of istiod's namespace name (as `istioctl create-remote-secret` writes them). */
import type { Secret } from '../../common/kube/kinds/core.ts';

export const remoteLabel = 'istio/multiCluster';

export interface WantedCluster {
  /** `namespace/name`. */
  readonly secret: string;
  /** A kubeconfig. */
  readonly text: string;
}

export interface Wanted {
  readonly clusters: ReadonlyMap<string, WantedCluster>;
  /** What is not followed, and why. */
  readonly refused: readonly { readonly id: string; readonly secret: string; readonly reason: string }[];
}

export function isRemoteSecret({ metadata }: Secret): boolean {
  return metadata.labels?.[remoteLabel] === 'true';
}

/** Each key of such a Secret is a cluster's id. Of several with one id the Secret that is first by name counts. */
export function wantedClusters(secrets: Iterable<Secret>, ownId: string): Wanted {
  const clusters = new Map<string, WantedCluster>();
  const refused: { id: string; secret: string; reason: string }[] = [];
  const named = [...secrets]
    .filter(isRemoteSecret)
    .map((s) => [`${s.metadata.namespace}/${s.metadata.name}`, s] as const);
  for (const [secret, { data = {} }] of named.sort(([a], [b]) => (a < b ? -1 : 1))) {
    for (const [id, encoded] of Object.entries(data)) {
      const other = clusters.get(id);
      if (id === ownId) refused.push({ id, secret, reason: 'it has the name of this cluster (--clusterID)' });
      else if (other !== undefined) refused.push({ id, secret, reason: `Secret ${other.secret} names it, too` });
      else clusters.set(id, { secret, text: Buffer.from(encoded, 'base64').toString('utf8') });
    }
  }
  return { clusters, refused };
}
