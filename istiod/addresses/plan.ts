/**
 * Addresses for the hosts of ServiceEntries that have none, so that connections to them can be told apart (as Istio's controller of the
 * same purpose gives them): one of each family and host, kept in status.addresses. Pure: from all entries as they are to what differs.
 */
import { type Cidr, firstOf, type Ip, ipFromBytes, ipToBytes, isIpv6, parseIp } from '../../common/core/net.ts';
import { keyOf } from '../../common/kube/informer.ts';
import type { ServiceEntry } from '../../common/kube/kinds/istio/service-entry.ts';
import { hostsWithAddresses, wantsAddresses } from '../model/service-entry.ts';

/** Neither is given out on the internet: class E, and a block for benchmarks (RFC 5180). */
export const ranges: readonly Cidr[] = [
  { ip: '240.240.0.0' as Ip, length: 16 },
  { ip: '2001:2::' as Ip, length: 48 },
];

export interface Given {
  readonly host: string;
  readonly value: string;
}

/** What status.addresses shall be, of those entries where it is not. Who came first keeps an address that two have. */
export function planAddresses(entries: Iterable<ServiceEntry>): ReadonlyMap<string, readonly Given[]> {
  const inOrder = [...entries].sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
  const taken = new Set<Ip>(inOrder.flatMap((e) => (e.spec.addresses ?? []).flatMap((a) => parseIp(a) ?? [])));
  const kept = new Map<ServiceEntry, ReadonlyMap<string, readonly Ip[]>>();
  for (const entry of inOrder) if (wantsAddresses(entry)) kept.set(entry, keep(entry, taken));
  const pool = new Pool(taken);
  const changes = new Map<string, readonly Given[]>();
  for (const entry of inOrder) {
    const present = entry.status?.addresses ?? [];
    const held = kept.get(entry);
    const wanted = held ? hostsWithAddresses(entry).flatMap((host) => give(host, held.get(host), pool)) : [];
    const text = (all: readonly { readonly host?: string; readonly value?: string }[]) =>
      JSON.stringify(all.map(({ host, value }) => [host, value]));
    if (text(wanted) !== text(present)) changes.set(keyOf(entry.metadata), wanted);
  }
  return changes;
}

function orderOf({ metadata: m }: ServiceEntry): string {
  return `${m.creationTimestamp ?? ''} ${m.namespace}/${m.name}`;
}

/** What its hosts have and nobody before it. */
function keep(entry: ServiceEntry, taken: Set<Ip>): ReadonlyMap<string, readonly Ip[]> {
  const hosts = new Set(hostsWithAddresses(entry));
  const held = new Map<string, Ip[]>();
  for (const { host = '', value = '' } of entry.status?.addresses ?? []) {
    const ip = parseIp(value);
    const all = held.get(host) ?? [];
    const isSecond = ip !== undefined && all.some((other) => isIpv6(other) === isIpv6(ip));
    if (ip === undefined || isSecond || !hosts.has(host) || taken.has(ip) || !isOurs(ip)) continue;
    taken.add(ip);
    held.set(host, [...all, ip]);
  }
  return held;
}

function give(host: string, held: readonly Ip[] = [], pool: Pool): readonly Given[] {
  return ranges.flatMap((range) => {
    const ip = held.find((h) => isIpv6(h) === isIpv6(range.ip)) ?? pool.next(range);
    return ip === undefined ? [] : [{ host, value: ip }];
  });
}

function isOurs(ip: Ip): boolean {
  return ranges.some((r) => isIpv6(r.ip) === isIpv6(ip) && firstOf({ ip, length: r.length }).ip === r.ip);
}

/** Addresses of one namespace of hosts that are left over; 65,535 of each family. */
const most = 65_535;

class Pool {
  readonly #taken: Set<Ip>;
  readonly #tried = new Map<Cidr, number>();

  constructor(taken: Set<Ip>) {
    this.#taken = taken;
  }

  /** undefined when all are taken. */
  next(range: Cidr): Ip | undefined {
    for (let n = (this.#tried.get(range) ?? 0) + 1; n <= most; n++) {
      this.#tried.set(range, n);
      const bytes = ipToBytes(range.ip);
      bytes[bytes.length - 2]! |= n >> 8;
      bytes[bytes.length - 1]! |= n & 0xff;
      const ip = ipFromBytes(bytes)!;
      if (this.#taken.has(ip)) continue;
      this.#taken.add(ip);
      return ip;
    }
    return undefined;
  }
}
