/** Which node proxy is asked, and for which workload. */
import { MeshError } from '../../common/core/errors.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import type { Cluster } from '../access/cluster.ts';
import { findPod, isRunning, podsWith } from '../access/pods.ts';

export interface Target {
  readonly ztunnel: Pod;
  /** What is asked about, where a workload was named. */
  readonly workload: { readonly name: string; readonly namespace: string } | undefined;
}

type Asked = Pick<Cluster, 'client' | 'istioNamespace' | 'onlyNamespace'>;

/** Node proxies that run, by name. */
export async function ztunnels({
  client,
  istioNamespace,
}: Pick<Asked, 'client' | 'istioNamespace'>): Promise<readonly Pod[]> {
  return (await podsWith(client, istioNamespace, { matchLabels: { app: 'ztunnel' } })).filter(isRunning);
}

/** One at least. MeshError NOT_FOUND. */
export async function someZtunnels(cluster: Pick<Asked, 'client' | 'istioNamespace'>): Promise<readonly Pod[]> {
  const all = await ztunnels(cluster);
  if (all.length > 0) return all;
  throw new MeshError(
    'NOT_FOUND',
    `no ztunnel runs in namespace ${cluster.istioNamespace}; aquifer check says what is missing`,
  );
}

/** MeshError NOT_FOUND. */
export async function targetOf(cluster: Asked, name: string | undefined, node: string | undefined): Promise<Target> {
  const all = await someZtunnels(cluster);
  if (name === undefined) {
    const ztunnel = node === undefined ? all[0]! : onNode(all, node, `--node ${node}`);
    return { ztunnel, workload: undefined };
  }
  const pod = await findPod(cluster, name, cluster.onlyNamespace ?? cluster.istioNamespace);
  const own = all.find((z) => z.metadata.uid === pod.metadata.uid);
  if (own !== undefined) return { ztunnel: own, workload: undefined };
  const { name: podName, namespace = 'default' } = pod.metadata;
  const at = pod.spec.nodeName ?? '';
  if (at === '') throw new MeshError('NOT_FOUND', `pod ${namespace}/${podName} is on no node yet`);
  return {
    ztunnel: onNode(all, at, `node ${at} of pod ${namespace}/${podName}`),
    workload: { name: podName, namespace },
  };
}

function onNode(all: readonly Pod[], node: string, what: string): Pod {
  const found = all.find((z) => z.spec.nodeName === node);
  if (found !== undefined) return found;
  const nodes = all.map((z) => z.spec.nodeName ?? '').join(', ');
  throw new MeshError('NOT_FOUND', `${what}: no ztunnel runs there; ztunnels run on ${nodes}`);
}
