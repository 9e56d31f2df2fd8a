import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createFetchQueue } from './fetch-queue.ts';

/** Tasks that end when told to, and the order in which they began. */
function tasks() {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    begun,
    task: (name: string) => () =>
      new Promise<void>((resolve) => {
        begun.push(name);
        ends.set(name, resolve);
      }),
    async end(name: string) {
      ends.get(name)!();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

it('runs no more than its limit, urgent ones first', async () => {
  const { begun, task, end } = tasks();
  const queue = createFetchQueue(2);
  for (const name of ['a', 'b', 'c', 'd']) queue.add(task(name), false);
  queue.add(task('urgent'), true);
  assert.deepEqual(begun, ['a', 'b']);
  await end('a');
  assert.deepEqual(begun, ['a', 'b', 'urgent']);
  await end('b');
  await end('urgent');
  assert.deepEqual(begun, ['a', 'b', 'urgent', 'c', 'd']);
});

it('promotes and cancels what waits, and leaves alone what runs', async () => {
  const { begun, task, end } = tasks();
  const queue = createFetchQueue(1);
  const running = queue.add(task('running'), false);
  const cancelled = queue.add(task('cancelled'), false);
  queue.add(task('later'), false);
  const promoted = queue.add(task('promoted'), false);
  promoted.promote();
  cancelled.cancel();
  cancelled.promote();
  running.promote();
  running.cancel();
  await end('running');
  await end('promoted');
  await end('later');
  assert.deepEqual(begun, ['running', 'promoted', 'later']);
});
