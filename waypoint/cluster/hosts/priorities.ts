/** Hosts by priority, locality and health: what balancers choose from. Pure. */
import type { Locality } from '../types.ts';
import type { LiveHost } from './host.ts';

export interface ByHealth {
  readonly all: readonly LiveHost[];
  readonly healthy: readonly LiveHost[];
  readonly degraded: readonly LiveHost[];
  /** How many of `all` count for nothing. */
  readonly excluded: number;
}

export interface LocalityHosts extends ByHealth {
  readonly locality: Locality;
  /** 0 where none was given. */
  readonly weight: number;
}

export interface PriorityHosts extends ByHealth {
  readonly priority: number;
  /** In Envoy's order: by region, zone, sub-zone. */
  readonly localities: readonly LocalityHosts[];
}

export interface HostView {
  /** By priority, without gaps; at least one. */
  readonly priorities: readonly PriorityHosts[];
  readonly overprovisioning: number;
  readonly weightedPriorityHealth: boolean;
}

export interface LocalityWeight {
  readonly priority: number;
  readonly locality: Locality;
  readonly weight: number | undefined;
}

export function viewOf(
  hosts: readonly LiveHost[],
  weights: readonly LocalityWeight[],
  options: { readonly overprovisioning: number; readonly weightedPriorityHealth: boolean },
): HostView {
  const count = hosts.reduce((most, host) => Math.max(most, host.priority + 1), 1);
  const byPriority = Array.from({ length: count }, (): LiveHost[] => []);
  for (const host of hosts) byPriority[host.priority]!.push(host);
  return {
    ...options,
    priorities: byPriority.map((members, priority) => {
      const known = weights.filter((w) => w.priority === priority);
      return { priority, ...byHealth(members), localities: localitiesOf(members, known) };
    }),
  };
}

function localitiesOf(hosts: readonly LiveHost[], weights: readonly LocalityWeight[]): readonly LocalityHosts[] {
  const groups = new Map<string, LiveHost[]>();
  for (const host of hosts) {
    const key = localityKey(host.locality);
    const group = groups.get(key);
    if (group) group.push(host);
    else groups.set(key, [host]);
  }
  const given = new Map<string, number>();
  for (const { locality, weight } of weights) if (weight !== undefined) given.set(localityKey(locality), weight);
  return [...groups]
    .map(([key, members]) => ({
      locality: members[0]!.locality,
      weight: given.get(key) ?? 0,
      ...byHealth(members),
    }))
    .toSorted((a, b) => compareLocalities(a.locality, b.locality));
}

export function byHealth(hosts: readonly LiveHost[]): ByHealth {
  // One list for the common case that all are well.
  const counted = hosts.every((host) => !host.excluded) ? hosts : hosts.filter((host) => !host.excluded);
  const healthy = counted.every((host) => host.health === 'healthy')
    ? counted
    : counted.filter((host) => host.health === 'healthy');
  const degraded = counted === healthy ? [] : counted.filter((host) => host.health === 'degraded');
  return { all: hosts, healthy, degraded, excluded: hosts.length - counted.length };
}

export function localityKey({ region, zone, subZone }: Locality): string {
  return `${region}/${zone}/${subZone}`;
}

function compareLocalities(a: Locality, b: Locality): number {
  return compare(a.region, b.region) || compare(a.zone, b.zone) || compare(a.subZone, b.subZone);
}

/** By code units, as Envoy by bytes. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
