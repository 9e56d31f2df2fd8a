/** Follows the objects of one other cluster, and tells what they come to for this one's proxies. */
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { createInformer, keyOf } from '../../common/kube/informer.ts';
import type { Gateway } from '../../common/kube/kinds/gateway-api/gateway.ts';
import type { KubeObject, KubeSource } from '../../common/kube/types.ts';
import type { Output } from '../model/ambient/context.ts';
import { type MeshInputs, meshKinds, tableOf } from '../model/ambient/inputs.ts';
import { Intake } from '../model/intake.ts';
import { RemoteIndex } from '../model/remote-index.ts';
import type { MeshSettings } from '../model/settings.ts';

/** Where it is told; undefined takes back. */
export interface RemoteSink {
  output(cluster: string, key: string, output: Output | undefined): void;
  gateway(cluster: string, key: string, gateway: Gateway | undefined): void;
}

export interface RemoteClusterOptions {
  readonly id: string;
  readonly source: KubeSource;
  /** Of this cluster, at this moment. */
  readonly settings: () => MeshSettings;
  /** What is wrong with an object of a kind that is known by a definition. */
  readonly faultOf: (object: KubeObject) => string | undefined;
  readonly sink: RemoteSink;
  readonly log: Logger;
  /** Whose place it takes: what that told holds until this one knows all. */
  readonly before: RemoteCluster | undefined;
}

/** Policies, routes and ServiceEntries are read in the own cluster alone. */
const read: readonly (keyof MeshInputs)[] = [
  'namespaces',
  'nodes',
  'pods',
  'services',
  'slices',
  'gateways',
  'gatewayClasses',
];
/** Ms of computing before others have a turn. */
const longestTurn = 4;

export class RemoteCluster {
  readonly #stop = new AbortController();
  readonly #index: RemoteIndex;
  #synced = false;
  #scheduled = false;

  constructor({ id, source, settings, faultOf, sink, log, before }: RemoteClusterOptions) {
    this.#index = new RemoteIndex({
      clusterId: id,
      settings,
      onFailure: ({ what, key, error }) =>
        log.error('an object of another cluster cannot be announced; what was announced of it stays', {
          cluster: id,
          what,
          key,
          error: describeError(error),
        }),
      onOutput: (key, output) => sink.output(id, key, output),
      onGateway: (key, gateway) => sink.gateway(id, key, gateway),
      before: before?.end(),
    });
    const signal = this.#stop.signal;
    const informers = meshKinds
      .filter((m) => read.includes(m.input))
      .map((mesh) => {
        const intake = new Intake<KubeObject>({
          table: tableOf(this.#index.inputs, mesh),
          gate: { isDiscovered: () => true, revision: undefined },
          faultOf: (object) => (mesh.isCustom ? faultOf(object) : undefined),
          onVerdict: () => undefined,
        });
        const put = (object: KubeObject) => {
          const key = keyOf(object.metadata);
          try {
            intake.put(key, object);
          } catch (e) {
            const about = { cluster: id, kind: mesh.kind.kind, object: key, error: describeError(e) };
            log.error('an object of another cluster is not understood', about);
          }
          this.#schedule();
        };
        const deleted = (object: KubeObject) => {
          intake.remove(keyOf(object.metadata));
          this.#schedule();
        };
        const handlers = { added: put, modified: put, deleted };
        return createInformer({ source, kind: mesh.kind, log, signal, trim: mesh.trim, handlers });
      });
    void Promise.all(informers.map((i) => i.synced)).then(() => {
      this.#synced = true;
      log.info('another cluster is known', { cluster: id });
      this.#schedule();
    });
  }

  get isSynced(): boolean {
    return this.#synced;
  }

  /** Settings of this cluster are others now. */
  configured(): void {
    this.#index.configured();
    this.#schedule();
  }

  /** What it told is left to whoever takes its place. */
  end(): RemoteIndex {
    this.#stop.abort();
    return this.#index;
  }

  /** What it told is taken back. */
  leave(): void {
    this.end().withdraw();
  }

  #schedule(): void {
    if (this.#scheduled || !this.#synced) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn(this.#index.compute()));
  }

  #turn(work: Generator<void>): void {
    if (this.#stop.signal.aborted) return;
    const started = performance.now();
    while (!work.next().done) {
      if (performance.now() - started < longestTurn) continue;
      setImmediate(() => this.#turn(work));
      return;
    }
    this.#scheduled = false;
    if (this.#index.isDirty) this.#schedule();
    else this.#index.settle();
  }
}
