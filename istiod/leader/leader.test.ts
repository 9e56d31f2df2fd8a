import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MeshError } from '../../common/core/errors.ts';
import { silentLogger } from '../../common/core/log.ts';
import { leaseKind } from '../../common/kube/schema/cluster.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { FakeKube } from '../../common/testing/fake-kube.ts';
import { until } from '../../common/testing/until.ts';
import type { Lease } from './claim.ts';
import { joinElection } from './leader.ts';

const key = { namespace: 'istio-system', name: 'leader' };
const unavailable = new MeshError('API_UNAVAILABLE', 'away');

class Source extends FakeKube {
  away = false;
  override async get(...args: Parameters<FakeKube['get']>): Promise<never> {
    if (this.away) throw unavailable;
    return (await super.get(...args)) as never;
  }
}

function member(source: Source, clock: FakeClock, identity: string) {
  const stop = new AbortController();
  const leadership = joinElection({ source, ...key, identity, clock, log: silentLogger, signal: stop.signal });
  const terms: AbortSignal[] = [];
  leadership.whileLeading((signal) => terms.push(signal));
  return {
    leadership,
    terms,
    kill: () => stop.abort(),
    async stop() {
      stop.abort();
      await leadership.release();
    },
  };
}

/** Time passes in steps in which everybody gets to act. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    clock.advance(500);
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }
}

const holder = async (source: FakeKube) =>
  ((await source.get(leaseKind, key)) as Lease | undefined)?.spec?.holderIdentity;

test('the first leads, the second waits and takes over when the first is gone for 15 s', async () => {
  const [source, clock] = [new Source(), new FakeClock()];
  const a = member(source, clock, 'a');
  await until('a leads', () => a.leadership.leads);
  const b = member(source, clock, 'b');
  await pass(clock, 60_000);
  assert.deepEqual([a.leadership.leads, b.leadership.leads, a.terms.length], [true, false, 1]);
  a.kill();
  await pass(clock, 14_000);
  assert.equal(b.leadership.leads, false);
  await pass(clock, 5_000);
  assert.equal(b.leadership.leads, true);
  assert.equal(await holder(source), 'b');
  const lease = (await source.get(leaseKind, key)) as Lease;
  assert.equal(lease.spec?.leaseTransitions, 1);
  assert.match(lease.spec?.renewTime ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  b.kill();
});

test('who ends gives the lease back, and the next leads at once', async () => {
  const [source, clock] = [new Source(), new FakeClock()];
  const a = member(source, clock, 'a');
  await until('a leads', () => a.leadership.leads);
  const b = member(source, clock, 'b');
  await a.stop();
  assert.equal(a.terms[0]?.aborted, true);
  assert.equal(await holder(source), '');
  await pass(clock, 2_000);
  assert.equal(b.leadership.leads, true);
  b.kill();
});

test('a leader that cannot renew stops before another may begin, and two never lead', async () => {
  const [sourceOfA, clock] = [new Source(), new FakeClock()];
  const a = member(sourceOfA, clock, 'a');
  await until('a leads', () => a.leadership.leads);
  sourceOfA.away = true;
  await pass(clock, 9_000);
  assert.equal(a.leadership.leads, true);
  await pass(clock, 3_000);
  assert.equal(a.leadership.leads, false);
  assert.equal(a.terms[0]?.aborted, true);
  sourceOfA.away = false;
  await pass(clock, 3_000);
  assert.equal(a.leadership.leads, true);
  assert.equal(a.terms.length, 2);
  a.kill();
});

test('of many that begin at once one leads', async () => {
  const [source, clock] = [new Source(), new FakeClock()];
  const members = Array.from({ length: 8 }, (_, i) => member(source, clock, `m${i}`));
  await until('one leads', () => members.some((m) => m.leadership.leads));
  await pass(clock, 10_000);
  assert.equal(members.filter((m) => m.leadership.leads).length, 1);
  for (const m of members) m.kill();
});
