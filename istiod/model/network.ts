/**
 * Other networks (ambient-wire 9.1, 9.7): which pods are there, by the label topology.istio.io/network, and the gateways that
 * lead there, Gateways of class istio-east-west or istio-remote with that label. The cluster's own network is the empty one.
 */
import { type Ip, type Port, parseIp } from '../../common/core/net.ts';
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import type { Gateway } from '../../common/kube/kinds/gateway-api/gateway.ts';
import type { GatewayAddress, Workload } from '../../common/mesh/types.ts';
import { type MeshSettings, network } from './settings.ts';

const networkLabel = 'topology.istio.io/network';
const gatewayClasses = new Set(['istio-east-west', 'istio-remote']);

export function networkOf(pod: Pod): string {
  return pod.metadata.labels?.[networkLabel] ?? network;
}

/** One address of a gateway. */
interface Way {
  readonly network: string;
  readonly at: { readonly kind: 'ip'; readonly ip: Ip } | { readonly kind: 'hostname'; readonly hostname: string };
  readonly port: Port;
}

function waysOf(gateway: Gateway): readonly Way[] {
  const to = gateway.metadata.labels?.[networkLabel];
  const { gatewayClassName, listeners, addresses } = gateway.spec;
  const listener = listeners.find((l) => l.protocol === 'HBONE');
  // That of the cluster's own network leads in, not out.
  if (!gatewayClasses.has(gatewayClassName) || to === undefined || to === network || !listener) return [];
  const port = listener.port as Port;
  return [...(gateway.status?.addresses ?? addresses ?? [])].flatMap(({ type = 'IPAddress', value }): Way[] => {
    if (type === 'Hostname' && value) return [{ network: to, at: { kind: 'hostname', hostname: value }, port }];
    const ip = type === 'IPAddress' ? parseIp(value ?? '') : undefined;
    return ip === undefined ? [] : [{ network: to, at: { kind: 'ip', ip }, port }];
  });
}

/** The gateway as a destination: its identity is what node proxies expect of it. */
export function gatewayWorkloads(gateway: Gateway, settings: MeshSettings): readonly Workload[] {
  const { name, namespace = 'default', annotations } = gateway.metadata;
  return waysOf(gateway).map((way) => ({
    kind: 'workload',
    uid: `NetworkGateway/${way.network}/${way.at.kind === 'ip' ? way.at.ip : way.at.hostname}/${way.port}`,
    name,
    namespace,
    addresses: way.at.kind === 'ip' ? [way.at.ip] : [],
    hostname: way.at.kind === 'hostname' ? way.at.hostname : '',
    network: way.network,
    tunnelProtocol: 'HBONE',
    trustDomain: annotations?.['gateway.istio.io/trust-domain'] ?? settings.trustDomain,
    serviceAccount: annotations?.['gateway.istio.io/service-account'] ?? `${name}-${gateway.spec.gatewayClassName}`,
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
  }));
}

/** How a network is reached; the first gateway by namespace and name, so that all proxies are told the same. */
export function gatewayTo(
  wanted: string,
  gateways: ReadonlyMap<string, Gateway>,
): { readonly reference: GatewayAddress; readonly gateway: Gateway } | undefined {
  if (wanted === network) return undefined;
  for (const [, gateway] of [...gateways].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const way = waysOf(gateway).find((w) => w.network === wanted);
    if (way) return { gateway, reference: referenceOf(way, gateway.metadata.namespace ?? 'default') };
  }
  return undefined;
}

function referenceOf({ at, network: to, port }: Way, namespace: string): GatewayAddress {
  if (at.kind === 'ip') return { destination: { kind: 'address', network: to, ip: at.ip }, hboneMtlsPort: port };
  return { destination: { kind: 'hostname', namespace, hostname: at.hostname }, hboneMtlsPort: port };
}

/** SPIFFE ids of the endpoints behind a gateway: what a proxy accepts at the far end, since it does not choose among them. */
export function farIdentities(endpoints: readonly Pod[], { trustDomain }: MeshSettings): readonly string[] {
  const ids = endpoints
    .filter((p) => networkOf(p) !== network)
    .map((p) => ({
      trustDomain,
      namespace: p.metadata.namespace ?? 'default',
      serviceAccount: p.spec.serviceAccountName ?? 'default',
    }));
  return [...new Set(ids.map(formatSpiffe))].sort();
}
