import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createResetGuard } from './reset-guard.ts';

it('trips only above 500 requests of which more than half were reset within 1 s', () => {
  const hostile = createResetGuard();
  for (let i = 0; i < 500; i++) assert.ok(hostile.ended(0, 10, true), `request ${i}`);
  assert.equal(hostile.ended(0, 10, true), false);

  const half = createResetGuard();
  for (let i = 0; i < 2_000; i++) assert.ok(half.ended(0, 10, i % 2 === 1));

  const late = createResetGuard();
  for (let i = 0; i < 2_000; i++) assert.ok(late.ended(0, 1_000, true));
});

it('lets a client that resets ten times a second do so for ever', () => {
  const guard = createResetGuard();
  for (let now = 0; now < 3_600_000; now += 100) assert.ok(guard.ended(now, now + 5, true));
});
