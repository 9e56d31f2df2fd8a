/** Names of the world, by the servers of the program's own resolv.conf. */
import { Resolver } from 'node:dns/promises';
import { type Ip, parseIp } from '../core/net.ts';

export interface NameRecord {
  readonly ip: Ip;
  readonly ttlSeconds: number;
}

/** Both families. Rejects where there is no such name, or nobody answers. */
export type Lookup = (hostname: string) => Promise<readonly NameRecord[]>;

/** ms that a server may take, and how often each is asked. */
const patience = { timeout: 2_000, tries: 2 };
/** What a name has none of is no failure while the other family has some. */
const empty = new Set(['ENODATA', 'ENOTFOUND']);

/** A lookup that failed because the name has no address; else nobody could say. */
export function isWithoutAddress(cause: unknown): boolean {
  return empty.has((cause as NodeJS.ErrnoException).code ?? '');
}

/** `servers` as `ip:port`; default those of resolv.conf. */
export function systemLookup(servers?: readonly string[]): Lookup {
  const resolver = new Resolver(patience);
  if (servers) resolver.setServers(servers);
  return async (hostname) => {
    const [v4, v6] = await Promise.allSettled([
      resolver.resolve4(hostname, { ttl: true }),
      resolver.resolve6(hostname, { ttl: true }),
    ]);
    const records = [...recordsOf(v4), ...recordsOf(v6)];
    if (records.length > 0) return records;
    // One that did not answer says more than one that has none.
    const failures = [v4, v6].flatMap((r) => (r.status === 'rejected' ? [r.reason as NodeJS.ErrnoException] : []));
    const worst = failures.find((e) => !isWithoutAddress(e)) ?? failures[0];
    if (worst) throw worst;
    return [];
  };
}

function recordsOf(
  result: PromiseSettledResult<readonly { readonly address: string; readonly ttl: number }[]>,
): readonly NameRecord[] {
  if (result.status === 'rejected') return [];
  return result.value.flatMap(({ address, ttl }) => {
    const ip = parseIp(address);
    return ip === undefined ? [] : [{ ip, ttlSeconds: ttl }];
  });
}
