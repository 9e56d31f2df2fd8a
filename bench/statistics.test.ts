import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { median, percentile } from './statistics.ts';

describe('statistics', () => {
  it('median is the middle value, or the mean of two', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
    assert.equal(median([7]), 7);
  });

  it('percentiles are values that were measured', () => {
    const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
    assert.equal(percentile(hundred, 99), 99);
    assert.equal(percentile(hundred, 50), 50);
    assert.equal(percentile([1, 2, 3], 99), 3);
    assert.equal(percentile([1, 2, 3], 0), 1);
  });

  it('nothing measured is an error', () => {
    assert.throws(() => median([]), /no values/);
  });
});
