/**
 * How requests divide among priorities, in percent, and which priorities panic: Envoy's arithmetic, with its roundings ("Priority
 * levels", "Panic threshold" in its documentation). Pure.
 */
import type { HostView, PriorityHosts } from '../hosts/priorities.ts';

export interface PriorityLoad {
  /** Percent for healthy, then for degraded hosts of each priority; 100 together. */
  readonly healthy: readonly number[];
  readonly degraded: readonly number[];
  readonly panic: readonly boolean[];
  /** Percent of each priority's load that it could take, overprovisioned. */
  readonly available: readonly Available[];
}

interface Available {
  readonly healthy: number;
  readonly degraded: number;
}

export type Availability = 'healthy' | 'degraded';

export function priorityLoad(view: HostView, panicThreshold: number): PriorityLoad {
  const { priorities } = view;
  const available = priorities.map((hosts) => availability(hosts, view));
  const total = Math.min(
    100,
    available.reduce((sum, a) => sum + a.healthy + a.degraded, 0),
  );
  const share = priorities.map(() => 0);
  if (panicThreshold === 0 && total === 0) {
    // No host can be had; the load must be somewhere.
    return { healthy: share.with(0, 100), degraded: share, panic: priorities.map(() => false), available };
  }
  const panic = priorities.map((hosts) => total !== 100 && panics(hosts, panicThreshold));
  if (panic.every(Boolean)) return { ...loadInTotalPanic(priorities), panic, available };
  return { ...distribute(available, total), panic, available };
}

/** The load when some priorities take none; undefined: no other can take any. */
export function loadWithout(load: PriorityLoad, excluded: ReadonlySet<number>): PriorityLoad | undefined {
  const available = load.available.map((a, i) => (excluded.has(i) ? { healthy: 0, degraded: 0 } : a));
  const total = Math.min(
    100,
    available.reduce((sum, a) => sum + a.healthy + a.degraded, 0),
  );
  return total === 0 ? undefined : { ...load, ...distribute(available, total) };
}

/** `random`: a number from 0 to 99. */
export function choosePriority(
  load: PriorityLoad,
  random: number,
): { readonly priority: number; readonly availability: Availability } {
  let sum = 0;
  for (const availability of ['healthy', 'degraded'] as const) {
    const shares = load[availability];
    for (let priority = 0; priority < shares.length; priority++) {
      sum += shares[priority]!;
      if (random < sum) return { priority, availability };
    }
  }
  return { priority: 0, availability: 'healthy' };
}

function availability(hosts: PriorityHosts, view: HostView) {
  const size = hosts.all.length - hosts.excluded;
  if (size === 0) return { healthy: 0, degraded: 0 };
  const weigh = view.weightedPriorityHealth
    ? (list: PriorityHosts['all']) => list.reduce((sum, host) => sum + host.weight, 0)
    : (list: PriorityHosts['all']) => list.length;
  const total = weigh(hosts.excluded === 0 ? hosts.all : hosts.all.filter((host) => !host.excluded));
  const percent = (list: PriorityHosts['all']) =>
    Math.min(100, Math.floor((view.overprovisioning * weigh(list)) / total));
  return { healthy: percent(hosts.healthy), degraded: percent(hosts.degraded) };
}

function panics(hosts: PriorityHosts, threshold: number): boolean {
  const size = hosts.all.length - hosts.excluded;
  const percent = size === 0 ? 0 : (100 * hosts.healthy.length) / size + (100 * hosts.degraded.length) / size;
  return percent < Math.min(100, threshold);
}

function distribute(available: readonly Available[], total: number): Pick<PriorityLoad, 'healthy' | 'degraded'> {
  let rest = 100;
  const take = (percent: number) => {
    const load = Math.min(rest, Math.floor((percent * 100) / total));
    rest -= load;
    return load;
  };
  const healthy = available.map((a) => take(a.healthy));
  const degraded = available.map((a) => take(a.degraded));
  // What rounding left over goes to the first that has a host.
  const first = available.findIndex((a) => a.healthy > 0);
  if (first >= 0) healthy[first]! += rest;
  else degraded[available.findIndex((a) => a.degraded > 0)]! += rest;
  return { healthy, degraded };
}

/** By numbers of hosts, whatever their health. */
function loadInTotalPanic(priorities: readonly PriorityHosts[]): Pick<PriorityLoad, 'healthy' | 'degraded'> {
  const degraded = priorities.map(() => 0);
  const total = priorities.reduce((sum, hosts) => sum + hosts.all.length, 0);
  if (total === 0) return { healthy: degraded.with(0, 100), degraded };
  const healthy = priorities.map((hosts) => Math.floor((100 * hosts.all.length) / total));
  const rest = 100 - healthy.reduce((a, b) => a + b, 0);
  healthy[priorities.findIndex((hosts) => hosts.all.length > 0)]! += rest;
  return { healthy, degraded };
}
