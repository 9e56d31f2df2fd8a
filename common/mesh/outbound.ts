/**
 * Where a connection from a pod goes (ambient-wire 2.2, 2.3), a pure function over the store. What cannot be reached as the
 * mesh wants it to be, through its waypoint or its network's gateway, is refused with the reason.
 */
import type { Compat } from '../core/compat.ts';
import { assertNever, type ErrorCode } from '../core/errors.ts';
import { formatSocketAddr, type Ip, isLoopback, type SocketAddr } from '../core/net.ts';
import { expectedIdentities, hbonePort, proxyPorts, serviceIdentities, workloadName } from './address.ts';
import { isInstanceOf, referenced, referenceName, waypointOf } from './reference.ts';
import { type MeshReader, serviceKey } from './store.ts';
import type { GatewayAddress, Identity, MeshAddress, Service, Workload } from './types.ts';
import { locate, selectUpstream, type Upstream } from './upstream.ts';

/** One HBONE connection and what CONNECT asks for on it. */
export interface HboneHop {
  /** Who is dialled: the destination, its waypoint, or the gateway of its network. */
  readonly workload: Workload;
  readonly dial: SocketAddr;
  /** `ip:port` or `hostname:port`. */
  readonly authority: string;
  /** Any of these proves the peer. */
  readonly expected: readonly Identity[];
}

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
  /** To the destination itself, or to the waypoint in front of it, which decides on. */
  | ({ readonly kind: 'hbone' | 'waypoint'; readonly service?: Service } & HboneHop)
  /** Double HBONE: inside the tunnel to the gateway a second one, whose far end must prove one of `behind`. */
  | ({ readonly kind: 'gateway'; readonly service: Service; readonly behind: readonly Identity[] } & HboneHop)
  /** Chosen, but known by a DNS name only. */
  | {
      readonly kind: 'hostname';
      readonly hostname: string;
      readonly preferIpv6: boolean;
      readonly workload: Workload;
      readonly service?: Service;
      /** Goes on with the address that DNS gave. */
      readonly at: (ip: Ip) => OutboundRoute;
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
  readonly compat: Compat;
  /** Default `proxyPorts`; more where the proxy's listeners have other ports. */
  readonly illegalPorts?: ReadonlySet<number>;
  /** [0, 1). */
  readonly random: () => number;
}

/** What was addressed, for telemetry and refusals. */
interface About {
  readonly service?: Service;
  readonly workload?: Workload;
}

export function resolveOutbound(store: MeshReader, q: OutboundQuery): OutboundRoute {
  const { source, target } = q;
  if (isLoopback(target.ip) && (q.illegalPorts ?? proxyPorts).has(target.port)) {
    return { kind: 'refused', code: 'LOOP', reason: `${formatSocketAddr(target)} is a port of the proxy itself` };
  }
  const service = store.serviceByVip(q.network, target.ip, source.namespace);
  if (service) return toService(store, q, service);
  const workload = store.workloadByIp(q.network, target.ip);
  return workload ? toWorkload(store, q, workload) : { kind: 'passthrough', target };
}

function toService(store: MeshReader, q: OutboundQuery, service: Service): OutboundRoute {
  const { source, target } = q;
  const waypoint = waypointOf(service, q.random);
  const viaWaypoint = waypoint && throughWaypoint(store, q, waypoint, { service });
  if (viaWaypoint) return viaWaypoint;
  if (service.loadBalancing?.mode === 'PASSTHROUGH') {
    // Its addresses may be those of pods: what the mesh knows as HBONE is not dialled in plain text.
    const workload = store.workloadByIp(q.network, target.ip);
    if (!workload) return { kind: 'passthrough', target, service };
    return toUpstream(store, q, { workload, service, port: target.port }, service);
  }
  const selection = selectUpstream(store, service, target.port, source, q.random, 'strict');
  if (selection.kind === 'none') return refused('NO_HEALTHY_UPSTREAM', selection.reason, { service });
  return toUpstream(store, q, selection.upstream, service);
}

function toWorkload(store: MeshReader, q: OutboundQuery, workload: Workload): OutboundRoute {
  const { source, target } = q;
  const { waypoint } = workload;
  if (workload.network === source.network && waypoint && !isOwn(store, source, waypoint)) {
    const viaWaypoint = throughWaypoint(store, q, waypoint, { workload });
    if (viaWaypoint) return viaWaypoint;
  }
  return toUpstream(store, q, { workload, service: undefined, port: target.port }, undefined);
}

/** Straight to the endpoint that was chosen, or towards its network. `addressed`: as what the app asked for it. */
function toUpstream(
  store: MeshReader,
  q: OutboundQuery,
  upstream: Upstream,
  addressed: Service | undefined,
): OutboundRoute {
  const { workload, service, port } = upstream;
  if (workload.network !== q.source.network) return throughGateway(store, q, upstream, addressed);
  const about = { workload, ...(addressed && { service: addressed }) };
  return located(q, upstream, about, (ip) => {
    const target = { ip, port };
    if (workload.tunnelProtocol === 'NONE') return { kind: 'plain', target, ...about };
    return {
      kind: 'hbone',
      dial: { ip, port: hbonePort },
      authority: formatSocketAddr(target),
      expected: expectedIdentities(workload, service),
      ...about,
    };
  });
}

/** undefined only where the waypoint is unknown and the compatibility case `no-waypoint` lets the connection bypass it. */
function throughWaypoint(
  store: MeshReader,
  q: OutboundQuery,
  waypoint: GatewayAddress,
  about: About,
): OutboundRoute | undefined {
  const { source, target } = q;
  const named = referenced(store, waypoint, source.namespace);
  const behind = `${subjectOf(about)} is behind waypoint ${referenceName(waypoint)}`;
  if (!named) {
    if (q.compat.has('no-waypoint')) return undefined;
    return refused('NO_HEALTHY_UPSTREAM', `${behind}, which the mesh does not know`, about);
  }
  const selection = selectUpstream(store, named, waypoint.hboneMtlsPort, source, q.random, 'tunnel-exempt');
  if (selection.kind === 'none') return refused('NO_HEALTHY_UPSTREAM', `${behind}: ${selection.reason}`, about);
  const { upstream } = selection;
  if (upstream.workload.network !== source.network) return throughGateway(store, q, upstream, about.service);
  return located(q, upstream, about, (ip) => ({
    kind: 'waypoint',
    dial: { ip, port: upstream.port },
    authority: formatSocketAddr(target),
    expected: expectedIdentities(upstream.workload, upstream.service),
    workload: upstream.workload,
    ...(about.service && { service: about.service }),
  }));
}

/** Double HBONE (ambient-wire 2.3): the gateway is asked for the service, whatever endpoint was chosen here. */
function throughGateway(
  store: MeshReader,
  q: OutboundQuery,
  { workload, service: chosenFrom }: Upstream,
  addressed: Service | undefined,
): OutboundRoute {
  const about = { workload, ...(addressed && { service: addressed }) };
  const far = `${workloadName(workload)} is on network "${workload.network}"`;
  if (!addressed) {
    return refused('NO_HEALTHY_UPSTREAM', `${far}, where only services can be reached, not single addresses`, about);
  }
  const { networkGateway } = workload;
  if (!networkGateway) return refused('NO_HEALTHY_UPSTREAM', `${far} and has no gateway`, about);
  const behind = serviceIdentities(chosenFrom);
  if (behind.length === 0) {
    const proofs = `${chosenFrom ? `service ${serviceKey(chosenFrom)}` : 'it'} names no identities of its endpoints there`;
    return refused('NO_HEALTHY_UPSTREAM', `${far}, and ${proofs}`, about);
  }
  const named = referenced(store, networkGateway, q.source.namespace);
  const gateway = `${far}, behind gateway ${referenceName(networkGateway)}`;
  if (!named) return refused('NO_HEALTHY_UPSTREAM', `${gateway}, which the mesh does not know`, about);
  const selection = selectUpstream(store, named, networkGateway.hboneMtlsPort, q.source, q.random, 'strict');
  if (selection.kind === 'none') return refused('NO_HEALTHY_UPSTREAM', `${gateway}: ${selection.reason}`, about);
  const { upstream } = selection;
  return located(q, upstream, about, (ip) => ({
    kind: 'gateway',
    dial: { ip, port: upstream.port },
    authority: `${addressed.hostname}:${q.target.port}`,
    expected: expectedIdentities(upstream.workload, upstream.service),
    behind,
    workload: upstream.workload,
    service: addressed,
  }));
}

function located(q: OutboundQuery, upstream: Upstream, about: About, at: (ip: Ip) => OutboundRoute): OutboundRoute {
  const location = locate(upstream, q.target.ip);
  switch (location.kind) {
    case 'ip':
      return at(location.ip);
    case 'hostname':
      return { ...location, workload: upstream.workload, at, ...(about.service && { service: about.service }) };
    case 'none':
      return refused('NO_HEALTHY_UPSTREAM', location.reason, about);
    default:
      return assertNever(location);
  }
}

/** A waypoint's own connections to what is behind it do not go through it again. */
function isOwn(store: MeshReader, source: Workload, waypoint: GatewayAddress): boolean {
  const named: MeshAddress | undefined = referenced(store, waypoint, source.namespace);
  return named !== undefined && isInstanceOf(source, named);
}

function subjectOf({ service, workload }: About): string {
  return service ? `service ${serviceKey(service)}` : workloadName(workload!);
}

function refused(code: ErrorCode, reason: string, about: About): OutboundRoute {
  return { kind: 'refused', code, reason, ...about };
}
