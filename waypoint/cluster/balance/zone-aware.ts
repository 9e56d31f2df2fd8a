/**
 * Zone aware routing ("Zone aware routing" of Envoy): keeps requests in the proxy's own locality as far as that leaves every
 * locality of the upstream with its fair share. Needs to know how many proxies of the same kind each locality has. Pure.
 */
import type { Balancing } from '../config.ts';
import { localityKey, type PriorityHosts } from '../hosts/priorities.ts';
import type { Dice, Locality } from '../types.ts';

/** The cluster that this proxy is part of (Envoy's local cluster). */
export interface LocalCluster {
  readonly locality: Locality;
  /** Healthy proxies by `localityKey`. */
  readonly healthy: ReadonlyMap<string, number>;
  /** Too few of them are healthy to conclude anything. */
  readonly panics: boolean;
}

export type ZonePlan =
  | { readonly kind: 'none'; readonly reason: string }
  | { readonly kind: 'direct'; readonly local: number }
  /** `percent`: ten-thousandths that stay; `capacity`: running sums of what each locality can take of the rest. */
  | {
      readonly kind: 'residual';
      readonly local: number;
      readonly percent: number;
      readonly capacity: readonly number[];
    };

type ZoneAware = Extract<Balancing['locality'], { kind: 'zone-aware' }>;

export function planZones(hosts: PriorityHosts, local: LocalCluster | undefined, config: ZoneAware): ZonePlan {
  const none = (reason: string): ZonePlan => ({ kind: 'none', reason });
  if (!local) return none('no local cluster');
  if (hosts.localities.length < 2) return none('one locality');
  if (local.healthy.size < 2) return none('all proxies are in one locality');
  if (!local.healthy.get(localityKey(local.locality))) return none('no proxy is known in the own locality');
  if (hosts.healthy.length < config.minClusterSize) return none('too few hosts');
  const ours = [...local.healthy.values()].reduce((a, b) => a + b, 0);
  const shares = hosts.localities.map(({ locality, healthy }) => ({
    ours: healthy.length === 0 ? 0 : Math.floor((10_000 * (local.healthy.get(localityKey(locality)) ?? 0)) / ours),
    theirs: Math.floor((10_000 * healthy.length) / hosts.healthy.length),
  }));
  const own = localityKey(local.locality);
  const at = hosts.localities.findIndex(({ locality }) => localityKey(locality) === own);
  const here = shares[at];
  if (here && here.theirs > 0 && here.theirs >= here.ours) return { kind: 'direct', local: at };
  let sum = 0;
  const capacity = shares.map((share, i) => {
    if (i !== at) sum += Math.max(0, share.theirs - share.ours);
    return sum;
  });
  const percent = here && here.ours > 0 ? Math.floor((here.theirs * 10_000) / here.ours) : 0;
  return { kind: 'residual', local: at, percent, capacity };
}

/** Index of a locality. */
export function chooseZone(plan: Exclude<ZonePlan, { kind: 'none' }>, dice: Dice): number {
  if (plan.kind === 'direct' || dice.random() * 10_000 < plan.percent) return plan.local;
  const total = plan.capacity[plan.capacity.length - 1]!;
  if (total === 0) return Math.floor(dice.random() * plan.capacity.length);
  const threshold = Math.floor(dice.random() * total);
  return plan.capacity.findIndex((sum) => threshold < sum);
}
