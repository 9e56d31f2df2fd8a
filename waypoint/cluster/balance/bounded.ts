/**
 * Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, 2016) as in Envoy: a host that has more than its share,
 * times a factor, passes requests on to others, in an order that the hash gives.
 */
import { mt19937 } from '../hash/mt19937.ts';
import type { LiveHost } from '../hosts/host.ts';
import type { NormalizedHost } from './normalize.ts';
import type { HashTable } from './table.ts';

/** `factor` in percent, 100 or more. `active` is the number of requests of the whole cluster. */
export function bounded(
  table: HashTable,
  hosts: readonly NormalizedHost[],
  factor: number,
  active: () => number,
): HashTable {
  const weights = new Map(hosts.map(({ host, weight }) => [host, weight]));
  const overload = (host: LiveHost) => {
    const slots = Math.floor(((active() + 1) * factor + 99) / 100);
    return host.load.requests / Math.max(Math.ceil(slots * weights.get(host)!), 1);
  };
  return {
    find(hash, attempt) {
      const first = table.find(hash, attempt);
      if (!first) return undefined;
      let least = overload(first);
      if (least <= 1) return first;
      let best = first;
      for (const host of shuffled(hosts, hash)) {
        if (host === first) continue;
        const load = overload(host);
        if (load <= 1) return host;
        if (load < least) {
          best = host;
          least = load;
        }
      }
      return best;
    },
  };
}

function* shuffled(hosts: readonly NormalizedHost[], hash: bigint): Generator<LiveHost> {
  const random = mt19937(Number(hash & 0xffff_ffffn));
  const order = hosts.map(({ host }) => host);
  for (let i = 0; i < order.length; i++) {
    const j = i + below(random, order.length - i);
    const host = order[j]!;
    order[j] = order[i]!;
    order[i] = host;
    yield host;
  }
}

/** Uniform in [0, bound). */
function below(random: () => number, bound: number): number {
  const step = Math.floor(4_294_967_296 / bound);
  for (;;) {
    const value = Math.floor(random() / step);
    if (value < bound) return value;
  }
}
