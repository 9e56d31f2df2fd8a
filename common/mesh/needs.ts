/**
 * What an on-demand client must have asked for before a connection can be decided: each answer may lead to further names, so
 * callers ask until nothing new is needed. Pure. Names as in common/xds/demand.ts.
 */
import { type Ip, isLoopback, type SocketAddr } from '../core/net.ts';
import type { Authority } from '../hbone/headers.ts';
import { referenced, referenceName, waypointsOf } from './reference.ts';
import { type MeshReader, serviceKey } from './store.ts';
import type { GatewayAddress, MeshAddress, Service, Workload } from './types.ts';

export interface OutboundNeed {
  readonly source: Workload;
  readonly target: SocketAddr;
  readonly network: string;
}

/** For `resolveOutbound`. */
export function outboundNeeds(store: MeshReader, { source, target, network }: OutboundNeed): readonly string[] {
  if (isLoopback(target.ip)) return [];
  const needs = new Set([`${network}/${target.ip}`]);
  const service = store.serviceByVip(network, target.ip, source.namespace);
  const workload = service ? undefined : store.workloadByIp(network, target.ip);
  const waypoints = service ? waypointsOf(service) : workload?.waypoint ? [workload.waypoint] : [];
  const refer = (reference: GatewayAddress): MeshAddress | undefined => {
    needs.add(referenceName(reference));
    return referenced(store, reference, source.namespace);
  };
  const reach = (s: Service) => {
    for (const { workload: w } of store.endpoints(s)) {
      if (w.networkGateway && w.network !== source.network) refer(w.networkGateway);
    }
  };
  for (const waypoint of waypoints) {
    const named = refer(waypoint);
    if (named?.kind === 'service') reach(named);
    else if (named?.networkGateway && named.network !== source.network) refer(named.networkGateway);
  }
  if (service && waypoints.length === 0) reach(service);
  return [...needs];
}

export interface InboundNeed {
  readonly local: Workload;
  /** The TCP peer. */
  readonly remote: Ip;
  /** undefined for plain text. */
  readonly authority: Authority | undefined;
  readonly network: string;
}

/** For `resolveInbound`. */
export function inboundNeeds({ local, authority, network }: InboundNeed): readonly string[] {
  if (authority?.kind === 'hostname') return [serviceKey({ namespace: local.namespace, hostname: authority.hostname })];
  if (!authority || local.addresses.includes(authority.address.ip)) return [];
  // Is this pod a waypoint of that address? It is known by the services that it is an endpoint of.
  return [`${network}/${authority.address.ip}`, ...local.services.keys()];
}

/** What only the labels of a connection are made of: asked for, not waited for. */
export function labelNeeds({ local, remote, network }: InboundNeed): readonly string[] {
  return [...local.services.keys(), ...(isLoopback(remote) ? [] : [`${network}/${remote}`])];
}
