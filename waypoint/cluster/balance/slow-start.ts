/** A host that just became healthy gets less, growing to its weight within a window ("Slow start mode" of Envoy). Pure. */
import type { SlowStart } from '../config.ts';
import type { LiveHost } from '../hosts/host.ts';

/** `now`: monotonic ms. */
export function startingWeight(weight: number, host: LiveHost, slow: SlowStart, now: number): number {
  if (host.healthySince === undefined || host.health !== 'healthy') return weight;
  const age = Math.floor(now - host.healthySince);
  if (age >= slow.window) return weight;
  const time = Math.max(1, age) / slow.window;
  return weight * Math.max(slow.aggression === 1 ? time : time ** (1 / slow.aggression), slow.minWeight);
}

export function isStarting(host: LiveHost, slow: SlowStart, now: number): boolean {
  return host.healthySince !== undefined && now - host.healthySince <= slow.window;
}
