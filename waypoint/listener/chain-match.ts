/** envoy.config.listener.v3.FilterChainMatch: the most specific chain wins, one criterion after the other, without a way back. */

import { matchesCidr } from '../../common/authz/matchers.ts';
import { type Cidr, ipToBytes, parseCidr, parseIp } from '../../common/core/net.ts';
import type { Fields } from '../../common/envoy/fields.ts';
import type { ConnectionFacts } from './facts.ts';

export interface ChainMatch {
  readonly destinationPort: number | undefined;
  readonly destinations: readonly Cidr[];
  /** Lower case; `.example.com` for a wildcard. */
  readonly serverNames: readonly string[];
  readonly transport: string;
  readonly applicationProtocols: readonly string[];
  readonly directSources: readonly Cidr[];
  readonly sourceType: 'ANY' | 'SAME_IP_OR_LOOPBACK' | 'EXTERNAL';
  readonly sources: readonly Cidr[];
  readonly sourcePorts: readonly number[];
}

export function readChainMatch(match: Fields | undefined): ChainMatch {
  return {
    destinationPort: match?.wrapped('destination_port', 1, 65_535),
    destinations: match ? readRanges(match, 'prefix_ranges') : [],
    serverNames: match ? readServerNames(match) : [],
    transport: match?.text('transport_protocol') ?? '',
    applicationProtocols: match?.texts('application_protocols') ?? [],
    directSources: match ? readRanges(match, 'direct_source_prefix_ranges') : [],
    sourceType:
      match?.choice('source_type', 'ANY', {
        ANY: 'ANY',
        SAME_IP_OR_LOOPBACK: 'SAME_IP_OR_LOOPBACK',
        EXTERNAL: 'EXTERNAL',
      } as const) ?? 'ANY',
    sources: match ? readRanges(match, 'source_prefix_ranges') : [],
    sourcePorts: (match?.texts('source_ports') ?? []).map(Number),
  };
}

/** core.v3.CidrRange, repeated. */
export function readRanges(owner: Fields, name: string): readonly Cidr[] {
  return owner.list(name).flatMap((range) => {
    const address = range.text('address_prefix');
    const length = range.wrapped('prefix_len', 0, 128) ?? 0;
    const cidr = parseCidr(`${address}/${length}`);
    if (cidr) return [cidr];
    range.mistake('address_prefix', `${address}/${length} is no range of addresses`);
    return [];
  });
}

function readServerNames(match: Fields): readonly string[] {
  return match.texts('server_names').map((name) => {
    if (name.includes('*') && (!name.startsWith('*.') || name.indexOf('*', 1) > 0)) {
      match.mistake('server_names', `${name}: a wildcard may only be the first label`);
    }
    return (name.startsWith('*.') ? name.slice(1) : name).toLowerCase();
  });
}

/** undefined: none matches. */
export function chooseChain<T extends { readonly match: ChainMatch }>(
  chains: readonly T[],
  facts: ConnectionFacts,
): T | undefined {
  let left = narrow(chains, (m) => (m.destinationPort === undefined ? [] : [m.destinationPort]), [facts.local.port]);
  left = narrowByRange(left, (m) => m.destinations, facts.local.address);
  left = narrow(left, (m) => m.serverNames, namesOf(facts.sni));
  left = narrow(left, (m) => (m.transport === '' ? [] : [m.transport]), [facts.transport]);
  left = narrow(left, (m) => m.applicationProtocols, facts.applicationProtocols);
  left = narrowByRange(left, (m) => m.directSources, facts.directRemote.address);
  const local = facts.remote.address === facts.local.address || isLoopbackText(facts.remote.address);
  left = narrow(left, (m) => (m.sourceType === 'ANY' ? [] : [m.sourceType]), [
    local ? 'SAME_IP_OR_LOOPBACK' : 'EXTERNAL',
  ]);
  left = narrowByRange(left, (m) => m.sources, facts.remote.address);
  left = narrow(left, (m) => m.sourcePorts, [facts.remote.port]);
  return left[0];
}

function isLoopbackText(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** `a.b.c`, `.b.c`, `.c`: the most specific first. */
function namesOf(sni: string | undefined): readonly string[] {
  if (sni === undefined || sni === '') return [];
  const labels = sni.toLowerCase().split('.');
  return [labels.join('.'), ...labels.slice(1).map((_, i) => `.${labels.slice(i + 1).join('.')}`)];
}

/** Keeps those that name the first of `values` that any names; without one, those that name nothing. */
function narrow<T extends { readonly match: ChainMatch }, V>(
  chains: readonly T[],
  named: (match: ChainMatch) => readonly V[],
  values: readonly V[],
): readonly T[] {
  for (const value of values) {
    const found = chains.filter((chain) => named(chain.match).includes(value));
    if (found.length > 0) return found;
  }
  return chains.filter((chain) => named(chain.match).length === 0);
}

function narrowByRange<T extends { readonly match: ChainMatch }>(
  chains: readonly T[],
  ranges: (match: ChainMatch) => readonly Cidr[],
  address: string,
): readonly T[] {
  const parsed = parseIp(address);
  const ip = parsed && ipToBytes(parsed);
  let best = -1;
  let found: T[] = [];
  for (const chain of chains) {
    const lengths = ip ? ranges(chain.match).filter((range) => matchesCidr(range, ip)) : [];
    const length = Math.max(-1, ...lengths.map((range) => range.length));
    if (length < 0 || length < best) continue;
    if (length > best) found = [];
    best = length;
    found.push(chain);
  }
  return found.length > 0 ? found : chains.filter((chain) => ranges(chain.match).length === 0);
}
