import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLabName, podHash } from './names.ts';

test("a lab name can never be the beginning of another lab's names", () => {
  assert.equal(checkLabName('demo2'), 'demo2');
  for (const name of ['a-b', 'A', '', 'abcdefghijklm', 'a/b', '..']) {
    assert.throws(() => checkLabName(name), { code: 'CONFIG' }, name);
  }
});

test("names of interfaces fit the kernel's 15 characters", () => {
  assert.match(`pod${podHash('0f8fad5b-d9cb-469f-a165-70867728950e')}`, /^pod[0-9a-f]{8}$/);
});
