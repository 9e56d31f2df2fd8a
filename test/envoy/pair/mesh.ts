/** The mesh that hand-written cases are about: services whose pods are echo servers on addresses of the loopback. */

import { podYaml, waypointYaml } from '../../../istiod/testing/manifests.ts';
import type { Echoes } from './echo.ts';

interface TestPort {
  readonly name: string;
  readonly number: number;
  /** Name of a port that no pod has. */
  readonly target?: string;
}

interface TestService {
  readonly name: string;
  /** Default `shop`. */
  readonly namespace?: string;
  readonly ports: readonly TestPort[];
  /** More of its spec. */
  readonly spec?: string;
  /** Default true. */
  readonly isReady?: boolean;
  /** Pods by name with their versions. Default one of the service's name, of version v1. */
  readonly pods?: Readonly<Record<string, string>>;
}

/** Nodes of pods; others are on `node-1`. */
const nodes: Readonly<Record<string, string>> = {
  'many-b': 'node-2',
  'many-c': 'node-3',
  'near-b': 'node-4',
  'near-c': 'node-3',
  'local-b': 'node-4',
};

/** All of `shop` are behind the waypoint, others are not. */
export const services: readonly TestService[] = [
  {
    name: 'web',
    ports: [
      { name: 'http', number: 80 },
      { name: 'http-admin', number: 8080 },
    ],
  },
  { name: 'v2', ports: [{ name: 'http', number: 80 }] },
  { name: 'many', ports: [{ name: 'http', number: 80 }], pods: { 'many-a': 'v1', 'many-b': 'v1', 'many-c': 'v2' } },
  {
    name: 'raw',
    ports: [
      { name: 'tcp', number: 82 },
      { name: 'tls', number: 83 },
      { name: 'any', number: 84 },
    ],
  },
  { name: 'call', ports: [{ name: 'grpc', number: 9000 }] },
  { name: 'browsed', ports: [{ name: 'grpc-web', number: 9001 }] },
  { name: 'api', namespace: 'pay', ports: [{ name: 'grpc', number: 9000 }] },
  {
    name: 'near',
    ports: [{ name: 'http', number: 80 }],
    spec: 'trafficDistribution: PreferSameNode',
    pods: { 'near-c': 'v1', 'near-b': 'v1', 'near-a': 'v1' },
  },
  {
    name: 'local',
    ports: [
      { name: 'http', number: 80 },
      { name: 'http-none', number: 81, target: 'none' },
    ],
    spec: 'internalTrafficPolicy: Local',
    pods: { 'local-b': 'v1', 'local-a': 'v1' },
  },
  {
    name: 'early',
    ports: [{ name: 'http', number: 80 }],
    spec: 'publishNotReadyAddresses: true',
    isReady: false,
    pods: { 'early-b': 'v1', 'early-a': 'v1' },
  },
  { name: 'marker', ports: [{ name: 'http', number: 80 }], pods: {} },
];

const base = `${waypointYaml()}---
kind: Node
metadata: {name: node-1, labels: {topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: z1}}
---
kind: Node
metadata: {name: node-2, labels: {topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: z2}}
---
kind: Node
metadata: {name: node-3, labels: {topology.kubernetes.io/region: r2, topology.kubernetes.io/zone: z1}}
---
kind: Node
metadata: {name: node-4, labels: {topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: z1, topology.istio.io/subzone: s2}}
---
kind: Pod
metadata: {name: waypoint-0, labels: {gateway.networking.k8s.io/gateway-name: waypoint}}
spec: {nodeName: node-1, serviceAccountName: waypoint}
status: {phase: Running, podIP: 10.244.9.9, conditions: [{type: Ready, status: "True"}]}
`;

/** Where the service's port is connected to. */
export function destinationOf(service: string, port: number, family: keyof typeof vip): string {
  return family === 'ipv4' ? `${vip.ipv4(service)}:${port}` : `[${vip.ipv6(service)}]:${port}`;
}

const numberOf = (name: string) => services.findIndex((s) => s.name === name) + 1;
const vip = {
  ipv4: (name: string) => `10.96.0.${numberOf(name)}`,
  ipv6: (name: string) => `fd00:96::${numberOf(name)}`,
};

/** The service of that pod. */
export function serviceOf(pod: string): string {
  return services.find((s) => s.name === pod || Object.hasOwn(s.pods ?? {}, pod))?.name ?? pod;
}

/** Starts the pods, and says the mesh in YAML. */
export async function startMesh(echoes: Echoes): Promise<string> {
  const documents = [base];
  // Of this process: several may run on one machine.
  const network = `127.${64 + (process.pid % 128)}.${process.pid % 251}`;
  let last = 0;
  for (const service of services) {
    const { name, namespace = 'shop', ports, pods = { [name]: 'v1' }, spec = '', isReady: ready = true } = service;
    const label = namespace === 'shop' ? 'labels: {istio.io/use-waypoint: waypoint}' : '';
    documents.push(`
kind: Service
metadata: {name: ${name}, namespace: ${namespace}, ${label}}
spec: {clusterIPs: [${vip.ipv4(name)}, "${vip.ipv6(name)}"], selector: {app: ${name}}, ports: [${ports.map(portYaml).join()}], ${spec}}
`);
    for (const [pod, version] of Object.entries(pods)) {
      const ip = `${network}.${++last}`;
      for (const port of ports) await echoes.listen(pod, ip, port.number);
      documents.push(podYaml({ name: pod, namespace, app: name, version, ip, node: nodes[pod] ?? 'node-1', ready }));
    }
  }
  return documents.join('---');
}

function portYaml({ name, number, target = String(number) }: TestPort): string {
  return `{name: ${name}, port: ${number}, targetPort: ${target}}`;
}
