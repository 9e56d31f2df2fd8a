/** Fifth stage: moves the bytes, for exactly as long as the permit holds. */
import type { Duplex } from 'node:stream';
import type { OpenRelay } from '../handover/open-relays.ts';
import type { Account } from './account.ts';
import type { Permit } from './permit.ts';
import type { ProxyRuntime } from './runtime.ts';

/** Resolves when both directions have ended; both streams are closed and the account is settled then. Never rejects. */
export async function relayWith(
  permit: Permit,
  downstream: Duplex,
  upstream: Duplex,
  account: Account,
  { engine, open }: Pick<ProxyRuntime, 'engine' | 'open'>,
  who: Pick<OpenRelay, 'pod' | 'inbound'>,
): Promise<void> {
  account.opened();
  const seat = open.enter({ ends: { downstream, upstream }, account, ...who });
  const result = await engine.relay(downstream, upstream, { signal: permit.signal, counters: account.counters });
  open.leave(seat);
  account.relayed(result, permit.withdrawn);
}
