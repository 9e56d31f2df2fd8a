/**
 * Keeps ConfigMaps of istiod in every namespace, where pods mount them from: the roots as istio-ca-root-cert, and what a plugged-in CA has
 * revoked as istio-ca-crl. Also in namespaces that come later, and repairs copies that somebody changed or removed.
 */
import { millis } from '../../../common/core/brand.ts';
import { type Clock, sleep } from '../../../common/core/clock.ts';
import { describeError, MeshError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { createInformer, keyOf } from '../../../common/kube/informer.ts';
import { type ConfigMap, configMapKind, type Namespace, namespaceKind } from '../../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../../common/kube/types.ts';

export const rootsMap = { name: 'istio-ca-root-cert', key: 'root-cert.pem' } as const;
export const revocationMap = { name: 'istio-ca-crl', key: 'ca-crl.pem' } as const;

/** One key of one ConfigMap. */
export interface PublishedText {
  readonly name: string;
  readonly key: string;
  /** undefined: nothing is published, and what is there stays. */
  readonly text: () => string | undefined;
}

export interface NamespacePublisherOptions {
  readonly source: KubeSource;
  readonly texts: readonly PublishedText[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface NamespacePublisher {
  /** After a text changed. */
  republish(): void;
}

/** Writes at a time. */
const writers = 8;
const retryDelay = millis(5_000);

export function publishInNamespaces(options: NamespacePublisherOptions): NamespacePublisher {
  const { source, texts, clock, log, signal } = options;
  const due = new Set<string>();
  let running = 0;
  let ready = false;

  const ensure = async (namespace: string, { name, key, text }: PublishedText): Promise<void> => {
    const wanted = text();
    const present = maps.get({ namespace, name });
    if (wanted === undefined || present?.data?.[key] === wanted) return;
    if (present !== undefined) {
      await source.patch(configMapKind, { namespace, name }, { data: { [key]: wanted } });
      return;
    }
    const metadata = { name, namespace, labels: { 'istio.io/config': 'true' } };
    await source.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [key]: wanted } });
  };

  const work = async (): Promise<void> => {
    for (const namespace of due) {
      due.delete(namespace);
      if (signal.aborted) return;
      const found = namespaces.get({ name: namespace });
      // Nothing can be made in a namespace that ends.
      if (found === undefined || isEnding(found)) continue;
      try {
        for (const text of texts) await ensure(namespace, text);
      } catch (e) {
        // Another istiod was quicker, or the namespace went away: that change brings us back.
        if (signal.aborted || (e instanceof MeshError && (e.code === 'NOT_FOUND' || e.code === 'CONFLICT'))) continue;
        log.warn('cannot publish the roots; trying again', { namespace, error: describeError(e) });
        void sleep(clock, retryDelay, signal).then(() => reconcile(namespace));
      }
    }
  };

  const reconcile = (namespace: string): void => {
    if (signal.aborted || !ready) return;
    due.add(namespace);
    if (running >= writers) return;
    running++;
    void work().finally(() => running--);
  };

  const all = (): void => {
    for (const { metadata } of namespaces.objects.values()) reconcile(metadata.name);
  };

  const published = new Set(texts.map((t) => t.name));
  const onMap = ({ metadata }: ConfigMap): void => {
    if (metadata.namespace !== undefined && published.has(metadata.name)) reconcile(metadata.namespace);
  };
  const namespaces = createInformer({
    source,
    kind: namespaceKind,
    log,
    signal,
    clock,
    handlers: { added: (n) => reconcile(keyOf(n.metadata)) },
  });
  const maps = createInformer({
    source,
    kind: configMapKind,
    log,
    signal,
    clock,
    handlers: { modified: onMap, deleted: onMap },
  });
  void Promise.all([namespaces.synced, maps.synced]).then(() => {
    ready = true;
    all();
  });
  return { republish: all };
}

function isEnding({ metadata, status }: Namespace): boolean {
  return metadata.deletionTimestamp !== undefined || status?.phase === 'Terminating';
}

/** What the workloads of this namespace trust now. */
export async function publishedRoots(source: KubeSource, namespace: string): Promise<string | undefined> {
  return (await source.get(configMapKind, { namespace, name: rootsMap.name }))?.data?.[rootsMap.key];
}
