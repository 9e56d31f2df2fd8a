import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Http2Session } from 'node:http2';
import { it } from 'node:test';
import { millis } from '../core/brand.ts';
import type { Clock } from '../core/clock.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { closeAtExpiry } from './session.ts';

it('notices within a minute that the clock was set to a time after the expiry', () => {
  const timers = new FakeClock();
  let ahead = 0;
  const clock: Clock = {
    wall: () => millis(timers.wall() + ahead),
    now: () => timers.now(),
    after: (delay, fn) => timers.after(delay, fn),
  };
  let closed = 0;
  const session = Object.assign(new EventEmitter(), { close: () => void closed++ }) as unknown as Http2Session;
  closeAtExpiry(session, clock, clock.wall() + 86_400_000);
  timers.advance(3_600_000);
  assert.equal(closed, 0);
  ahead = 86_400_000;
  timers.advance(60_000);
  assert.equal(closed, 1);
  assert.equal(timers.timers, 0);
});
