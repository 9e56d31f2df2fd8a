/** The kubelet's endpoint of a node of a lab: in the node's network, told by the Node. */
import type { Ip, Port } from '../../common/core/net.ts';
import { type Node, nodeKind } from '../../common/kube/kinds/core.ts';
import { certificateAnnotation } from '../../common/kube/kubelet/requests.ts';
import { closeFd, openNetns, socketsInNetns } from '../../native/index.ts';
import type { LabNode, Runtime } from '../daemon/runtime.ts';
import { netnsPath } from '../names.ts';
import { makeCertificate } from './certificate.ts';
import { type FindPod, nodeContainers } from './containers.ts';
import { startKubeletServer } from './server.ts';

/** As kubelet's. */
export const kubeletPort = 10_250;

/** `clientCa`: PEM, the CA of the API server. Resolves when the Node says how the kubelet is reached. */
export async function startNodeKubelet(
  runtime: Runtime,
  node: LabNode,
  find: FindPod,
  clientCa: string,
): Promise<void> {
  const namespace = openNetns(netnsPath(node.netns));
  const [fd] = socketsInNetns(
    namespace,
    {
      family: 4,
      type: 'stream',
      reuseAddr: true,
      bind: { ip: node.address.v4 as Ip, port: kubeletPort as Port },
      backlog: 128,
    },
    1,
  );
  closeFd(namespace);
  const { fingerprint } = await startKubeletServer({
    ...(await makeCertificate(node.name, runtime.clock.wall())),
    clientCa,
    listen: { fd: fd! },
    runtime: nodeContainers(find, runtime.clock),
    log: runtime.log,
  });
  const { source } = runtime.cluster;
  const key = { name: node.name };
  const status = { daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } } };
  await source.patch<Node>(nodeKind, key, { metadata: { annotations: { [certificateAnnotation]: fingerprint } } });
  await source.patch<Node>(nodeKind, key, { status }, { subresource: 'status' });
}
