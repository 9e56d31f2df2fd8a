import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createLogger, LogLevels } from '../../../../common/core/log.ts';
import { FakeClock } from '../../../../common/testing/fake-clock.ts';
import { until } from '../../../../common/testing/until.ts';
import { WorkQueue } from './work-queue.ts';

const log = createLogger({ levels: new LogLevels('off'), format: 'plain', write: () => undefined }, 'test');

function make(handle: (key: string) => Promise<void>, rest = 0) {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock, log, handle, rest });
  const stop = new AbortController();
  return { clock, queue, stop };
}

describe('WorkQueue', () => {
  test('a key is worked on once however often it was added, and once more when it came meanwhile', async () => {
    const seen: string[] = [];
    const gate = Promise.withResolvers<void>();
    const { queue, stop } = make(async (key) => {
      seen.push(key);
      if (seen.length === 1) await gate.promise;
    });
    queue.add('a');
    queue.add('a');
    queue.start(stop.signal);
    await until('first', () => seen.length === 1);
    queue.add('a');
    queue.add('a');
    queue.add('b');
    await until('the other key does not wait', () => seen.includes('b'));
    assert.deepEqual(seen, ['a', 'b']);
    gate.resolve();
    await until('again', () => seen.length === 3);
    assert.deepEqual(seen, ['a', 'b', 'a']);
    stop.abort();
  });

  test('failures are tried again after 5 ms, doubling', async () => {
    let runs = 0;
    const { clock, queue, stop } = make(async () => {
      runs++;
      if (runs < 4) throw new Error('no');
    });
    queue.add('a');
    queue.start(stop.signal);
    for (const delay of [5, 10, 20]) {
      await until('the delay', () => clock.nextIn === delay);
      clock.advance(delay);
    }
    await until('success', () => runs === 4);
    assert.equal(clock.timers, 0);
    stop.abort();
  });

  test('the sooner of two times counts, and nothing runs after the end', async () => {
    let runs = 0;
    const { clock, queue, stop } = make(async () => void runs++);
    queue.start(stop.signal);
    queue.addAfter('a', 100);
    queue.addAfter('a', 10);
    queue.addAfter('a', 50);
    assert.equal(clock.timers, 1);
    clock.advance(10);
    await until('run', () => runs === 1);
    queue.addAfter('a', 10);
    stop.abort();
    queue.add('a');
    assert.equal(clock.timers, 0);
    assert.equal(runs, 1);
  });

  test('after a long run the key rests', async () => {
    let runs = 0;
    const { clock, queue, stop } = make(async () => {
      runs++;
      clock.advance(20);
    }, 4);
    queue.start(stop.signal);
    queue.add('a');
    await until('run', () => runs === 1);
    await new Promise(setImmediate);
    queue.add('a');
    assert.equal(clock.nextIn, 80);
    clock.advance(80);
    await until('second run', () => runs === 2);
    stop.abort();
  });
});
