/** `aquifer x describe pod` and `service`. */
import { MeshError } from '../../common/core/errors.ts';
import { type Namespace, namespaceKind, podKind, type Service, serviceKind } from '../../common/kube/kinds/core.ts';
import { customKinds } from '../../common/kube/schema/table.ts';
import { type Cluster, withCluster } from '../access/cluster.ts';
import { findPod, parsePodName } from '../access/pods.ts';
import { oneOperand, readArguments } from '../arguments.ts';
import { readCluster } from '../cluster.ts';
import { print, tell } from '../print.ts';
import { describePod, describeService, type World } from './facts.ts';
import { options } from './options.ts';

export async function describe(what: 'pod' | 'service', args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments(`x describe ${what}`, args, options);
  const name = oneOperand(`x describe ${what}`, `one ${what}, NAME[.NAMESPACE]`, positionals);
  return withCluster(values, process.env, async (cluster) => {
    const world = await read(cluster);
    const lines =
      what === 'pod'
        ? describePod(world, await findPod(cluster, name, cluster.namespace), values.ignoreUnmeshed === true)
        : describeService(world, await findService(cluster, name));
    for (const line of lines) print(line);
    return 0;
  });
}

async function read({ client, istioNamespace }: Cluster): Promise<World> {
  const kinds = [namespaceKind, podKind, serviceKind, ...customKinds.map((c) => c.kind)];
  const { objects, problems } = await readCluster(client, kinds);
  for (const problem of problems) tell(problem);
  const namespaces = objects.filter((o) => o.kind === 'Namespace') as readonly Namespace[];
  return { objects, namespaces: new Map(namespaces.map((n) => [n.metadata.name, n])), rootNamespace: istioNamespace };
}

async function findService({ client, namespace: preset }: Cluster, text: string): Promise<Service> {
  const { name, namespace = preset } = parsePodName(text);
  const found = await client.get<Service>(serviceKind, { namespace, name });
  if (found !== undefined) return found;
  throw new MeshError(
    'NOT_FOUND',
    `there is no Service ${namespace}/${name}; kubectl get services -n ${namespace} lists those there are`,
  );
}
