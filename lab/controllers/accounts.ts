/** Every Namespace gets a ServiceAccount `default`, as Kubernetes makes one. */
import { MeshError } from '../../common/core/errors.ts';
import { serviceAccountKind } from '../../common/kube/kinds/core.ts';
import type { Cluster } from '../daemon/cluster.ts';

export async function ensureDefaultAccounts(cluster: Cluster): Promise<void> {
  for (const { metadata } of cluster.namespaces.objects.values()) {
    await ensureAccount(cluster, metadata.name, 'default');
  }
}

export async function ensureAccount(cluster: Cluster, namespace: string, name: string): Promise<void> {
  if (cluster.serviceAccounts.get({ namespace, name }) !== undefined) return;
  try {
    const object = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name } };
    await cluster.source.create(serviceAccountKind, object);
  } catch (e) {
    // Somebody applied one, or the Namespace went, in the same moment.
    if (!(e instanceof MeshError) || (e.code !== 'CONFLICT' && e.code !== 'NOT_FOUND')) throw e;
  }
}
