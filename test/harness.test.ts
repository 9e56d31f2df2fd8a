/** What the test runner itself relies on. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Overdue } from './harness/overdue.ts';

describe('overdue processes', () => {
  test('one that stays past the limit', () => {
    const overdue = new Overdue(100);
    assert.deepEqual(overdue.of([7], 0), []);
    assert.deepEqual(overdue.of([7, 8], 100), []);
    assert.deepEqual(overdue.of([7, 8], 101), [7]);
  });

  test('a new one with the number of one that went is not', () => {
    const overdue = new Overdue(100);
    overdue.of([7], 0);
    overdue.of([], 50);
    assert.deepEqual(overdue.of([7], 150), []);
    assert.deepEqual(overdue.of([7], 251), [7]);
  });
});
