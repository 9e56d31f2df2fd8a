/** Maglev's table (Eisenbud et al., NSDI 2016, section 3.4) with weights, as Envoy builds it: hosts in the order of their keys. */
import type { Policy } from '../config.ts';
import { xxHash64 } from '../hash/xxhash64.ts';
import { compare } from '../hosts/priorities.ts';
import { hashKey } from './hash-key.ts';
import type { NormalizedHost } from './normalize.ts';
import type { HashTable } from './table.ts';

type Maglev = Extract<Policy, { kind: 'maglev' }>;

const mask = (1n << 64n) - 1n;
const free = 0xffff_ffff;

export function buildMaglev(hosts: readonly NormalizedHost[], { size, keys }: Maglev): HashTable {
  if (hosts.length === 0) return { find: () => undefined };
  const entries = hosts
    .map(({ host, weight }) => ({ host, weight, key: hashKey(host, keys), target: 0, at: 0, skip: 0 }))
    .toSorted((a, b) => compare(a.key, b.key));
  for (const entry of entries) {
    const bytes = Buffer.from(entry.key);
    entry.at = Number(xxHash64(bytes) % BigInt(size));
    entry.skip = Number(xxHash64(bytes, 1n) % BigInt(size - 1)) + 1;
  }
  const most = hosts.reduce((max, { weight }) => Math.max(max, weight), 0);
  const table = new Uint32Array(size).fill(free);
  let filled = 0;
  for (let turn = 1; filled < size; turn++) {
    for (let i = 0; i < entries.length && filled < size; i++) {
      const entry = entries[i]!;
      // The heaviest comes in each turn, others as often as their weight has it.
      if (turn * entry.weight < entry.target) continue;
      entry.target += most;
      while (table[entry.at] !== free) entry.at = (entry.at + entry.skip) % size;
      table[entry.at] = i;
      entry.at = (entry.at + entry.skip) % size;
      filled++;
    }
  }
  const modulus = BigInt(size);
  return {
    find(hash, attempt) {
      const used = attempt === 0 ? hash : hash ^ ((mask - BigInt(attempt) + 1n) & mask);
      return entries[table[Number(used % modulus)]!]!.host;
    },
  };
}
