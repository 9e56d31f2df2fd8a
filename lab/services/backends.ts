/** Services joined with their ready endpoints: what nftables and the cluster DNS are made from. Pure. */

import type { Service } from '../../common/kube/kinds/core.ts';
import type { EndpointSlice } from '../../common/kube/kinds/discovery.ts';

export const serviceNameLabel = 'kubernetes.io/service-name';

export interface Endpoint {
  readonly ip: string;
  readonly port: number;
  readonly node: string | undefined;
}

export interface ServicePortBackends {
  /** `shop/web:http/IPv4` for people who read the rules. */
  readonly title: string;
  readonly vip: string;
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly endpoints: readonly Endpoint[];
  /** Only endpoints on the client's own node (internalTrafficPolicy: Local). */
  readonly local: boolean;
  /** One client always reaches the same endpoint (sessionAffinity: ClientIP). */
  readonly sticky: boolean;
}

export function serviceBackends(services: Iterable<Service>, slices: Iterable<EndpointSlice>): ServicePortBackends[] {
  const byService = Map.groupBy(slices, (s) => `${s.metadata.namespace}/${s.metadata.labels?.[serviceNameLabel]}`);
  return [...services]
    .sort((a, b) => (serviceKey(a) < serviceKey(b) ? -1 : 1))
    .flatMap((service) => backendsOf(service, byService.get(serviceKey(service)) ?? []));
}

function serviceKey(service: Service): string {
  return `${service.metadata.namespace}/${service.metadata.name}`;
}

export function clusterIps(service: Service): readonly string[] {
  const { clusterIP, clusterIPs } = service.spec;
  const all = clusterIPs ?? (clusterIP === undefined ? [] : [clusterIP]);
  return all.filter((ip) => ip !== '' && ip !== 'None');
}

function backendsOf(service: Service, slices: readonly EndpointSlice[]): ServicePortBackends[] {
  return clusterIps(service).flatMap((vip) => {
    const family = vip.includes(':') ? 'IPv6' : 'IPv4';
    return (service.spec.ports ?? []).map((port) => ({
      title: `${serviceKey(service)}:${port.name ?? port.port}/${family}`,
      vip,
      protocol: port.protocol === 'UDP' ? ('udp' as const) : ('tcp' as const),
      port: port.port,
      endpoints: slices
        .filter((s) => s.addressType === family)
        .flatMap((s) => readyEndpoints(s, port.name ?? '', port.protocol ?? 'TCP')),
      local: service.spec.internalTrafficPolicy === 'Local',
      sticky: service.spec.sessionAffinity === 'ClientIP',
    }));
  });
}

function readyEndpoints(slice: EndpointSlice, portName: string, protocol: string): Endpoint[] {
  const port = slice.ports?.find((p) => (p.name ?? '') === portName && (p.protocol ?? 'TCP') === protocol)?.port;
  if (port === undefined) return [];
  return (slice.endpoints ?? [])
    .filter((e) => e.conditions?.ready !== false)
    .flatMap((e) => e.addresses.map((ip) => ({ ip, port, node: e.nodeName })));
}
