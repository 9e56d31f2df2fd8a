import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import type { WriteOutcome } from './condition.ts';
import { StatusWriter } from './status-writer.ts';

const name = { kind: 'Service', namespace: 'shop', name: 'web' };
const object = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'shop', uid: 'u', resourceVersion: '1' },
};

test('a write that failed is tried again soon, then ever more seldom, and one that met another at once', async () => {
  const clock = new FakeClock();
  const outcomes: WriteOutcome[] = ['failed', 'failed', 'failed', 'met', 'written', 'failed', 'unchanged'];
  const at: number[] = [];
  const writer = new StatusWriter({
    clock,
    signal: new AbortController().signal,
    mayWrite: () => true,
    object: () => object,
    write: async () => {
      at.push(clock.now());
      return outcomes.shift()!;
    },
  });
  const settle = async () => {
    for (let i = 0; i < 3; i++) await setImmediate();
  };
  writer.mark([name]);
  for (await settle(); clock.nextIn !== undefined; await settle()) clock.advance(clock.nextIn);
  assert.deepEqual(at, [0, 250, 750, 1_750, 1_850]);
  writer.mark([name]);
  for (await settle(); clock.nextIn !== undefined; await settle()) clock.advance(clock.nextIn);
  assert.deepEqual(at.slice(5), [1_850, 2_100]);
  outcomes.push(...Array.from({ length: 20 }, () => 'failed' as const), 'written');
  writer.mark([name]);
  for (await settle(); clock.nextIn !== undefined; await settle()) clock.advance(clock.nextIn);
  assert.equal(at.at(-1)! - at.at(-2)!, 30_000);
});
