/** The namespaces that every cluster has. */
import { MeshError } from '../../../../common/core/errors.ts';
import { namespaceKind } from '../../../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../../../common/kube/types.ts';
import type { PartMaker } from '../../part.ts';

const names = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

export const firstNamespaces: PartMaker = ({ source }) => ({
  async start() {
    await Promise.all(names.map((name) => ensure(source, name)));
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
