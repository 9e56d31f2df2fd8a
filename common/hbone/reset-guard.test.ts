import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createResetGuard } from './reset-guard.ts';

it('closes only above 500 requests of which more than half were reset within 1 s', () => {
  const hostile = createResetGuard();
  for (let i = 0; i < 500; i++) assert.ok(hostile.ended(10, true), `request ${i}`);
  assert.equal(hostile.ended(10, true), false);

  const half = createResetGuard();
  for (let i = 0; i < 2_000; i++) assert.ok(half.ended(10, i % 2 === 1));

  const late = createResetGuard();
  for (let i = 0; i < 2_000; i++) assert.ok(late.ended(1_000, true));
});
