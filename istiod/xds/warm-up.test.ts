import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { warmUp } from './warm-up.ts';

test('a process is warmed up once, and no longer than somebody has time for it', async () => {
  assert.equal(await warmUp(systemClock, 2), 2);
  assert.equal(await warmUp(systemClock, 2), 0, 'it had them');
  assert.equal(await warmUp(systemClock, 4, () => true), 0, 'clients are there');
  let asked = 0;
  assert.equal(await warmUp(systemClock, 9, () => ++asked > 3), 3, 'they came meanwhile');
});
