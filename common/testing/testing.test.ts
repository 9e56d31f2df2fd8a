import assert from 'node:assert/strict';
import { test } from 'node:test';
import { millis } from '../core/brand.ts';
import { sleep } from '../core/clock.ts';
import { FakeClock } from './fake-clock.ts';
import { until } from './until.ts';

test('the fake clock fires in order of time, with the time at which each was due', () => {
  const clock = new FakeClock();
  const fired: [string, number][] = [];
  const note = (name: string) => () => void fired.push([name, clock.now()]);
  clock.after(millis(20), note('b'));
  clock.after(millis(10), () => {
    note('a')();
    clock.after(millis(5), note('a2'));
  });
  clock.after(millis(20), note('b2'));
  clock.after(millis(15), note('never')).cancel();
  clock.after(millis(31), note('late'));
  const start = clock.wall();
  clock.advance(30);
  assert.deepEqual(fired, [
    ['a', 10],
    ['a2', 15],
    ['b', 20],
    ['b2', 20],
  ]);
  assert.deepEqual([clock.now(), clock.wall() - start, clock.timers, clock.nextIn], [30, 30, 1, 1]);
});

test('sleep on the fake clock ends by time or by abort', async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const byTime = sleep(clock, millis(10), abort.signal);
  clock.advance(10);
  await byTime;
  const byAbort = sleep(clock, millis(10), abort.signal);
  abort.abort();
  await byAbort;
  assert.equal(clock.timers, 0);
});

test('until gives the value, or says what it waited for and why', async () => {
  let asked = 0;
  assert.equal(await until('a value', () => (++asked > 2 ? 'x' : undefined)), 'x');
  await assert.rejects(
    until('pigs to fly', () => Promise.reject(new Error('gravity')), 10),
    (e: Error) => /waited 10 ms in vain for: pigs to fly/.test(e.message) && (e.cause as Error).message === 'gravity',
  );
});
