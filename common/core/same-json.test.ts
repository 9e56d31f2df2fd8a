import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { isSameJson } from './same-json.ts';

/** As it comes over the wire: no -0, no missing prototypes. */
const json = fc.jsonValue({ maxDepth: 4 }).map((v) => JSON.parse(JSON.stringify(v)) as unknown);

test('it says what node:util says', () => {
  fc.assert(
    fc.property(json, json, (a, b) => {
      assert.equal(isSameJson(a, b), isDeepStrictEqual(a, b));
      assert.ok(isSameJson(a, structuredClone(a)));
      assert.equal(isSameJson([a, b], [b, a]), isDeepStrictEqual([a, b], [b, a]));
      assert.equal(isSameJson({ x: a, y: b }, { y: b, x: a }), true);
      assert.equal(isSameJson({ x: a }, { x: a, y: b }), false);
    }),
    { numRuns: 1_000 },
  );
});

test('lists, objects and what only looks like a member differ', () => {
  assert.equal(isSameJson([], {}), false);
  assert.equal(isSameJson({}, []), false);
  assert.equal(isSameJson(null, {}), false);
  assert.equal(isSameJson(JSON.parse('{"__proto__":1}'), {}), false);
  assert.equal(isSameJson({ toString: 1 }, { valueOf: 1 }), false);
});
