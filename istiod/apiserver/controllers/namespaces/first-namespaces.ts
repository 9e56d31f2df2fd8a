/** The namespaces that every cluster has. */
import { MeshError } from '../../../../common/core/errors.ts';
import { namespaceKind } from '../../../../common/kube/kinds/core.ts';
import type { PartMaker } from '../../part.ts';

const names = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

export const firstNamespaces: PartMaker = ({ source }) => ({
  async start() {
    for (const name of names) {
      if ((await source.get(namespaceKind, { name })) !== undefined) continue;
      try {
        await source.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
      } catch (e) {
        // A client was quicker.
        if (!(e instanceof MeshError) || e.code !== 'CONFLICT') throw e;
      }
    }
  },
});
