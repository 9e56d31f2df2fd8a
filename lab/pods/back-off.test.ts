import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BackOff, delayText, startedAgain, waitAfter } from './back-off.ts';

/** Waits of a container that ends `life` ms after each start. */
function waits(count: number, life: number): number[] {
  const found: number[] = [];
  let backOff: BackOff | undefined;
  for (let now = 0; found.length < count; ) {
    now += life;
    const wait = waitAfter(backOff, now);
    found.push(wait);
    now += wait;
    backOff = startedAgain(backOff, wait, now);
  }
  return found;
}

test('a container that ends at once starts at once, then after 10 s, doubling to 5 min', () => {
  const seconds = [0, 10, 20, 40, 80, 160, 300, 300];
  assert.deepEqual(
    waits(seconds.length, 50),
    seconds.map((s) => s * 1000),
  );
});

test('after ten minutes of life it begins anew', () => {
  assert.deepEqual(waits(3, 600_001), [0, 0, 0]);
  assert.deepEqual(waits(3, 600_000), [0, 10_000, 20_000]);
});

test('durations are as Go writes them', () => {
  assert.deepEqual([10_000, 60_000, 80_000, 300_000].map(delayText), ['10s', '1m0s', '1m20s', '5m0s']);
});
