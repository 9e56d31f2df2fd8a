/**
 * Addresses of gateways to other networks that are known by a DNS name. Node proxies look such names up themselves; the tunnels of Envoys
 * lead to addresses alone, so istiod follows the names for them: asked again as records expire, between 30 seconds and an hour (Istio's).
 */
import { millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Ip } from '../../common/core/net.ts';
import { isWithoutAddress, type Lookup } from '../../common/dns/system-lookup.ts';
import type { Looked } from '../envoy/credentials.ts';

export interface GatewayNamesOptions {
  readonly lookup: Lookup;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Whether a Gateway still has the name. */
  readonly isWanted: (hostname: string) => boolean;
  /** What is found is something else now. */
  readonly onChange: (lookup: string) => void;
}

interface Entry {
  /** undefined: the first answer is not there yet. */
  addresses: readonly Ip[] | undefined;
  /** Why there are none, or none newer. */
  problem: string | undefined;
}

const shortest = 30_000;
const longest = 3_600_000;
/** Of a name: each is an endpoint of every service behind the gateway. */
const mostAddresses = 8;

export function lookupOfGateway(hostname: string): string {
  return `addresses of gateway ${hostname}`;
}

export class GatewayNames {
  readonly #o: GatewayNamesOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: GatewayNamesOptions) {
    this.#o = options;
  }

  /** Sorted, without repetition, at most 8; none: nobody knows any. */
  addresses(hostname: string): Looked<readonly Ip[]> {
    let entry = this.#entries.get(hostname);
    if (entry === undefined) {
      entry = { addresses: undefined, problem: undefined };
      this.#entries.set(hostname, entry);
      void this.#ask(hostname, entry);
    }
    return entry.addresses === undefined ? { kind: 'pending' } : { kind: 'found', value: entry.addresses };
  }

  /** Why Envoys are told nothing, or nothing new, of the gateway; undefined: all is well, or no Envoy needs it. */
  problem(hostname: string): string | undefined {
    return this.#entries.get(hostname)?.problem;
  }

  async #ask(hostname: string, entry: Entry): Promise<void> {
    const { lookup, clock, log, signal, isWanted, onChange } = this.#o;
    let found: readonly Ip[] = [];
    let problem: string | undefined;
    let wait = shortest;
    try {
      const records = await lookup(hostname);
      found = [...new Set(records.map((r) => r.ip))].sort().slice(0, mostAddresses);
      const ttl = Math.min(...records.map((r) => r.ttlSeconds * 1000));
      wait = Math.min(longest, Math.max(shortest, ttl));
      if (found.length === 0) problem = 'it has no address';
    } catch (e) {
      problem = describeError(e);
      // Who cannot be asked has not taken anything back.
      if (!isWithoutAddress(e)) found = entry.addresses ?? [];
    }
    if (signal.aborted) return;
    if (problem !== undefined)
      log.warn('the name of a gateway to another network cannot be resolved', {
        hostname,
        addresses: found.join(' '),
        error: problem,
      });
    const isSame = entry.addresses?.join() === found.join();
    entry.addresses = found;
    entry.problem = problem;
    if (!isSame) onChange(lookupOfGateway(hostname));
    clock.after(millis(wait), () => {
      if (signal.aborted) return;
      if (isWanted(hostname)) void this.#ask(hostname, entry);
      else this.#entries.delete(hostname);
    });
  }
}
