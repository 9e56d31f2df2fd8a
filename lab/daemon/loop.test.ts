import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../common/core/log.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { Loop } from './loop.ts';

test('changes that come together are worked in once, one that comes meanwhile once more', async () => {
  const gate = Promise.withResolvers<void>();
  let runs = 0;
  const loop = new Loop('test', silentLogger, new FakeClock(), async () => {
    runs += 1;
    if (runs === 1) await gate.promise;
  });
  loop.trigger();
  loop.trigger();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(runs, 1);
  loop.trigger();
  gate.resolve();
  await loop.settled();
  assert.equal(runs, 2);
});

test('work that failed is tried again, later each time', async () => {
  const clock = new FakeClock();
  let runs = 0;
  const loop = new Loop('test', silentLogger, clock, async () => {
    runs += 1;
    if (runs < 4) throw new Error('not yet');
  });
  loop.trigger();
  for (const delay of [50, 100, 200]) {
    await loop.settled();
    assert.equal(clock.nextIn, delay);
    clock.advance(delay);
  }
  await loop.settled();
  assert.equal(runs, 4);
  assert.equal(clock.timers, 0);
});
