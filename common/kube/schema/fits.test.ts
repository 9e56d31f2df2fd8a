/** The quick check says what the slow one says, of any schema and any value. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fits } from './fits.ts';
import type { Schema } from './types.ts';
import { validate } from './validate.ts';

const names = ['a', 'b', 'constructor', '__proto__'];
const text = fc.oneof(fc.constantFrom('', 'a', 'b', 'aa', '😀', '😀😀', 'x1'), fc.string({ maxLength: 4 }));
const small = fc.integer({ min: 0, max: 3 });
const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined, freq: 2 });

const { schema } = fc.letrec<{ schema: Schema; object: Schema; array: Schema }>((tie) => ({
  schema: fc.oneof(
    { depthSize: 'small' },
    fc.record({ type: fc.constant('string'), minLength: optional(small), maxLength: optional(small) }),
    fc.record({ type: fc.constant('string'), enum: fc.array(text, { minLength: 1 }) }),
    fc.record({
      type: fc.constant('string'),
      pattern: fc.constantFrom('^a', '^[a-z]*$'),
      nullable: optional(fc.constant(true)),
    }),
    fc.record({
      type: fc.constantFrom('integer', 'number'),
      minimum: optional(small),
      maximum: optional(small),
      exclusiveMinimum: optional(fc.boolean()),
      multipleOf: optional(fc.constant(2)),
    }),
    fc.record({ type: fc.constant('boolean'), nullable: optional(fc.constant(true)) }),
    fc.constant({ 'x-kubernetes-int-or-string': true }),
    fc.constant({ 'x-kubernetes-preserve-unknown-fields': true }),
    fc.record({ type: fc.constant('string'), anyOf: fc.constant([{ pattern: '^a' }, { maxLength: 0 }]) }),
    fc.record({ type: fc.constant('string'), custom: fc.constant(true), format: fc.constant('date-time') }),
    tie('object'),
    tie('array'),
  ) as fc.Arbitrary<Schema>,
  object: fc.record({
    type: fc.constant('object'),
    properties: optional(fc.dictionary(fc.constantFrom(...names), tie('schema'), { maxKeys: 3 })),
    required: optional(fc.subarray(names)),
    additionalProperties: optional(tie('schema')),
    minProperties: optional(small),
    maxProperties: optional(small),
    'x-kubernetes-preserve-unknown-fields': optional(fc.constant(true)),
    atMostOneOf: optional(fc.constant([['a', 'b']])),
  }) as fc.Arbitrary<Schema>,
  array: fc.record({
    type: fc.constant('array'),
    items: tie('schema'),
    minItems: optional(small),
    maxItems: optional(small),
    'x-kubernetes-list-type': optional(fc.constantFrom('set', 'map', 'atomic')),
    'x-kubernetes-list-map-keys': optional(fc.constantFrom(['a'], ['a', 'b'])),
    mayRepeat: optional(fc.constant(true)),
  }) as fc.Arbitrary<Schema>,
}));

/** Leans to values that fit. */
function valueFor(s: Schema): fc.Arbitrary<unknown> {
  const other = fc.jsonValue({ maxDepth: 2 });
  const fitting = ((): fc.Arbitrary<unknown> => {
    switch (s.type) {
      case 'object': {
        const model = Object.fromEntries(
          names.map((n) => {
            const known = Object.hasOwn(s.properties ?? {}, n) ? s.properties![n] : s.additionalProperties;
            return [n, known === undefined ? fc.constant('x') : valueFor(known)];
          }),
        );
        return fc.record(model, { requiredKeys: [] });
      }
      case 'array':
        return fc.array(valueFor(s.items), { maxLength: 3 });
      case 'string':
        return fc.oneof(text, fc.constantFrom(...((s.enum?.length ?? 0) > 0 ? s.enum! : ['a'])));
      case 'boolean':
        return fc.boolean();
      default:
        return fc.oneof(fc.integer({ min: -1, max: 4 }), fc.constant(0.5), fc.constant('1'));
    }
  })();
  return fc.oneof(
    { weight: 12, arbitrary: fitting },
    { weight: 1, arbitrary: other },
    { weight: 1, arbitrary: fc.constant(null) },
  );
}

test('what fits has no mistakes, and what has none fits', () => {
  let fitting = 0;
  const runs = 3000;
  fc.assert(
    fc.property(
      schema.chain((s) => fc.tuple(fc.constant(s), valueFor(s))),
      ([s, value]) => {
        const expected = validate(s, value).length === 0;
        if (expected) fitting++;
        assert.equal(fits(s, value), expected, JSON.stringify([s, value]));
      },
    ),
    { numRuns: runs },
  );
  assert.ok(fitting > runs / 5 && fitting < runs * 0.95, `${fitting} of ${runs} values fit`);
});
