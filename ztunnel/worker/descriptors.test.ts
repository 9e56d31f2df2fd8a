import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DescriptorBudget } from './descriptors.ts';

test('new connections stop before upstream sockets do, and both before the limit', () => {
  const b = new DescriptorBudget(20_000);
  assert.equal(b.reserve, 1024);
  assert.equal(b.admits(18_975), true);
  assert.equal(b.admits(18_976), false);
  assert.equal(b.admitsUpstream(18_976), true);
  assert.equal(b.admitsUpstream(19_488), false);
});

test('a small limit still holds something back', () => {
  const b = new DescriptorBudget(64);
  assert.equal(b.ceiling, 48);
  assert.equal(b.admits(47), true);
  assert.equal(b.admits(48), false);
});
