/** Maglev's table (Eisenbud et al., NSDI 2016, section 3.4) with weights, as Envoy builds it: hosts in the order of their keys. */
import type { Policy } from '../config.ts';
import { xxHash64 } from '../hash/xxhash64.ts';
import type { LiveHost } from '../hosts/host.ts';
import { compare } from '../hosts/priorities.ts';
import { hashKey } from './hash-key.ts';
import type { NormalizedHost } from './normalize.ts';
import { type HashTable, type Indices, indexTable } from './table.ts';

type Maglev = Extract<Policy, { kind: 'maglev' }>;

const mask = (1n << 64n) - 1n;

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
  // 0 is free.
  const table = indexTable(size, entries.length);
  let filled = 0;
  for (let turn = 1; filled < size; turn++) {
    for (let i = 0; i < entries.length && filled < size; i++) {
      const entry = entries[i]!;
      // The heaviest comes in each turn, others as often as their weight has it.
      if (turn * entry.weight < entry.target) continue;
      entry.target += most;
      while (table[entry.at] !== 0) entry.at = (entry.at + entry.skip) % size;
      table[entry.at] = i + 1;
      entry.at = (entry.at + entry.skip) % size;
      filled++;
    }
  }
  return tableOf(
    table,
    entries.map(({ host }) => host),
  );
}

function tableOf(table: Indices, hosts: readonly LiveHost[]): HashTable {
  const size = BigInt(table.length);
  return {
    find(hash, attempt) {
      const used = attempt === 0 ? hash : hash ^ ((mask - BigInt(attempt) + 1n) & mask);
      return hosts[table[Number(used % size)]! - 1];
    },
  };
}
