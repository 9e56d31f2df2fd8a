/** The objects that every cluster has: namespaces, and the Service by which pods reach the API server. */
import { MeshError } from '../../../common/core/errors.ts';
import { namespaceKind } from '../../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../../common/kube/types.ts';
import type { PartMaker } from '../part.ts';
import { ensureKubernetesService } from './services/kubernetes-service.ts';

const names = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

export const firstObjects: PartMaker = (core) => ({
  async start() {
    await Promise.all(names.map((name) => ensure(core.source, name)));
    await ensureKubernetesService(core);
  },
});

async function ensure(source: KubeSource, name: string): Promise<void> {
  if ((await source.get(namespaceKind, { name })) !== undefined) return;
  try {
    await source.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  } catch (e) {
    // A client was quicker.
    if (!(e instanceof MeshError) || e.code !== 'CONFLICT') throw e;
  }
}
