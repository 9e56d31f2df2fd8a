/** Asks the system's name servers. The edge of dns/: everything else of it takes a Resolver. */
import { lookup, Resolver as NodeResolver } from 'node:dns/promises';
import type { DnsFamily } from '../config.ts';

export interface Resolved {
  /** In the order of the answer; of the families asked for. Not empty. */
  readonly addresses: readonly string[];
  /** Seconds; undefined: the source says none. */
  readonly ttl: number | undefined;
}

export interface Resolver {
  /** Rejects where the name has no address, or nobody answers. */
  resolve(name: string, family: DnsFamily): Promise<Resolved>;
}

/** DNS with its TTLs; what DNS does not know the system may (`localhost`, /etc/hosts). */
export function systemResolver(): Resolver {
  const resolver = new NodeResolver({ timeout: 5_000, tries: 2 });
  const ask = async (name: string, family: 4 | 6): Promise<Resolved | undefined> => {
    try {
      const answers =
        family === 4 ? await resolver.resolve4(name, { ttl: true }) : await resolver.resolve6(name, { ttl: true });
      if (answers.length === 0) return undefined;
      return { addresses: answers.map(({ address }) => address), ttl: Math.min(...answers.map(({ ttl }) => ttl)) };
    } catch {
      return fromSystem(name, family);
    }
  };
  return { resolve: (name, family) => inFamily(name, family, ask) };
}

async function fromSystem(name: string, family: 4 | 6): Promise<Resolved | undefined> {
  try {
    const answers = await lookup(name, { all: true, family });
    return answers.length === 0 ? undefined : { addresses: answers.map(({ address }) => address), ttl: undefined };
  } catch {
    return undefined;
  }
}

type Ask = (name: string, family: 4 | 6) => Promise<Resolved | undefined>;

/** Which families are asked, and which answer counts, as Envoy's dns_lookup_family has it. */
export async function inFamily(name: string, family: DnsFamily, ask: Ask): Promise<Resolved> {
  const found = await byFamily(name, family, ask);
  if (!found) throw new Error(`${name} has no address (family ${family})`);
  return found;
}

async function byFamily(name: string, family: DnsFamily, ask: Ask): Promise<Resolved | undefined> {
  switch (family) {
    case 'v4':
      return ask(name, 4);
    case 'v6':
      return ask(name, 6);
    case 'auto':
      return (await ask(name, 6)) ?? ask(name, 4);
    case 'v4-preferred':
      return (await ask(name, 4)) ?? ask(name, 6);
    case 'all': {
      const both = (await Promise.all([ask(name, 4), ask(name, 6)])).filter((answer) => answer !== undefined);
      if (both.length === 0) return undefined;
      const ttls = both.flatMap(({ ttl }) => ttl ?? []);
      return {
        addresses: both.flatMap(({ addresses }) => addresses),
        ttl: ttls.length > 0 ? Math.min(...ttls) : undefined,
      };
    }
  }
}
