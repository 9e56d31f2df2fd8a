import assert from 'node:assert/strict';
import { it } from 'node:test';
import { MeshError } from '../core/errors.ts';
import { silentLogger } from '../core/log.ts';
import type { Identity } from '../mesh/types.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { createCertificateStore } from './cert-store.ts';
import type { WorkloadCertificate } from './types.ts';

const never = new AbortController().signal;
const hour = 3_600_000;
const id = (serviceAccount: string): Identity => ({ trustDomain: 'td', namespace: 'ns', serviceAccount });
const a = id('a');
const turn = () => new Promise((resolve) => setImmediate(resolve));
const isUnavailable = (e: unknown) => e instanceof MeshError && e.code === 'IDENTITY_UNAVAILABLE';

/** A CA whose answers the test gives one by one; `auto` answers at once. Jitter is off: random is in the middle. */
function rig({ random = 0.5, auto = true }: { random?: number; auto?: boolean } = {}) {
  const clock = new FakeClock();
  const asked: { identity: Identity; signal: AbortSignal; answer: PromiseWithResolvers<WorkloadCertificate> }[] = [];
  const state = { auto, failing: false };
  const issue = (identity: Identity, life = 24 * hour): WorkloadCertificate => ({
    identity,
    privateKey: '',
    chain: [`${asked.length}`],
    roots: [],
    notBefore: clock.wall(),
    notAfter: clock.wall() + life,
  });
  const store = createCertificateStore({
    clock,
    log: silentLogger,
    random: () => random,
    authority: {
      fetch(identity, signal) {
        const answer = Promise.withResolvers<WorkloadCertificate>();
        asked.push({ identity, signal, answer });
        if (state.failing) answer.reject(new MeshError('IDENTITY_UNAVAILABLE', 'istiod is away'));
        else if (state.auto) answer.resolve(issue(identity));
        return answer.promise;
      },
    },
  });
  const advance = async (ms: number) => {
    clock.advance(ms);
    await turn();
  };
  return { clock, asked, state, issue, store, advance };
}

it('asks once for many that wait', async () => {
  const { store, asked } = rig();
  const all = await Promise.all([store.get(a, never), store.get(a, never), store.get({ ...a }, never)]);
  assert.equal(asked.length, 1);
  assert.equal(all[0], all[2]);
  assert.equal(await store.get(a, never), all[0]);
});

it('renews at half of the life, with jitter', async () => {
  for (const [random, share] of [
    [0, 0.45],
    [0.5, 0.5],
    [1, 0.55],
  ] as const) {
    const { store, asked, advance } = rig({ random });
    const first = await store.get(a, never);
    await advance(share * 24 * hour - 1);
    assert.equal(asked.length, 1);
    await advance(2);
    assert.equal(asked.length, 2);
    assert.notEqual(await store.get(a, never), first);
  }
});

it('keeps a valid certificate while renewal fails, backing off to 150 s', async () => {
  const { store, asked, clock, advance, state } = rig();
  const first = await store.get(a, never);
  state.failing = true;
  await advance(12 * hour);
  const delays: number[] = [];
  for (let i = 0; i < 10; i++) {
    delays.push(clock.nextIn!);
    assert.equal(await store.get(a, never), first);
    await advance(clock.nextIn!);
  }
  assert.deepEqual(
    delays,
    [1, 2, 4, 8, 16, 32, 64, 128, 150, 150].map((s) => s * 1000),
  );
  assert.equal(asked.length, 12);
  state.failing = false;
  await advance(clock.nextIn!);
  assert.notEqual(await store.get(a, never), first);
  await advance(12 * hour - 1);
  assert.equal(asked.length, 13);
  await advance(1);
  assert.equal(asked.length, 14);
});

it('spreads the back-off by 20 %', async () => {
  for (const [random, wanted] of [
    [0, 800],
    [1, 1200],
  ] as const) {
    const { store, clock, state } = rig({ random });
    state.failing = true;
    await assert.rejects(store.get(a, never), isUnavailable);
    assert.equal(Math.round(clock.nextIn!), wanted);
  }
});

it('retries no later than the expiry, and fails closed from then on', async () => {
  const { store, asked, clock, advance, state, issue } = rig({ auto: false });
  const pending = store.get(a, never);
  await turn();
  asked[0]!.answer.resolve(issue(a, 100_000));
  await pending;
  state.failing = true;
  await advance(50_000);
  while (clock.wall() < (await pending).notAfter) {
    await store.get(a, never);
    assert.ok(clock.wall() + clock.nextIn! <= (await pending).notAfter);
    await advance(clock.nextIn!);
  }
  await assert.rejects(store.get(a, never), (e) => isUnavailable(e) && /expired/.test((e as Error).message));
  assert.equal(store.entries()[0]!.state.kind, 'unavailable');
  state.failing = false;
  state.auto = true;
  await advance(clock.nextIn!);
  await store.get(a, never);
});

it('reports the first failure, and recovers by itself', async () => {
  const { store, advance, state } = rig();
  state.failing = true;
  await assert.rejects(store.get(a, never), (e) => isUnavailable(e) && /istiod is away/.test((e as Error).message));
  await assert.rejects(store.get(a, never), isUnavailable);
  assert.equal(store.entries()[0]!.state.kind, 'unavailable');
  state.failing = false;
  await advance(1000);
  await store.get(a, never);
  assert.equal(store.entries()[0]!.state.kind, 'available');
});

it('takes no certificate that is not valid now', async () => {
  for (const shift of [-48 * hour, hour]) {
    const { store, asked, clock } = rig({ auto: false });
    const pending = store.get(a, never);
    await turn();
    const notBefore = clock.wall() + shift;
    asked[0]!.answer.resolve({
      identity: a,
      privateKey: '',
      chain: [],
      roots: [],
      notBefore,
      notAfter: notBefore + 24 * hour,
    });
    await assert.rejects(pending, isUnavailable);
    assert.equal(clock.nextIn, 1000);
  }
});

it('makes 8 requests at a time, those that somebody waits for first', async () => {
  const { store, asked } = rig({ auto: false });
  for (let i = 0; i < 20; i++) store.prefetch(id(`warm-${i}`));
  void store.get(id('urgent'), never).catch(() => undefined);
  void store.get(id('warm-15'), never).catch(() => undefined);
  await turn();
  assert.equal(asked.length, 8);
  asked[0]!.answer.reject(new Error('no'));
  asked[1]!.answer.reject(new Error('no'));
  await turn();
  assert.deepEqual(
    asked.slice(8).map((r) => r.identity.serviceAccount),
    ['urgent', 'warm-15'],
  );
  store.close();
});

it('forgets: requests are aborted, waiters told, late answers dropped', async () => {
  const { store, asked, clock, issue } = rig({ auto: false });
  const pending = store.get(a, never);
  await turn();
  store.forget(a);
  await assert.rejects(pending, isUnavailable);
  assert.ok(asked[0]!.signal.aborted);
  const again = store.get(a, never);
  await turn();
  asked[0]!.answer.resolve(issue(a));
  await turn();
  assert.equal(store.entries()[0]!.state.kind, 'initializing');
  const fresh = issue(a);
  asked[1]!.answer.resolve(fresh);
  assert.equal(await again, fresh);
  store.forget(a);
  assert.equal(clock.timers, 0);
  assert.deepEqual(store.entries(), []);
  store.forget(a);
});

it('lets one that waits leave without disturbing the others', async () => {
  const { store, asked, issue } = rig({ auto: false });
  const abort = new AbortController();
  const leaves = store.get(a, abort.signal);
  const stays = store.get(a, never);
  await turn();
  abort.abort(new Error('gone'));
  await assert.rejects(leaves, /gone/);
  assert.ok(!asked[0]!.signal.aborted);
  asked[0]!.answer.resolve(issue(a));
  await stays;
});

it('stops on close', async () => {
  const { store, clock, asked } = rig();
  await store.get(a, never);
  store.close();
  assert.equal(clock.timers, 0);
  store.prefetch(id('b'));
  assert.equal(asked.length, 1);
  await assert.rejects(store.get(a, never), isUnavailable);
});

it('asks once, within a minute, when the clock was set past half of the life', async () => {
  const { store, asked, clock, advance } = rig();
  const first = await store.get(a, never);
  clock.setWall(hour);
  await advance(hour);
  assert.equal(asked.length, 1, 'an hour is nothing to a certificate of a day');
  clock.setWall(11 * hour);
  await advance(60_000);
  assert.equal(asked.length, 2);
  assert.notEqual(await store.get(a, never), first);
  await advance(hour);
  assert.equal(asked.length, 2);
});

it('asks at once, and no more than once, for a certificate that the clock made invalid and somebody wants', async () => {
  for (const [set, why] of [
    [25 * hour, /expired at/],
    [-hour, /is valid from .*, and here it is/],
  ] as const) {
    const { store, asked, clock, advance } = rig();
    await store.get(a, never);
    await advance(10_000);
    clock.setWall(set);
    const refusals = [store.get(a, never), store.get(a, never), store.get(a, never)];
    for (const refused of refusals) await assert.rejects(refused, (e) => isUnavailable(e) && why.test(`${e}`));
    await turn();
    assert.equal(asked.length, 2);
    await store.get(a, never);
    await advance(hour);
    assert.equal(asked.length, 2);
  }
});

it('a certificate that expired while the CA was away is asked for every 5 s while somebody wants it', async () => {
  const { store, asked, advance, state } = rig();
  await store.get(a, never);
  state.failing = true;
  await advance(24 * hour);
  const before = asked.length;
  await advance(1_000);
  for (let s = 0; s < 60; s++) {
    await assert.rejects(store.get(a, never), isUnavailable);
    await advance(1_000);
  }
  assert.ok(asked.length - before <= 13, `${asked.length - before} in 61 s`);
  state.failing = false;
  await advance(5_000);
  await assert.rejects(store.get(a, never), isUnavailable);
  await turn();
  await store.get(a, never);
});
