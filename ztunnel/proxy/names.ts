/** Addresses of workloads that the mesh knows by a DNS name only (ambient-wire 2.2). */
import type { Clock } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { type Ip, isIpv6 } from '../../common/core/net.ts';
import type { Lookup } from '../../common/dns/system-lookup.ts';

/** One of its addresses, at random, of the preferred family where it has any. MeshError NO_HEALTHY_UPSTREAM. */
export type ResolveName = (hostname: string, preferIpv6: boolean) => Promise<Ip>;

/** Names kept; beyond that the one that was asked for longest ago goes. */
const maxNames = 4096;
/** Seconds that an answer is kept at least, and a failure: a record without TTL must not mean a query for each connection. */
const shortest = 1;
const longest = 3600;

interface Entry {
  readonly records: Promise<readonly Ip[]>;
  /** ms on the clock; unknown while the query is out. */
  expires: number;
}

export function nameResolver(lookup: Lookup, clock: Clock, random: () => number): ResolveName {
  const entries = new Map<string, Entry>();

  function ask(hostname: string): Entry {
    const known = entries.get(hostname);
    entries.delete(hostname);
    const fresh = known && known.expires > clock.now() ? known : query(hostname);
    entries.set(hostname, fresh);
    if (entries.size > maxNames) entries.delete(entries.keys().next().value!);
    return fresh;
  }

  function query(hostname: string): Entry {
    const keep = (seconds: number) => {
      entry.expires = clock.now() + Math.min(longest, Math.max(shortest, seconds)) * 1000;
    };
    const records = lookup(hostname).then(
      (found) => {
        keep(found.reduce((ttl, r) => Math.min(ttl, r.ttlSeconds), longest));
        return found.map((r) => r.ip);
      },
      (cause: unknown) => {
        keep(shortest);
        throw new MeshError('NO_HEALTHY_UPSTREAM', `${hostname} cannot be resolved: ${describeError(cause)}`, {
          cause,
        });
      },
    );
    const entry: Entry = { records, expires: Number.POSITIVE_INFINITY };
    return entry;
  }

  return async (hostname, preferIpv6) => {
    const all = await ask(hostname).records;
    const preferred = all.filter((ip) => isIpv6(ip) === preferIpv6);
    const candidates = preferred.length > 0 ? preferred : all;
    const chosen = candidates[Math.floor(random() * candidates.length)];
    if (chosen === undefined) throw new MeshError('NO_HEALTHY_UPSTREAM', `${hostname} has no address`);
    return chosen;
  };
}
