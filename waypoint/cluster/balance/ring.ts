/** Ketama's ring as Envoy builds it: each host in so many places as its weight says, a request goes to the next place. */
import type { Policy } from '../config.ts';
import { murmur2 } from '../hash/murmur.ts';
import { xxHash64Halves } from '../hash/xxhash64.ts';
import type { LiveHost } from '../hosts/host.ts';
import { hashKey } from './hash-key.ts';
import type { NormalizedHost } from './normalize.ts';
import { type HashTable, type Indices, indexTable } from './table.ts';

type RingHash = Extract<Policy, { kind: 'ring-hash' }>;

export function buildRing(hosts: readonly NormalizedHost[], config: RingHash): HashTable {
  if (hosts.length === 0) return { find: () => undefined };
  const least = hosts.reduce((min, { weight }) => Math.min(min, weight), 1);
  const scale = Math.min(Math.ceil(least * config.minimum) / least, config.maximum);
  const highs: number[] = [];
  const lows: number[] = [];
  const owners: number[] = [];
  let wanted = 0;
  hosts.forEach(({ host, weight }, index) => {
    const place = placer(hashKey(host, config.keys), config.hash);
    wanted += scale * weight;
    for (let i = 0; owners.length < wanted; i++) {
      const { high, low } = place(i);
      highs.push(high);
      lows.push(low);
      owners.push(index);
    }
  });
  return sorted(hosts, highs, lows, owners);
}

/** The hash of `KEY_NUMBER`. */
function placer(key: string, hash: RingHash['hash']) {
  const length = Buffer.byteLength(key);
  const buffer = Buffer.alloc(length + 11);
  buffer.write(`${key}_`);
  return (number: number) => {
    const end = length + 1 + buffer.write(String(number), length + 1, 'latin1');
    if (hash === 'xxhash') return xxHash64Halves(buffer, 0, 0, end);
    const value = murmur2(buffer.subarray(0, end));
    return { high: Number(value >> 32n), low: Number(value & 0xffff_ffffn) };
  };
}

function sorted(
  hosts: readonly NormalizedHost[],
  highs: readonly number[],
  lows: readonly number[],
  owners: readonly number[],
): HashTable {
  const order = Uint32Array.from(owners, (_, i) => i).sort((a, b) => highs[a]! - highs[b]! || lows[a]! - lows[b]!);
  const high = Uint32Array.from(order, (i) => highs[i]!);
  const low = Uint32Array.from(order, (i) => lows[i]!);
  const owner = indexTable(order.length, hosts.length);
  for (let i = 0; i < order.length; i++) owner[i] = owners[order[i]!]!;
  return ringOf(
    high,
    low,
    owner,
    hosts.map(({ host }) => host),
  );
}

/** Apart, so that it keeps nothing of the building alive. */
function ringOf(high: Uint32Array, low: Uint32Array, owner: Indices, hosts: readonly LiveHost[]): HashTable {
  return {
    find(hash, attempt) {
      const at = firstNotBelow(high, low, Number(hash >> 32n), Number(hash & 0xffff_ffffn));
      return hosts[owner[(at + attempt) % owner.length]!];
    },
  };
}

/** Index of the first place at or after the hash; 0 after the last. */
function firstNotBelow(high: Uint32Array, low: Uint32Array, h: number, l: number): number {
  let from = 0;
  let to = high.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (high[middle]! < h || (high[middle] === h && low[middle]! < l)) from = middle + 1;
    else to = middle;
  }
  return from === high.length ? 0 : from;
}
