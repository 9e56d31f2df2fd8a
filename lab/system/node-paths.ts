/** What each node of a lab has for itself of the paths that real nodes have: where CNI, the mesh's sockets and eBPF's pins are. Pure. */
import { join } from 'node:path';

/** Absolute path on a real node -> folder below the node's own. All else is this machine's, and the same on every node. */
const own: readonly (readonly [string, string])[] = [
  ['/etc/cni/net.d', 'cni/net.d'],
  ['/opt/cni/bin', 'cni/bin'],
  ['/run/istio-cni', 'cni/run'],
  ['/run/ztunnel', 'ztunnel'],
  ['/sys/fs/bpf', 'bpf'],
];

/** Where on this machine a path of the node is. `nodeFolder`: LabPaths.node(). */
export function pathOfNode(nodeFolder: string, path: string): string {
  const plain = join('/', path)
    .replace(/^\/var\/run(?=\/|$)/, '/run')
    .replace(/(?<=.)\/$/, '');
  const found = own.find(([real]) => plain === real || plain.startsWith(`${real}/`));
  return found === undefined ? path : join(nodeFolder, found[1], plain.slice(found[0].length));
}
