/**
 * Where a connection from a pod goes (ambient-wire 2.2), a pure function over the store. What names a waypoint or another
 * network is refused with the reason, never sent past it.
 */
import type { ErrorCode } from '../core/errors.ts';
import { formatSocketAddr, isIpv6, isLoopback, type Port, type SocketAddr } from '../core/net.ts';
import { expectedIdentities, hbonePort, proxyPorts, workloadIp, workloadName } from './address.ts';
import { balance } from './balance.ts';
import { type MeshReader, serviceKey } from './store.ts';
import type { GatewayAddress, Identity, Service, Workload } from './types.ts';

/** `service` is the one that was addressed, for telemetry. */
export type OutboundRoute =
  /** Unknown to the mesh: plain TCP to where the app wanted. */
  | { readonly kind: 'passthrough'; readonly target: SocketAddr; readonly service?: Service }
  /** A workload that takes plain TCP. */
  | {
      readonly kind: 'plain';
      readonly target: SocketAddr;
      readonly workload: Workload;
      readonly service?: Service;
    }
  | {
      readonly kind: 'hbone';
      readonly workload: Workload;
      /** TCP address to dial, port 15008. */
      readonly dial: SocketAddr;
      /** What CONNECT asks for. */
      readonly target: SocketAddr;
      /** Any of these proves the peer. */
      readonly expected: readonly Identity[];
      readonly service?: Service;
    }
  /** Chosen, but known by a DNS name only: resolve it, then go on with `routeTo`. */
  | {
      readonly kind: 'hostname';
      readonly hostname: string;
      readonly preferIpv6: boolean;
      readonly workload: Workload;
      readonly port: Port;
      readonly service?: Service;
    }
  | {
      readonly kind: 'refused';
      readonly code: ErrorCode;
      readonly reason: string;
      readonly service?: Service;
      readonly workload?: Workload;
    };

export interface OutboundQuery {
  /** The pod that dials, as the mesh knows it. */
  readonly source: Workload;
  /** Original destination. */
  readonly target: SocketAddr;
  /** The proxy's own NETWORK, which captured addresses are looked up in. */
  readonly network: string;
  /** Default `proxyPorts`; more where the proxy's listeners have other ports. */
  readonly illegalPorts?: ReadonlySet<number>;
  /** [0, 1). */
  readonly random: () => number;
}

export function resolveOutbound(store: MeshReader, q: OutboundQuery): OutboundRoute {
  const { source, target } = q;
  if (isLoopback(target.ip) && (q.illegalPorts ?? proxyPorts).has(target.port)) {
    return { kind: 'refused', code: 'LOOP', reason: `${formatSocketAddr(target)} is a port of the proxy itself` };
  }
  const service = store.serviceByVip(q.network, target.ip, source.namespace);
  if (!service) {
    const workload = store.workloadByIp(q.network, target.ip);
    if (!workload) return { kind: 'passthrough', target };
    if (workload.waypoint) return waypointRefusal(workloadName(workload), workload.waypoint, { workload });
    return routeTo(source, workload, target, undefined);
  }
  const waypoint = waypointOf(service);
  if (waypoint) return waypointRefusal(`service ${serviceKey(service)}`, waypoint, { service });
  if (service.loadBalancing?.mode === 'PASSTHROUGH') {
    // Its addresses may be those of pods: what the mesh knows as HBONE is not dialled in plain text.
    const workload = store.workloadByIp(q.network, target.ip);
    return workload ? routeTo(source, workload, target, service) : { kind: 'passthrough', target, service };
  }
  const balanced = balance(service, store.endpoints(service), target.port, source, q.random);
  if (balanced.kind === 'none') {
    return { kind: 'refused', code: 'NO_HEALTHY_UPSTREAM', reason: balanced.reason, service };
  }
  const { workload } = balanced;
  const port = balanced.targetPort as Port;
  if (workload.network !== source.network) return routeTo(source, workload, { ip: target.ip, port }, service);
  const ip = workloadIp(workload, service, target.ip);
  if (ip !== undefined) return routeTo(source, workload, { ip, port }, service);
  if (workload.hostname !== '') {
    const { hostname } = workload;
    return { kind: 'hostname', hostname, preferIpv6: isIpv6(target.ip), workload, port, service };
  }
  return {
    kind: 'refused',
    code: 'NO_HEALTHY_UPSTREAM',
    reason: `${workloadName(workload)} has no address of a family that service ${serviceKey(service)} allows`,
    service,
    workload,
  };
}

/** The last step for a workload whose address is known: HBONE where it takes that, plain TCP where it does not. */
export function routeTo(
  source: Workload,
  workload: Workload,
  target: SocketAddr,
  service: Service | undefined,
): OutboundRoute {
  const about = { workload, ...(service && { service }) };
  if (workload.network !== source.network) {
    return {
      kind: 'refused',
      code: 'UNSUPPORTED',
      reason: `${workloadName(workload)} is on network "${workload.network}", reached through a gateway, which is not supported yet`,
      ...about,
    };
  }
  if (workload.tunnelProtocol === 'NONE') return { kind: 'plain', target, ...about };
  const dial = { ip: target.ip, port: hbonePort };
  return { kind: 'hbone', dial, target, expected: expectedIdentities(workload, service), ...about };
}

/** undefined where no waypoint applies; with several, any: none of them may be bypassed. */
function waypointOf(service: Service): GatewayAddress | undefined {
  return service.weightedWaypoints.find((w) => w.weight > 0)?.waypoint ?? service.waypoint;
}

function waypointRefusal(
  subject: string,
  waypoint: GatewayAddress,
  about: { readonly service?: Service; readonly workload?: Workload },
): OutboundRoute {
  const d = waypoint.destination;
  const name = d.kind === 'hostname' ? `${d.namespace}/${d.hostname}` : `${d.network}/${d.ip}`;
  const reason = `${subject} is behind waypoint ${name}, which is not supported yet`;
  return { kind: 'refused', code: 'UNSUPPORTED', reason, ...about };
}
