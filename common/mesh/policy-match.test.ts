import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyMatch, isEmptyMatch } from './policy-match.ts';

test('a match is empty until any of its twelve lists has a value', () => {
  assert.ok(isEmptyMatch(emptyMatch));
  const fields = Object.keys(emptyMatch);
  assert.equal(fields.length, 12);
  for (const field of fields) assert.ok(!isEmptyMatch({ ...emptyMatch, [field]: [80] }), field);
});
