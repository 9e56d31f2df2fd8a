/**
 * Where a connection goes: the outbound decision of ambient-wire 2.2 and the inbound one of 2.4, as pure functions over the store.
 * What names a waypoint or another network is refused with the reason, never sent past it.
 */
import type { ErrorCode } from '../core/errors.ts';
import { formatSocketAddr, type Ip, isIpv6, isLoopback, type Port, type SocketAddr } from '../core/net.ts';
import { type Authority, formatAuthority } from '../hbone/headers.ts';
import { parseSpiffe, sameIdentity } from '../identity/spiffe.ts';
import { balance, mapped } from './balance.ts';
import { type MeshReader, serviceKey } from './store.ts';
import type { GatewayAddress, Identity, MeshAddress, Service, Workload } from './types.ts';

/** Ports of the proxy itself: never a destination (ambient-wire 1.1). */
export const proxyPorts: ReadonlySet<number> = new Set([15_001, 15_006, 15_008]);
/** Where every ztunnel accepts HBONE. */
export const hbonePort = 15_008 as Port;

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

export function identityOf(w: Workload): Identity {
  return { trustDomain: w.trustDomain, namespace: w.namespace, serviceAccount: w.serviceAccount };
}

/** The service's SANs that are SPIFFE ids, and the workload's own identity. */
export function expectedIdentities(workload: Workload, service: Service | undefined): readonly Identity[] {
  const own = identityOf(workload);
  const sans = (service?.subjectAltNames ?? []).flatMap((san) => parseSpiffe(san) ?? []);
  return [...sans.filter((id) => !sameIdentity(id, own)), own];
}

/** The original address if it is the workload's, else its first one that the service allows, same family first. */
export function workloadIp(w: Workload, service: Service | undefined, original: Ip): Ip | undefined {
  if (w.addresses.includes(original)) return original;
  const allowed = w.addresses.filter((ip) => allowsFamily(service, isIpv6(ip)));
  return allowed.find((ip) => isIpv6(ip) === isIpv6(original)) ?? allowed[0];
}

export function allowsFamily(service: Service | undefined, ipv6: boolean): boolean {
  return service?.ipFamilies !== (ipv6 ? 'IPV4_ONLY' : 'IPV6_ONLY');
}

/** What an address is, workload before VIP: for telemetry and `aquifer why`. Upstream selection asks in the other order. */
export function findAddress(
  store: MeshReader,
  network: string,
  ip: Ip,
  clientNamespace: string,
): MeshAddress | undefined {
  return store.workloadByIp(network, ip) ?? store.serviceByVip(network, ip, clientNamespace);
}

export type InboundRoute =
  /** Dial the pod's own address that the connection came to, at this port. */
  | { readonly kind: 'upstream'; readonly target: SocketAddr }
  /** `status` of the answer to CONNECT (ambient-wire 1.4). */
  | { readonly kind: 'refused'; readonly status: 400 | 503; readonly reason: string };

/** `local` is this pod's workload, `destination` the local address of the TCP connection that carries the CONNECT. */
export function resolveInbound(
  store: MeshReader,
  local: Workload,
  authority: Authority,
  destination: Ip,
  illegalPorts: ReadonlySet<number> = proxyPorts,
): InboundRoute {
  if (local.applicationTunnel) {
    return refuse(503, `${workloadName(local)} wants an application tunnel, which is not supported yet`);
  }
  let port: number;
  if (authority.kind === 'address') {
    if (authority.address.ip !== destination) {
      return refuse(400, `authority ${formatAuthority(authority)} is not this pod's address ${destination}`);
    }
    port = authority.address.port;
  } else {
    const service = store.serviceByHostname(authority.hostname, local.namespace);
    if (!service) return refuse(503, `authority ${formatAuthority(authority)} names no known service`);
    const own = mapped(local.services.get(serviceKey(service)) ?? [], authority.port);
    port = own || mapped(service.ports, authority.port) || 0;
    if (port === 0) return refuse(503, `service ${serviceKey(service)} has no port ${authority.port} here`);
  }
  if (illegalPorts.has(port)) return refuse(503, `port ${port} belongs to the proxy itself`);
  return { kind: 'upstream', target: { ip: destination, port: port as Port } };
}

/**
 * The service that a connection to `local` was for, for telemetry: what `forwarded: host=` names if `local` really belongs
 * to it, else the first of its services whose target port is `port`.
 */
export function inboundService(
  store: MeshReader,
  local: Workload,
  forwardedHost: string | undefined,
  port: number,
): Service | undefined {
  const own = [...local.services.keys()].flatMap((key) => store.service(key) ?? []);
  const named = own.find((s) => s.hostname === forwardedHost);
  if (named) return named;
  return own.find((s) => {
    const ports = local.services.get(serviceKey(s)) ?? [];
    return s.ports.some((p) => (mapped(ports, p.servicePort) || p.targetPort) === port);
  });
}

function refuse(status: 400 | 503, reason: string): InboundRoute {
  return { kind: 'refused', status, reason };
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

function workloadName(w: Workload): string {
  return `workload ${w.namespace}/${w.name || w.uid}`;
}
