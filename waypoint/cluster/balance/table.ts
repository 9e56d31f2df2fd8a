/** Consistent hashing: a hash to a host. */
import type { LiveHost } from '../hosts/host.ts';

export interface HashTable {
  /** `hash` is unsigned, 64 bits. `attempt` above 0 asks for another host, which need not be another one. */
  find(hash: bigint, attempt: number): LiveHost | undefined;
}
