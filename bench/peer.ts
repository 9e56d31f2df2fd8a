/**
 * A real ztunnel in Istio's dedicated mode, one in each pod of a pair that is not enrolled: workloads from a variable, certificates
 * from our istiod, and one redirect of the client's connections in its own network namespace.
 */
import type { LabApi, LabProcess } from '../lab/index.ts';
import { copyProgram, namespaces, type Pair } from './rig.ts';

const outboundPort = 15_001;

export async function startPeer(lab: LabApi, program: string, pair: Pair): Promise<readonly LabProcess[]> {
  const workloads = workloadsYaml(pair);
  const ports = `{ ${pair.target.iperfPort}, ${pair.target.httpPort} }`;
  const rules = `table ip peer { chain output { type nat hook output priority -100; tcp dport ${ports} redirect to :${outboundPort}; }; }`;
  await must(lab.exec(pair.client, ['nft', rules]), 'redirect in the client');
  const run = async (pod: Pair['client'], account: 'client' | 'server') =>
    lab.spawn(pod, [await copyProgram(lab, pod, program)], { env: environment(pod, account, workloads) });
  const processes = [await run(pair.server, 'server'), await run(pair.client, 'client')];
  for (const pod of [pair.server, pair.client]) await ready(lab, pod);
  return processes;
}

async function must(running: Promise<{ code: number; stderr: string }>, what: string): Promise<void> {
  const { code, stderr } = await running;
  if (code !== 0) throw new Error(`${what}: ${stderr.trim()}`);
}

async function ready(lab: LabApi, pod: Pair['client']): Promise<void> {
  const url = 'http://127.0.0.1:15021/healthz/ready';
  const argv = ['curl', '-sS', '--fail', '--retry', '50', '--retry-delay', '0', '--retry-all-errors', url];
  await must(lab.exec(pod, argv), 'readiness of the peer');
}

/** ambient-wire 6.5 to 6.7. The client's token and the root are where a pod of a cluster has them. */
function environment(pod: Pair['client'], account: string, workloads: string): Record<string, string> {
  const name = typeof pod === 'string' ? pod : pod.name;
  return {
    PROXY_MODE: 'dedicated',
    PROXY_WORKLOAD_INFO: `${namespaces.peer}/${name}/${account}`,
    XDS_ADDRESS: '',
    LOCAL_XDS: workloads,
    CA_ADDRESS: 'https://istiod.istio-system.svc:15012',
    CA_ROOT_CA: '/var/run/secrets/istio/root-cert.pem',
    AUTH_TOKEN: '/var/run/secrets/tokens/istio-token',
    ISTIO_META_DNS_CAPTURE: 'false',
    ENABLE_ORIG_SRC: 'false',
    RUST_LOG: 'warn',
  };
}

function workloadsYaml({ client, server, clientIp, target }: Pair): string {
  const entry = (pod: Pair['client'], account: string, ip: string, node: string) => {
    const name = typeof pod === 'string' ? pod : pod.name;
    return `- uid: Kubernetes//Pod/${namespaces.peer}/${name}
  name: ${name}
  namespace: ${namespaces.peer}
  serviceAccount: ${account}
  trustDomain: cluster.local
  workloadIps: ["${ip}"]
  node: ${node}
  protocol: HBONE
  services: {}
`;
  };
  return `workloads:\n${entry(client, 'client', clientIp, 'node-1')}${entry(server, 'server', target.ip, 'node-2')}`;
}
