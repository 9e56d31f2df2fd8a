/** Connections that came past the waypoint before their destination (DESIGN 12, `waypoint-bypass`). Pure. */
import { sameIdentity } from '../identity/spiffe.ts';
import { identityOf } from './address.ts';
import type { MeshReader } from './store.ts';
import type { GatewayAddress, Identity, MeshAddress, Service, Workload } from './types.ts';

/** What the waypoint that was passed stands before. */
export type Bypassed = 'workload' | 'service';

/**
 * `service`: what the connection to `local` was for; `peer`: undefined for plain text. undefined: it came from a waypoint, there is none, or
 * none is running, whose identity it would be.
 */
export function bypassed(
  store: MeshReader,
  local: Workload,
  service: Service | undefined,
  peer: Identity | undefined,
): Bypassed | undefined {
  if (isPast(store, waypointsOf(local), local, peer)) return 'workload';
  return service && isPast(store, waypointsOf(service), local, peer) ? 'service' : undefined;
}

/** Of two, any may send. */
function isPast(
  store: MeshReader,
  waypoints: readonly GatewayAddress[],
  local: Workload,
  peer: Identity | undefined,
): boolean {
  const instances = waypoints.flatMap((w) => instancesOf(store, w, local));
  return instances.length > 0 && !(peer && instances.some((w) => sameIdentity(identityOf(w), peer)));
}

function waypointsOf(owner: MeshAddress): readonly GatewayAddress[] {
  const weighted = owner.kind === 'service' ? owner.weightedWaypoints : [];
  return [...(owner.waypoint ? [owner.waypoint] : []), ...weighted.map((w) => w.waypoint)];
}

function instancesOf(
  store: MeshReader,
  { destination: d }: GatewayAddress,
  { namespace }: Workload,
): readonly Workload[] {
  const found =
    d.kind === 'hostname'
      ? store.addressByHostname(d.namespace, d.hostname)
      : (store.serviceByVip(d.network, d.ip, namespace) ?? store.workloadByIp(d.network, d.ip));
  if (!found) return [];
  return found.kind === 'workload' ? [found] : store.endpoints(found).map((e) => e.workload);
}
