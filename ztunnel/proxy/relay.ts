/** Fifth stage: moves the bytes, for exactly as long as the permit holds. */
import type { Duplex } from 'node:stream';
import type { Engine } from '../engine/engine.ts';
import type { Account } from './account.ts';
import type { Permit } from './permit.ts';

/** Resolves when both directions have ended; both streams are closed and the account is settled then. Never rejects. */
export async function relayWith(
  permit: Permit,
  downstream: Duplex,
  upstream: Duplex,
  account: Account,
  engine: Engine,
): Promise<void> {
  account.opened();
  const result = await engine.relay(downstream, upstream, { signal: permit.signal, counters: account.counters });
  account.relayed(result, permit.withdrawn);
}
