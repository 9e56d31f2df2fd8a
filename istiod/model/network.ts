/**
 * Other networks (ambient-wire 9.1, 9.7): which workloads are there, and the gateways that lead there, Gateways of class
 * istio-east-west or istio-remote with the label topology.istio.io/network.
 */
import { type Ip, type Port, parseIp } from '../../common/core/net.ts';
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import type { Gateway } from '../../common/kube/kinds/gateway-api/gateway.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { GatewayAddress, Identity, Service, Workload } from '../../common/mesh/types.ts';
import type { EndpointSet } from '../envoy/inputs.ts';
import type { Labels } from './selector.ts';
import { type MeshSettings, networkOfAudience } from './settings.ts';

export const networkLabel = 'topology.istio.io/network';
const gatewayClasses = new Set(['istio-east-west', 'istio-remote']);

export function podNetwork(pod: Pod, { network }: MeshSettings): string {
  return pod.metadata.labels?.[networkLabel] ?? network;
}

/** One address of a gateway to a network. */
export interface Way {
  readonly network: string;
  readonly at: { readonly kind: 'ip'; readonly ip: Ip } | { readonly kind: 'hostname'; readonly hostname: string };
  readonly port: Port;
  readonly gateway: Gateway;
  /** The same, where it is the cluster's own. */
  readonly object: Gateway | undefined;
}

export function waysOf(gateway: Gateway, object?: Gateway): readonly Way[] {
  const network = gateway.metadata.labels?.[networkLabel] ?? '';
  const { gatewayClassName, listeners, addresses } = gateway.spec;
  const listener = listeners.find((l) => l.protocol === 'HBONE');
  if (!gatewayClasses.has(gatewayClassName) || network === '' || !listener) return [];
  const port = listener.port as Port;
  return [...(gateway.status?.addresses ?? addresses ?? [])].flatMap(({ type = 'IPAddress', value }): Way[] => {
    if (type === 'Hostname' && value)
      return [{ network, at: { kind: 'hostname', hostname: value }, port, gateway, object }];
    const ip = type === 'IPAddress' ? parseIp(value ?? '') : undefined;
    return ip === undefined ? [] : [{ network, at: { kind: 'ip', ip }, port, gateway, object }];
  });
}

/** The order in which all istiods try them: by the names of their Gateways. */
export function inOrder(ways: readonly Way[]): readonly Way[] {
  const name = ({ gateway: { metadata: m } }: Way) => `${m.namespace}/${m.name}`;
  return [...ways].sort((a, b) => (name(a) < name(b) ? -1 : 1));
}

function wayKey(way: Way): string {
  return `${way.network}/${way.at.kind === 'ip' ? way.at.ip : way.at.hostname}/${way.port}`;
}

/** The gateway as a destination: its identity is what node proxies expect of it. */
export function gatewayWorkload(way: Way, settings: MeshSettings): Workload {
  const { name, namespace = 'default', annotations } = way.gateway.metadata;
  return {
    kind: 'workload',
    uid: `NetworkGateway/${wayKey(way)}`,
    name,
    namespace,
    addresses: way.at.kind === 'ip' ? [way.at.ip] : [],
    hostname: way.at.kind === 'hostname' ? way.at.hostname : '',
    network: way.network,
    tunnelProtocol: 'HBONE',
    trustDomain: annotations?.['gateway.istio.io/trust-domain'] ?? settings.trustDomain,
    serviceAccount: annotations?.['gateway.istio.io/service-account'] ?? `${name}-${way.gateway.spec.gatewayClassName}`,
    node: '',
    canonicalName: name,
    canonicalRevision: 'latest',
    workloadType: 'pod',
    workloadName: name,
    nativeTunnel: true,
    services: new Map(),
    authorizationPolicies: [],
    status: 'HEALTHY',
    clusterId: settings.clusterId,
    locality: { region: '', zone: '', subzone: '' },
    networkMode: 'STANDARD',
    capacity: 1,
  };
}

export function referenceOf({ at, network, port, gateway }: Way): GatewayAddress {
  if (at.kind === 'ip') return { destination: { kind: 'address', network, ip: at.ip }, hboneMtlsPort: port };
  const { namespace = 'default' } = gateway.metadata;
  return { destination: { kind: 'hostname', namespace, hostname: at.hostname }, hboneMtlsPort: port };
}

/** A workload of another network, as far as services have to know it. */
export interface FarEndpoint {
  readonly network: string;
  readonly identity: Identity;
  readonly capacity: number;
  /** Subsets of DestinationRules are chosen by them. */
  readonly labels: Labels;
  /** Keys of the services that it is behind. */
  readonly services: readonly string[];
  /** undefined: it is another cluster's. */
  readonly object: KubeObject | undefined;
}

/** undefined for those that are told as they are. */
export function farEndpoint(
  w: Workload,
  labels: Labels,
  object: KubeObject,
  settings: MeshSettings,
): FarEndpoint | undefined {
  if (w.network === networkOfAudience(settings) || w.services.size === 0) return undefined;
  const { trustDomain, namespace } = w;
  const identity = { trustDomain, namespace, serviceAccount: w.serviceAccount || 'default' };
  return { network: w.network, identity, capacity: w.capacity, labels, services: [...w.services.keys()], object };
}

/** One for each set of labels: most endpoints of a service have the same. */
export function membersOf(far: readonly FarEndpoint[]): readonly EndpointSet[] {
  const keyOf = ({ labels }: FarEndpoint) =>
    JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
  return [...Map.groupBy(far, keyOf)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, same]) => ({ labels: same[0]!.labels, weight: same.reduce((sum, f) => sum + f.capacity, 0) }));
}

/** SPIFFE ids of endpoints behind a gateway: what a proxy accepts at the far end, since it does not choose among them. */
export function farIdentities(far: readonly FarEndpoint[]): readonly string[] {
  return [...new Set(far.map((f) => formatSpiffe(f.identity)))].sort();
}

/** All endpoints of a service in another network as one, behind that network's gateway. */
export function splitHorizon(
  way: Way,
  service: Service,
  far: readonly FarEndpoint[],
  settings: MeshSettings,
): Workload {
  const key = `${service.namespace}/${service.hostname}`;
  const { name, namespace } = way.gateway.metadata;
  const at = way.at.kind === 'ip' ? way.at.ip : way.at.hostname;
  const uid = `${way.network}/SplitHorizonWorkload/${namespace}/${name}/${at}/${key}`;
  return {
    kind: 'workload',
    uid,
    name: uid,
    namespace: service.namespace,
    addresses: [],
    hostname: '',
    network: way.network,
    networkGateway: referenceOf(way),
    tunnelProtocol: 'HBONE',
    trustDomain: settings.trustDomain,
    serviceAccount: '',
    node: '',
    canonicalName: '',
    canonicalRevision: '',
    workloadType: 'pod',
    workloadName: '',
    nativeTunnel: false,
    services: new Map([[key, service.ports]]),
    authorizationPolicies: [],
    status: 'HEALTHY',
    clusterId: settings.clusterId,
    locality: { region: '', zone: '', subzone: '' },
    networkMode: 'STANDARD',
    capacity: far.reduce((sum, f) => sum + f.capacity, 0),
  };
}
