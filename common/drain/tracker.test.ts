import assert from 'node:assert/strict';
import { test } from 'node:test';
import { millis } from '../core/brand.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { DrainTracker } from './tracker.ts';

/** What a promise that is settled already gives; undefined while it is pending. */
async function settled<T>(promise: Promise<T>): Promise<T | undefined> {
  return Promise.race([promise, new Promise<undefined>((resolve) => setImmediate(resolve, undefined))]);
}

test('ends as soon as all have ended, before the deadline', async () => {
  const clock = new FakeClock();
  const tracker = new DrainTracker();
  let cuts = 0;
  const done = [1, 2].map(() => tracker.track(() => cuts++));
  const drained = tracker.drain(clock, millis(5_000));
  done[0]!();
  done[0]!();
  clock.advance(4_999);
  assert.equal(await settled(drained), undefined);
  done[1]!();
  assert.equal(await settled(drained), 0);
  assert.equal(cuts, 0);
  assert.equal(clock.timers, 0);
});

test('cuts what is left at the deadline, once', async () => {
  const clock = new FakeClock();
  const tracker = new DrainTracker();
  const cut: string[] = [];
  const first = tracker.track(() => {
    cut.push('a');
    first();
  });
  tracker.track(() => cut.push('b'));
  const drained = tracker.drain(clock, millis(5_000));
  clock.advance(5_000);
  assert.equal(await settled(drained), 2);
  assert.deepEqual(cut, ['a', 'b']);
  assert.equal(tracker.open, 0);
  assert.equal(tracker.cutAll(), 0);
});

test('with nothing open there is nothing to wait for', async () => {
  assert.equal(await settled(new DrainTracker().drain(new FakeClock(), millis(5_000))), 0);
});
