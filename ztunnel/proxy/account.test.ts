import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ip, port } from '../../common/testing/builders.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { Account, type ConnectionRecord, type Outcome, type TrafficSink } from './account.ts';

const record: ConnectionRecord = {
  direction: 'outbound',
  sourceAddress: { ip: ip('10.0.0.1'), port: port(50_000) },
  destinationAddress: { ip: ip('10.0.0.2'), port: port(80) },
  mtls: false,
};

function noting() {
  const told: (string | Outcome)[] = [];
  const open = { closed: (outcome: Outcome) => void told.push('closed', outcome), left: () => void told.push('left') };
  const begin = (how: string) => () => {
    told.push(how);
    return open;
  };
  const sink: TrafficSink = {
    resolving: () => undefined,
    opened: begin('opened'),
    resumed: begin('resumed'),
    failed: (_, outcome) => void told.push('failed', outcome),
  };
  return { told, sink };
}

test('a connection that moves leaves here without an end, and has its whole duration and bytes there', () => {
  const clock = new FakeClock();
  const here = noting();
  const account = new Account(record, { received: 3, sent: 4 }, here.sink, clock, undefined);
  account.opened();
  clock.advance(5_000);
  const { elapsedMs } = account;
  account.relayed({ received: 3, sent: 4, moved: true }, undefined);
  assert.deepEqual(here.told, ['opened', 'left']);
  assert.throws(() => account.relayed({ received: 3, sent: 4 }, undefined), /twice/);

  const there = noting();
  const next = new FakeClock();
  const resumed = new Account(record, { received: 3, sent: 4 }, there.sink, next, undefined, elapsedMs);
  resumed.resumed();
  next.advance(2_000);
  resumed.relayed({ received: 30, sent: 40 }, 'no longer allowed');
  assert.deepEqual(there.told, [
    'resumed',
    'closed',
    { flag: 'DENY', durationMs: 7_000, received: 3, sent: 4, error: 'no longer allowed' },
  ]);
  assert.throws(() => resumed.resumed(), /opened twice/);
});

test('what was never open cannot go on elsewhere', () => {
  const { sink, told } = noting();
  const account = new Account(record, { received: 0, sent: 0 }, sink, new FakeClock(), undefined);
  assert.throws(() => account.relayed({ received: 0, sent: 0, moved: true }, undefined), /only an open/);
  assert.deepEqual(told, []);
});
