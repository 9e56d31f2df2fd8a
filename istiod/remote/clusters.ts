/** The other clusters whose endpoints this one's proxies reach: one for each kubeconfig in a Secret of istiod's namespace. */
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { ApiAccess } from '../../common/kube/client/access.ts';
import { parseRemoteKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { createInformer, type Informer } from '../../common/kube/informer.ts';
import { type Secret, secretKind } from '../../common/kube/kinds/core.ts';
import type { KubeObject, KubeSource } from '../../common/kube/types.ts';
import type { MeshSettings } from '../model/settings.ts';
import { RemoteCluster, type RemoteSink } from './cluster.ts';
import { isRemoteSecret, type WantedCluster, wantedClusters } from './secrets.ts';

export interface RemoteClustersOptions {
  readonly source: KubeSource;
  /** Where the Secrets are. */
  readonly namespace: string;
  readonly ownId: string;
  readonly connect: (access: ApiAccess) => KubeSource & { close(): void };
  readonly settings: () => MeshSettings;
  readonly faultOf: (object: KubeObject) => string | undefined;
  readonly sink: RemoteSink;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** As Istio's /debug/clusterz says it. */
export interface ClusterStatus {
  readonly id: string;
  readonly secretName: string;
  readonly syncStatus: 'synced' | 'syncing' | 'error';
  readonly error?: string;
}

interface Followed {
  readonly wanted: WantedCluster;
  readonly cluster: RemoteCluster;
  readonly source: { close(): void };
}

export class RemoteClusters {
  readonly #o: RemoteClustersOptions;
  readonly #secrets: Informer<Secret>;
  readonly #followed = new Map<string, Followed>();
  #faults: readonly ClusterStatus[] = [];

  constructor(options: RemoteClustersOptions) {
    this.#o = options;
    const { source, namespace, log, signal } = options;
    const changed = (secret: Secret, previous?: Secret) => {
      if (isRemoteSecret(secret) || (previous && isRemoteSecret(previous))) this.#follow();
    };
    const handlers = { added: changed, modified: changed, deleted: changed };
    this.#secrets = createInformer({ source, kind: secretKind, within: { namespace }, log, signal, trim, handlers });
    signal.addEventListener('abort', () => this.#end(), { once: true });
  }

  statuses(): readonly ClusterStatus[] {
    const followed = [...this.#followed].map(([id, { wanted, cluster }]): ClusterStatus => {
      const syncStatus = cluster.isSynced ? 'synced' : 'syncing';
      return { id, secretName: wanted.secret, syncStatus };
    });
    return [...followed, ...this.#faults];
  }

  /** Settings of this cluster are others now. */
  configured(): void {
    for (const { cluster } of this.#followed.values()) cluster.configured();
  }

  #follow(): void {
    const { ownId, log, signal } = this.#o;
    if (signal.aborted) return;
    const { clusters, refused } = wantedClusters(this.#secrets.objects.values(), ownId);
    for (const [id, { cluster, source }] of this.#followed) {
      if (clusters.has(id)) continue;
      cluster.leave();
      source.close();
      this.#followed.delete(id);
      log.info('another cluster is not followed any more', { cluster: id });
    }
    const faults = refused.map(({ id, secret, reason }) => faultOf(id, secret, reason));
    for (const [id, wanted] of clusters) {
      const known = this.#followed.get(id);
      if (known?.wanted.text === wanted.text) {
        this.#followed.set(id, { ...known, wanted });
        continue;
      }
      try {
        this.#open(id, wanted, known);
      } catch (e) {
        // One that was followed goes on with what its Secret said before.
        faults.push(faultOf(id, wanted.secret, describeError(e)));
      }
    }
    for (const { id, secretName, error } of faults)
      log.warn('another cluster cannot be followed', { cluster: id, secret: secretName, reason: error });
    this.#faults = faults;
  }

  #open(id: string, wanted: WantedCluster, known: Followed | undefined): void {
    const { connect, settings, faultOf: faultIn, sink, log } = this.#o;
    const source = connect(parseRemoteKubeconfig(`Secret ${wanted.secret}: ${id}`, wanted.text));
    known?.source.close();
    const before = known?.cluster;
    const cluster = new RemoteCluster({ id, source, settings, faultOf: faultIn, sink, log, before });
    this.#followed.set(id, { wanted, cluster, source });
    log.info('another cluster is followed', { cluster: id, secret: wanted.secret });
  }

  #end(): void {
    for (const { cluster, source } of this.#followed.values()) {
      cluster.end();
      source.close();
    }
  }
}

function faultOf(id: string, secretName: string, error: string): ClusterStatus {
  return { id, secretName, syncStatus: 'error', error };
}

/** Of other Secrets nothing is kept. */
function trim(secret: Secret): Secret {
  const { apiVersion, kind, metadata, data } = secret;
  const { name, namespace, uid, resourceVersion, labels } = metadata;
  const kept = { name, ...(namespace !== undefined && { namespace }), uid, resourceVersion };
  if (!isRemoteSecret(secret)) return { apiVersion, kind, metadata: kept };
  return { apiVersion, kind, metadata: { ...kept, labels: labels! }, ...(data && { data }) };
}
