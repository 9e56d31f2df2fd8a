/** Names of clusters, chains and routes, as Istio gives them (ambient-wire 10): its tools and metrics read them apart. */

/** Listeners and clusters of a waypoint that are always there. */
export const connectTerminate = 'connect_terminate';
export const mainInternal = 'main_internal';
export const connectOriginate = 'connect_originate';
export const encap = 'encap';
/** Of waypoints that reach other networks: tunnels within tunnels. */
export const innerConnectOriginate = 'inner_connect_originate';
export const outerConnectOriginate = 'outer_connect_originate';

/** Towards a service behind the waypoint itself; `kind` is how its endpoints are spoken to. */
export function inboundCluster(hostname: string, port: number, kind: 'tcp' | 'http', subset = ''): string {
  return `inbound-vip|${port}|${subset === '' ? kind : `${kind}/${subset}`}|${hostname}`;
}

/** Towards any other service of the mesh, and what proxyless clients ask for. */
export function outboundCluster(hostname: string, port: number, subset = ''): string {
  return `outbound|${port}|${subset}|${hostname}`;
}

/** Host name of the service that such a name is of; undefined: a name of another form. */
export function hostOfInbound(name: string): string | undefined {
  return /^inbound-vip\|[1-9]\d{0,4}\|(?:tcp|http)(?:\/[^|]+)?\|([^|]+)$/.exec(name)?.[1];
}

export interface OutboundName {
  readonly port: number;
  /** Empty: the whole service. */
  readonly subset: string;
  readonly hostname: string;
}

/** undefined: a name of another form. */
export function parseOutbound(name: string): OutboundName | undefined {
  const [, port, subset = '', hostname] = /^outbound\|([1-9]\d{0,4})\|([^|]*)\|([^|]+)$/.exec(name) ?? [];
  return hostname === undefined ? undefined : { port: Number(port), subset, hostname };
}
