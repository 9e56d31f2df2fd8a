/** What a migration looks at, in a cluster. */
import { deploymentKind } from '../../common/kube/kinds/apps.ts';
import { configMapKind, namespaceKind, podKind, secretKind, serviceKind } from '../../common/kube/kinds/core.ts';
import { customResourceDefinitionKind } from '../../common/kube/kinds/extension.ts';
import { customKinds } from '../../common/kube/schema/table.ts';
import { daemonSetKind } from '../../common/kube/schema/workloads.ts';
import type { Kind, KubeObject } from '../../common/kube/types.ts';
import { mutatingWebhooks, validatingWebhooks } from '../../istiod/validation/ca-bundle.ts';
import type { Cluster } from '../access/cluster.ts';
import { readCluster } from '../cluster.ts';
import { tell } from '../print.ts';
import { factsOf } from './parts.ts';

const everywhere = [
  ...[namespaceKind, podKind, serviceKind, deploymentKind, daemonSetKind, customResourceDefinitionKind],
  ...[mutatingWebhooks, validatingWebhooks, ...customKinds.map((c) => c.kind)],
] as readonly Kind[];

/** MeshError where the server is not reached; what may not be read is told. */
export async function readMesh({ client, istioNamespace }: Cluster): Promise<readonly KubeObject[]> {
  tell('reading the cluster');
  const { objects, problems } = await readCluster(client, everywhere);
  for (const problem of problems) tell(problem);
  // Elsewhere Secrets and ConfigMaps are nobody's business.
  const places = new Set([istioNamespace, ...factsOf(objects, istioNamespace).parts.map((p) => p.namespace)]);
  const { signal } = new AbortController();
  const own = [...places].flatMap((namespace) =>
    ([secretKind, configMapKind] as readonly Kind[]).map(async (kind) => {
      const within = { namespace };
      const source = { list: (k: Kind) => client.list(k, signal, { within }) } as unknown as Pick<
        typeof client,
        'list'
      >;
      const read = await readCluster(source, [kind]);
      for (const problem of read.problems) tell(problem);
      return read.objects.map((o) => ({ ...o, apiVersion: 'v1', kind: kind.kind }));
    }),
  );
  return [...objects, ...(await Promise.all(own)).flat()];
}
