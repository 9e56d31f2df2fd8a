import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allTold, tellLater } from './accounts.ts';

describe('accounts of requests', () => {
  it('are told in their order, after what is under way', async () => {
    const told: number[] = [];
    for (let i = 0; i < 3; i++) tellLater(() => told.push(i));
    await Promise.resolve();
    assert.deepEqual(told, []);
    await allTold();
    assert.deepEqual(told, [0, 1, 2]);
  });

  it('are waited for also where they come of what is about to run', async () => {
    const told: string[] = [];
    process.nextTick(() => tellLater(() => told.push('cut')));
    await allTold();
    assert.deepEqual(told, ['cut']);
    tellLater(() => tellLater(() => told.push('by another')));
    await allTold();
    assert.deepEqual(told, ['cut', 'by another']);
  });
});
