/** References to waypoints and network gateways: which one applies, and what of the mesh it names (ambient-wire 2.1, 2.2). */
import type { MeshReader } from './store.ts';
import type { GatewayAddress, MeshAddress, Service, Workload } from './types.ts';

/** By weight where any weight is above 0, else the plain one. `random` gives [0, 1) and is asked only where there is a choice. */
export function waypointOf(service: Service, random: () => number): GatewayAddress | undefined {
  const weighted = service.weightedWaypoints.filter((w) => w.weight > 0);
  if (weighted.length <= 1) return weighted[0]?.waypoint ?? service.waypoint;
  let left = random() * weighted.reduce((sum, w) => sum + w.weight, 0);
  for (const w of weighted) {
    left -= w.weight;
    if (left < 0) return w.waypoint;
  }
  return weighted.at(-1)!.waypoint;
}

/** All that `waypointOf` may answer. */
export function waypointsOf(service: Service): readonly GatewayAddress[] {
  const weighted = service.weightedWaypoints.filter((w) => w.weight > 0);
  if (weighted.length > 0) return weighted.map((w) => w.waypoint);
  return service.waypoint ? [service.waypoint] : [];
}

/** undefined while the mesh does not know it. An address is a VIP before it is a workload's. */
export function referenced(
  store: MeshReader,
  { destination: d }: GatewayAddress,
  clientNamespace: string,
): MeshAddress | undefined {
  if (d.kind === 'hostname') return store.addressByHostname(d.namespace, d.hostname);
  return store.serviceByVip(d.network, d.ip, clientNamespace) ?? store.workloadByIp(d.network, d.ip);
}

/** `namespace/hostname` or `network/ip`: for messages, and the name that an on-demand client asks for. */
export function referenceName({ destination: d }: GatewayAddress): string {
  return d.kind === 'hostname' ? `${d.namespace}/${d.hostname}` : `${d.network}/${d.ip}`;
}

/** Whether the workload is what the reference names, or one of its endpoints. */
export function isInstanceOf(workload: Workload, named: MeshAddress): boolean {
  if (named.kind === 'workload') return workload.uid === named.uid;
  return workload.services.has(`${named.namespace}/${named.hostname}`);
}
