/** Consistent hashing: a hash to a host. */
import type { LiveHost } from '../hosts/host.ts';

export interface HashTable {
  /** `hash` is unsigned, 64 bits. `attempt` above 0 asks for another host, which need not be another one. */
  find(hash: bigint, attempt: number): LiveHost | undefined;
}

export type Indices = Uint8Array | Uint16Array | Uint32Array;

/** Zeros, wide enough for numbers up to `most`: tables of a thousand clusters are much of a proxy's memory. */
export function indexTable(size: number, most: number): Indices {
  if (most < 256) return new Uint8Array(size);
  return most < 65_536 ? new Uint16Array(size) : new Uint32Array(size);
}
