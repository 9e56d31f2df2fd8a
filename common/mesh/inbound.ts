/** Where an HBONE stream to a pod goes (ambient-wire 2.4), pure functions over the store. */
import { type Ip, isIpv6, type Port, type SocketAddr } from '../core/net.ts';
import { type Authority, formatAuthority } from '../hbone/headers.ts';
import { findAddress, proxyPorts } from './address.ts';
import { mapped } from './balance.ts';
import { type MeshReader, serviceKey } from './store.ts';
import type { GatewayAddress, MeshAddress, Service, Workload } from './types.ts';

export type InboundRoute =
  | {
      readonly kind: 'upstream';
      /** The pod's own address that the connection came to, at the app's port; policies see this one. */
      readonly target: SocketAddr;
      /** What the app is told in a PROXY header that it was meant for; absent where it takes none. */
      readonly announce?: SocketAddr;
    }
  /** `status` of the answer to CONNECT (ambient-wire 1.4). */
  | { readonly kind: 'refused'; readonly status: 400 | 503; readonly reason: string };

export interface InboundQuery {
  /** This pod's workload. */
  readonly local: Workload;
  readonly authority: Authority;
  /** Local address of the TCP connection that carries the CONNECT. */
  readonly destination: Ip;
  /** The proxy's own NETWORK. */
  readonly network: string;
  /** Namespace of the peer, which sees services as that namespace does. */
  readonly clientNamespace: string;
  /** Default `proxyPorts`; more where the proxy's listeners have other ports. */
  readonly illegalPorts?: ReadonlySet<number>;
}

export function resolveInbound(store: MeshReader, q: InboundQuery): InboundRoute {
  const { local, authority, destination } = q;
  const illegal = q.illegalPorts ?? proxyPorts;
  const asked =
    authority.kind === 'address' ? askedByAddress(store, q, authority.address) : askedByName(store, q, authority);
  if (asked.kind === 'refused') return asked;
  if (illegal.has(asked.port)) return refuse(503, `port ${asked.port} belongs to the proxy itself`);
  const tunnel = local.applicationTunnel;
  const port = (tunnel?.port || asked.port) as Port;
  if (illegal.has(port)) return refuse(503, `the application tunnel's port ${port} belongs to the proxy itself`);
  const target = { ip: destination, port };
  if (tunnel?.protocol !== 'PROXY') return { kind: 'upstream', target };
  if (!asked.meant) return refuse(503, `${formatAuthority(authority)} has no VIP to name in a PROXY header`);
  return { kind: 'upstream', target, announce: asked.meant };
}

type Asked =
  /** The app's port, and the address that the client meant, if there is one. */
  | { readonly kind: 'asked'; readonly port: number; readonly meant: SocketAddr | undefined }
  | Extract<InboundRoute, { kind: 'refused' }>;

/** Only its port is used; the address must be this pod's, or one that this pod is the way to. */
function askedByAddress(store: MeshReader, q: InboundQuery, address: SocketAddr): Asked {
  const allowed =
    address.ip === q.destination || q.local.applicationTunnel !== undefined || isWaypointFor(store, q, address.ip);
  if (allowed) return { kind: 'asked', port: address.port, meant: address };
  return refuse(400, `authority ${formatAuthority(q.authority)} is not this pod's address ${q.destination}`);
}

function askedByName(store: MeshReader, q: InboundQuery, authority: Extract<Authority, { kind: 'hostname' }>): Asked {
  const { local } = q;
  const service = store.serviceByHostname(authority.hostname, local.namespace);
  if (!service) return refuse(503, `authority ${formatAuthority(authority)} names no known service`);
  const own = mapped(local.services.get(serviceKey(service)) ?? [], authority.port);
  const port = own || mapped(service.ports, authority.port) || 0;
  if (port === 0) return refuse(503, `service ${serviceKey(service)} has no port ${authority.port} here`);
  const vip = bestVip(service, q.network);
  return { kind: 'asked', port, meant: vip && { ip: vip, port: authority.port } };
}

/** Whether what has this address is reached through the waypoint that this pod is an instance of. */
function isWaypointFor(store: MeshReader, q: InboundQuery, ip: Ip): boolean {
  const owner = findAddress(store, q.network, ip, q.clientNamespace);
  return owner !== undefined && waypointsOf(owner).some((w) => leadsHere(store, q, w));
}

function waypointsOf(owner: MeshAddress): readonly GatewayAddress[] {
  const weighted = owner.kind === 'service' ? owner.weightedWaypoints : [];
  return [...(owner.waypoint ? [owner.waypoint] : []), ...weighted.filter((w) => w.weight > 0).map((w) => w.waypoint)];
}

function leadsHere(store: MeshReader, q: InboundQuery, { destination: d }: GatewayAddress): boolean {
  const waypoint =
    d.kind === 'hostname'
      ? store.addressByHostname(d.namespace, d.hostname)
      : findAddress(store, d.network, d.ip, q.clientNamespace);
  if (!waypoint) return false;
  return waypoint.kind === 'service'
    ? q.local.services.has(serviceKey(waypoint))
    : waypoint.addresses.includes(q.destination);
}

/** On this network, IPv4 before IPv6; CIDRs are nobody's address. */
function bestVip(service: Service, network: string): Ip | undefined {
  const vips = service.addresses.filter((a) => a.network === network && a.length === undefined).map((a) => a.ip);
  return vips.find((ip) => !isIpv6(ip)) ?? vips[0];
}

/**
 * The service that a connection to `local` was for, for telemetry: what `forwarded: host=` or the authority names if `local`
 * really belongs to it, else the first of its services whose target port is `port`.
 */
export function inboundService(
  store: MeshReader,
  local: Workload,
  named: string | undefined,
  port: number,
): Service | undefined {
  const own = [...local.services.keys()].flatMap((key) => store.service(key) ?? []);
  const found = own.find((s) => s.hostname === named);
  if (found) return found;
  return own.find((s) => {
    const ports = local.services.get(serviceKey(s)) ?? [];
    return s.ports.some((p) => (mapped(ports, p.servicePort) || p.targetPort) === port);
  });
}

function refuse(status: 400 | 503, reason: string): Extract<InboundRoute, { kind: 'refused' }> {
  return { kind: 'refused', status, reason };
}
