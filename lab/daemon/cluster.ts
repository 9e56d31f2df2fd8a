/** The objects that the lab's nodes work on, kept up to date from the API server. */
import type { Logger } from '../../common/core/log.ts';
import type { KubeClient } from '../../common/kube/client/client.ts';
import { createInformer, type Informer } from '../../common/kube/informer.ts';
import {
  type ConfigMap,
  configMapKind,
  type Pod,
  podKind,
  type Secret,
  type Service,
  secretKind,
  serviceKind,
} from '../../common/kube/kinds/core.ts';
import { type EndpointSlice, endpointSliceKind } from '../../common/kube/kinds/discovery.ts';
import type { Kind, KubeObject } from '../../common/kube/types.ts';

export interface Cluster {
  readonly source: KubeClient;
  readonly pods: Informer<Pod>;
  readonly services: Informer<Service>;
  readonly endpointSlices: Informer<EndpointSlice>;
  readonly configMaps: Informer<ConfigMap>;
  readonly secrets: Informer<Secret>;
  /** Calls `listener` after every change of any collection. */
  onChange(listener: (kind: string) => void): void;
  /** Resolves when the condition holds; looked at after every change. */
  until(condition: () => boolean, signal: AbortSignal): Promise<void>;
}

/** Resolves when every collection has been listed once. */
export async function openCluster(source: KubeClient, log: Logger, signal: AbortSignal): Promise<Cluster> {
  const listeners = new Set<(kind: string) => void>();
  const collection = <T extends KubeObject>(kind: Kind<T>): Informer<T> => {
    const changed = () => {
      for (const listener of [...listeners]) listener(kind.kind);
    };
    const handlers = { added: changed, modified: changed, deleted: changed };
    return createInformer({ source, kind, log, signal, handlers });
  };
  const informers = {
    pods: collection(podKind),
    services: collection(serviceKind),
    endpointSlices: collection(endpointSliceKind),
    configMaps: collection(configMapKind),
    secrets: collection(secretKind),
  };
  await Promise.all(Object.values(informers).map((i) => i.synced));
  return {
    source,
    ...informers,
    onChange: (listener) => void listeners.add(listener),
    until(condition, until) {
      return new Promise((resolve, reject) => {
        const look = () => {
          if (!condition()) return;
          listeners.delete(look);
          resolve();
        };
        until.addEventListener('abort', () => {
          listeners.delete(look);
          reject(until.reason as Error);
        });
        listeners.add(look);
        look();
      });
    },
  };
}
