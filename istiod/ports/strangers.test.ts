import assert from 'node:assert/strict';
import { test } from 'node:test';
import { millis } from '../../common/core/brand.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { Strangers } from './strangers.ts';

function bed() {
  const clock = new FakeClock();
  const log: string[] = [];
  const limits = { connections: 4, time: millis(15_000), bytes: 1_000, refusals: 3 };
  const strangers = new Strangers(limits, clock, (peer, reason) => log.push(`${peer} ${reason}`));
  const socket = (bytesRead = 0) => ({ bytesRead, destroyed: false, destroy() {} });
  return { clock, log, strangers, socket };
}

test('whoever does not say who it is has to go in time, and others stay', () => {
  const { clock, log, strangers, socket } = bed();
  strangers.enter('a:1', 'a', socket());
  clock.advance(10_000);
  strangers.enter('b:1', 'b', socket());
  strangers.enter('c:1', 'c', socket());
  strangers.leave('c:1');
  clock.advance(6_000);
  assert.deepEqual(log, ['a:1 not authenticated in time']);
  assert.equal(strangers.size, 1);
});

test('a flood from one address costs that address only', () => {
  const { log, strangers, socket } = bed();
  strangers.enter('a:1', 'a', socket());
  for (let i = 1; i <= 10; i++) strangers.enter(`b:${i}`, 'b', socket());
  assert.equal(log.length, 7);
  assert.ok(log.every((l) => l.startsWith('b:')));
  assert.equal(log[0], 'b:1 too many connections');
});

test('many bytes and many refusals end a connection', () => {
  const { clock, log, strangers, socket } = bed();
  strangers.enter('a:1', 'a', socket(1_001));
  strangers.enter('b:1', 'b', socket(1_000));
  clock.advance(100);
  for (let i = 0; i < 3; i++) strangers.refused('b:1');
  strangers.refused('b:1');
  assert.deepEqual(log, ['a:1 too many bytes before authentication', 'b:1 too many refusals']);
});
