/** Domain objects with defaults, so that a test names only what it is about. */
import { type Cidr, type Ip, type Port, parseCidr, parseIp, parsePort } from '../core/net.ts';
import { emptyMatch } from '../mesh/policy-match.ts';
import { MeshStore } from '../mesh/store.ts';
import type {
  AuthorizationPolicy,
  GatewayAddress,
  Identity,
  MeshAddress,
  NetworkAddress,
  PolicyMatch,
  Service,
  Workload,
} from '../mesh/types.ts';

export function ip(text: string): Ip {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`"${text}" is no IP address`);
  return parsed;
}

export function port(n: number): Port {
  const parsed = parsePort(n);
  if (parsed === undefined) throw new Error(`${n} is no port`);
  return parsed;
}

export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`"${text}" is no CIDR`);
  return parsed;
}

/** `network/ip` or `network/ip/length`. */
export function networkAddress(text: string): NetworkAddress {
  const [network, address, length] = text.split('/');
  return { network: network!, ip: ip(address!), ...(length !== undefined && { length: Number(length) }) };
}

export function identity(namespace: string, serviceAccount: string, trustDomain = 'cluster.local'): Identity {
  return { trustDomain, namespace, serviceAccount };
}

/** `namespace/hostname`, port 15008. */
export function waypoint(text: string): GatewayAddress {
  const [namespace, hostname] = text.split('/');
  return { destination: { kind: 'hostname', namespace: namespace!, hostname: hostname! }, hboneMtlsPort: port(15_008) };
}

/** A healthy HBONE pod `default/<name>` of node-1 without addresses; uid and names follow name and namespace. */
export function workload(over: Partial<Omit<Workload, 'kind'>> = {}): Workload {
  const name = over.name ?? 'pod-1';
  const namespace = over.namespace ?? 'default';
  return {
    kind: 'workload',
    uid: `Kubernetes//Pod/${namespace}/${name}`,
    name,
    namespace,
    addresses: [],
    hostname: '',
    network: '',
    tunnelProtocol: 'HBONE',
    trustDomain: 'cluster.local',
    serviceAccount: 'default',
    node: 'node-1',
    canonicalName: name,
    canonicalRevision: 'latest',
    workloadType: 'pod',
    workloadName: name,
    nativeTunnel: false,
    services: new Map(),
    authorizationPolicies: [],
    status: 'HEALTHY',
    clusterId: 'Kubernetes',
    locality: { region: '', zone: '', subzone: '' },
    networkMode: 'STANDARD',
    capacity: 1,
    ...over,
  };
}

/** A canonical, public service `default/<name>` with port 80 to 8080 and no VIP. */
export function service(over: Partial<Omit<Service, 'kind'>> = {}): Service {
  const name = over.name ?? 'svc';
  const namespace = over.namespace ?? 'default';
  return {
    kind: 'service',
    name,
    namespace,
    hostname: `${name}.${namespace}.svc.cluster.local`,
    addresses: [],
    ports: [{ servicePort: 80, targetPort: 8080 }],
    subjectAltNames: [],
    weightedWaypoints: [],
    ipFamilies: 'AUTOMATIC',
    canonical: true,
    visibility: 'PUBLIC',
    ...over,
  };
}

/** `services` of a workload: a single service with its ports as endpoint. */
export function serves(s: Service, servicePort = 80, targetPort = 8080): Workload['services'] {
  return new Map([[`${s.namespace}/${s.hostname}`, [{ servicePort, targetPort }]]]);
}

export function storeOf(...addresses: readonly MeshAddress[]): MeshStore {
  const store = new MeshStore();
  store.apply({ addresses });
  return store;
}

export function match(over: Partial<PolicyMatch> = {}): PolicyMatch {
  return { ...emptyMatch, ...over };
}

/** A policy `default/policy` of the namespace without groups: as ALLOW it allows nothing. */
export function policy(over: Partial<AuthorizationPolicy> = {}): AuthorizationPolicy {
  return {
    name: 'policy',
    namespace: 'default',
    scope: 'NAMESPACE',
    action: 'ALLOW',
    groups: [],
    dryRun: false,
    ...over,
  };
}

/** One group with one rule that has these matches. */
export function groups(...matches: readonly PolicyMatch[]): AuthorizationPolicy['groups'] {
  return [{ rules: [{ matches }] }];
}
