/** Where an HBONE stream to a pod goes (ambient-wire 2.4), pure functions over the store. */
import type { Ip, Port, SocketAddr } from '../core/net.ts';
import { type Authority, formatAuthority } from '../hbone/headers.ts';
import { proxyPorts, workloadName } from './address.ts';
import { mapped } from './balance.ts';
import { type MeshReader, serviceKey } from './store.ts';
import type { Service, Workload } from './types.ts';

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
