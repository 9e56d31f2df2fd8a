/** Publishes the root in every namespace as ConfigMap istio-ca-root-cert, where pods mount it from. */
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { createInformer } from '../../common/kube/informer.ts';
import { configMapKind, namespaceKind } from '../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../common/kube/types.ts';

const name = 'istio-ca-root-cert';
const key = 'root-cert.pem';

export interface RootPublisherOptions {
  readonly source: KubeSource;
  readonly rootPem: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Also repairs copies that somebody changed or removed. */
export function publishRoot({ source, rootPem, log, signal }: RootPublisherOptions): void {
  const reconcile = (namespace: string): void => {
    if (signal.aborted || namespaces.get({ name: namespace }) === undefined) return;
    ensure(source, namespace, rootPem).catch((e: unknown) => {
      // The namespace went away, or another istiod was quicker: the next event brings us back.
      if (e instanceof MeshError && (e.code === 'NOT_FOUND' || e.code === 'CONFLICT')) return;
      log.warn('cannot publish the root certificate', { namespace, error: describeError(e) });
    });
  };
  const namespaces = createInformer({
    source,
    kind: namespaceKind,
    log,
    signal,
    handlers: { added: (n) => setImmediate(reconcile, n.metadata.name) },
  });
  const onConfigMap = (m: { metadata: { name: string; namespace?: string } }): void => {
    if (m.metadata.name === name && m.metadata.namespace !== undefined) reconcile(m.metadata.namespace);
  };
  createInformer({
    source,
    kind: configMapKind,
    log,
    signal,
    handlers: { modified: onConfigMap, deleted: onConfigMap },
  });
}

/** What the workloads of this namespace trust now. */
export async function publishedRoot(source: KubeSource, namespace: string): Promise<string | undefined> {
  return (await source.get(configMapKind, { namespace, name }))?.data?.[key];
}

async function ensure(source: KubeSource, namespace: string, rootPem: string): Promise<void> {
  const present = await source.get(configMapKind, { namespace, name });
  const data = { [key]: rootPem };
  if (present?.data?.[key] === rootPem) return;
  if (present !== undefined) await source.patch(configMapKind, { namespace, name }, { data });
  else {
    const metadata = { name, namespace, labels: { 'istio.io/config': 'true' } };
    await source.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data });
  }
}
