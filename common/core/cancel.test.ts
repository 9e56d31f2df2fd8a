import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cancellation, type CancelSignal } from './cancel.ts';

function both(): readonly [CancelSignal, (reason: unknown) => void][] {
  const ours = new Cancellation();
  const nodes = new AbortController();
  return [
    [ours, (reason) => ours.abort(reason)],
    [nodes.signal, (reason) => nodes.abort(reason)],
  ];
}

/** What happens, as text, so that ours is compared with AbortSignal. */
function sameOn(
  name: string,
  script: (signal: CancelSignal, abort: (reason: unknown) => void, say: (what: string) => void) => void,
): void {
  test(`${name}, like AbortSignal`, () => {
    const [ours, nodes] = both().map(([signal, abort]) => {
      const said: string[] = [];
      script(signal, abort, (what) => said.push(what));
      return [...said, `aborted ${signal.aborted}`, `reason ${String(signal.reason)}`];
    });
    assert.ok(nodes!.length > 2);
    assert.deepEqual(ours, nodes);
  });
}

sameOn('listeners are called in order, once, with the first reason there', (signal, abort, say) => {
  signal.addEventListener('abort', () => say(`first ${String(signal.reason)} ${signal.aborted}`), { once: true });
  signal.addEventListener('abort', () => say('second'), { once: true });
  abort('one');
  abort('two');
});

sameOn('a listener that was removed is not called, also when an earlier one removes it', (signal, abort, say) => {
  const removed = () => say('removed before');
  const later = () => say('removed while');
  signal.addEventListener('abort', removed, { once: true });
  signal.addEventListener('abort', () => signal.removeEventListener('abort', later), { once: true });
  signal.addEventListener('abort', later, { once: true });
  signal.addEventListener('abort', () => say('last'), { once: true });
  signal.removeEventListener('abort', removed);
  signal.removeEventListener('abort', () => undefined);
  abort('gone');
});

sameOn('a listener that comes after the abort is not called', (signal, abort, say) => {
  say('before');
  abort('gone');
  signal.addEventListener('abort', () => say('late'), { once: true });
  abort('again');
});
