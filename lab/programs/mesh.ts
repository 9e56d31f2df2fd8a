/** How the mesh's programs are started: their settings, and the objects that Kubernetes would have for them. Pure. */
import { join } from 'node:path';
import type { NewObject } from '../../common/kube/types.ts';
import { type Addresses, controlPlane } from '../addresses.ts';
import type { ProgramName } from '../api.ts';
import { cniFolders } from '../cni/network.ts';
import { checkout } from '../config.ts';
import type { LabNode, Runtime } from '../daemon/runtime.ts';
import { programLabel } from '../pods/manager.ts';
import { serviceNameLabel } from '../services/backends.ts';
import type { ProgramContext } from './context.ts';
import type { ProgramSpec } from './supervised.ts';

export const systemNamespace = 'istio-system';

/** Set on the Pod of a ztunnel, has it replaced: what `kubectl rollout restart` sets on a DaemonSet's template. */
export const restartAnnotation = 'kubectl.kubernetes.io/restartedAt';

export type ExtraEnv = Partial<Record<ProgramName, Readonly<Record<string, string | undefined>>>>;

/** Of a program's pod on each node. */
export interface NodeProgram {
  readonly program: 'ztunnel' | 'cni-agent';
  readonly serviceAccount: string;
  /** Name of the DaemonSet that charts have for it; what its pods' names begin with. */
  readonly owner: string;
  /** Where its pods' processes live, below the node's cgroup. */
  readonly cgroup: string;
  readonly readiness: { readonly port: number; readonly path: string };
}

export const nodePrograms: readonly NodeProgram[] = [
  {
    program: 'cni-agent',
    serviceAccount: 'istio-cni',
    owner: 'istio-cni-node',
    cgroup: 'agent',
    readiness: { port: 15_014, path: '/readyz' },
  },
  {
    program: 'ztunnel',
    serviceAccount: 'ztunnel',
    owner: 'ztunnel',
    cgroup: 'ztunnel',
    readiness: { port: 15_021, path: '/healthz/ready' },
  },
];

/** Where a node's ztunnel finds what a DaemonSet would mount from ConfigMap istio-ca-root-cert. */
export function rootCertFile(runtime: Pick<Runtime, 'paths'>, node: string): string {
  return join(runtime.paths.node(node), 'root-cert.pem');
}

/** Each pod of ztunnel has its own, for a token names its pod. */
export function tokenFile(runtime: Pick<Runtime, 'paths'>, node: string, pod: string): string {
  return join(runtime.paths.node(node), `${pod}.istio-token`);
}

/** The API server, with the mesh also discovery. `sockets` listen already; the first is for the lab's hosts and pods. */
export function istiodSpec(
  context: ProgramContext,
  mesh: boolean,
  sockets: readonly number[],
  extra: ExtraEnv,
): ProgramSpec {
  const listen = sockets.map((_, i) => `fd:${3 + i}`).join(',');
  return {
    name: 'istiod',
    host: 'cp',
    cgroup: join(context.cgroup, 'cp', 'istiod'),
    argv: [
      join(checkout, 'bin/istiod'),
      mesh ? '--standalone' : 'apiserver',
      ...['--data-dir', context.paths.api, '--listen', listen],
    ],
    env: settings(extra.istiod, {
      AQUIFER_DATA_DIR: context.paths.istiod,
      POD_NAMESPACE: systemNamespace,
      POD_NAME: 'istiod',
    }),
    descriptors: sockets,
  };
}

export function nodeProgramSpec(
  runtime: Runtime,
  node: LabNode,
  program: NodeProgram,
  podName: string,
  extra: ExtraEnv,
): ProgramSpec {
  const folder = runtime.paths.node(node.name);
  const cni = cniFolders(folder);
  const common = {
    NODE_NAME: node.name,
    POD_NAME: podName,
    POD_NAMESPACE: systemNamespace,
    SERVICE_ACCOUNT: program.serviceAccount,
    INSTANCE_IP: node.address.v4,
    INPOD_UDS: join(folder, 'ztunnel.sock'),
  };
  const own =
    program.program === 'ztunnel'
      ? {
          XDS_ADDRESS: `https://istiod.${systemNamespace}.svc:15012`,
          CA_ADDRESS: `https://istiod.${systemNamespace}.svc:15012`,
          XDS_ROOT_CA: rootCertFile(runtime, node.name),
          CA_ROOT_CA: rootCertFile(runtime, node.name),
          AUTH_TOKEN: tokenFile(runtime, node.name, podName),
        }
      : {
          KUBECONFIG: runtime.paths.apiKubeconfig,
          AQUIFER_CGROUP_ROOT: node.cgroup,
          AQUIFER_ZTUNNEL_CGROUP: join(node.cgroup, 'ztunnel'),
          AQUIFER_PROBER_CGROUP: join(node.cgroup, 'kubelet'),
          AQUIFER_BPF_DIR: join(folder, 'bpf/aquifer'),
          CNI_NET_DIR: cni.netDir,
          CNI_BIN_DIR: cni.binDir,
          CNI_AGENT_RUN_DIR: cni.runDir,
        };
  return {
    name: program.program,
    host: node.name,
    instance: podName,
    cgroup: join(node.cgroup, program.cgroup, podName),
    argv: [join(checkout, 'bin', program.program)],
    env: settings(extra[program.program], { ...common, ...own }),
  };
}

function settings(
  extra: Readonly<Record<string, string | undefined>> | undefined,
  own: Readonly<Record<string, string>>,
): Record<string, string> {
  const all = Object.entries({ ...own, ...extra });
  return Object.fromEntries(all.filter((e): e is [string, string] => e[1] !== undefined));
}

export function programPod(node: LabNode, program: NodeProgram, name: string): NewObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: systemNamespace,
      labels: { app: program.owner, [programLabel]: program.program },
      // As static pods have it: its node's kubelet made it, of no object.
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: node.name, uid: node.uid, controller: true }],
    },
    spec: {
      serviceAccountName: program.serviceAccount,
      nodeName: node.name,
      hostNetwork: true,
      containers: [{ name: program.owner, image: `aquifer/${program.program}` }],
    },
  };
}

interface ControlPlanePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
}

const families = ['IPv4', 'IPv6'] as const;

/** A Service whose endpoint is the control-plane host, which no selector finds. `address`: the one it must have. */
export function controlPlaneService(
  namespace: string,
  name: string,
  ports: readonly ControlPlanePort[],
  address: Addresses | undefined,
): { readonly service: NewObject; readonly slices: readonly NewObject[] } {
  const clusterIPs = address && [address.v4, address.v6];
  return {
    service: {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name },
      spec: {
        ...(clusterIPs === undefined ? {} : { clusterIP: clusterIPs[0], clusterIPs }),
        ipFamilies: families,
        ipFamilyPolicy: 'RequireDualStack',
        ports,
      },
    },
    slices: families.map((family) => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        namespace,
        name: `${name}-${family.toLowerCase()}`,
        labels: { [serviceNameLabel]: name, 'endpointslice.kubernetes.io/managed-by': 'lab.aquifer.dev' },
      },
      addressType: family,
      endpoints: [{ addresses: [family === 'IPv4' ? controlPlane.v4 : controlPlane.v6], conditions: { ready: true } }],
      ports,
    })),
  };
}
