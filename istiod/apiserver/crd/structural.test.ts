import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { applyDefaults } from '../../../common/kube/schema/defaults.ts';
import { pruneUnknown } from '../../../common/kube/schema/prune.ts';
import { formatPath, validate } from '../../../common/kube/schema/validate.ts';
import { readRootSchema, readSchema } from './structural.ts';

const wrong: readonly [string, unknown, string, RegExp][] = [
  ['no type', { properties: {} }, 'f.type', /must not be empty/],
  ['an unknown type', { type: 'file' }, 'f.type', /not one of/],
  [
    'no type deep inside',
    { type: 'object', properties: { a: { type: 'array', items: {} } } },
    'f.properties[a].items.type',
    /empty/,
  ],
  ['a reference', { type: 'object', $ref: '#/x' }, 'f.$ref', /not allowed/],
  ['uniqueItems', { type: 'array', items: { type: 'string' }, uniqueItems: true }, 'f.uniqueItems', /set/],
  ['a type within anyOf', { type: 'object', anyOf: [{ type: 'object' }] }, 'f.anyOf[0].type', /structural/],
  ['a default within not', { type: 'object', not: { default: 1 } }, 'f.not.default', /structural/],
  [
    'a map without keys',
    { type: 'array', 'x-kubernetes-list-type': 'map', items: { type: 'object' } },
    'f.x-kubernetes-list-map-keys',
    /keys/,
  ],
  [
    'a key that may be absent',
    {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['a'],
      items: { type: 'object', properties: { a: { type: 'string' } } },
    },
    'f.items.properties[a].default',
    /required/,
  ],
  [
    'a set of objects',
    { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'object' } },
    'f.items',
    /atomic/,
  ],
  ['a bad pattern', { type: 'string', pattern: '(' }, 'f.pattern', /no regular expression/],
  ['a lookahead, which RE2 has not', { type: 'string', pattern: '(?=a)' }, 'f.pattern', /no regular expression/],
  [
    'properties and additionalProperties',
    { type: 'object', properties: { a: { type: 'string' } }, additionalProperties: { type: 'string' } },
    'f.additionalProperties',
    /exclude/,
  ],
  ['a bound that is text', { type: 'integer', minimum: '1' }, 'f.minimum', /number/],
  [
    'an empty rule',
    { type: 'object', 'x-kubernetes-validations': [{ rule: '' }] },
    'f.x-kubernetes-validations[0].rule',
    /empty/,
  ],
  [
    'preserving false',
    { type: 'object', 'x-kubernetes-preserve-unknown-fields': false },
    'f.x-kubernetes-preserve-unknown-fields',
    /true or undefined/,
  ],
];
for (const [name, schema, field, message] of wrong) {
  test(`refused: ${name}`, () => {
    const { causes } = readSchema(schema, 'f');
    assert.deepEqual(
      causes.map((c) => c.field),
      [field],
    );
    assert.match(causes[0]!.message, message);
  });
}

const fitting: readonly [name: string, schema: object, good: readonly unknown[], bad: readonly unknown[]][] = [
  [
    'anyOf',
    {
      type: 'object',
      properties: { a: { type: 'string' }, b: { type: 'string' } },
      anyOf: [{ required: ['a'] }, { required: ['b'] }],
    },
    [{ a: 'x' }, { b: 'x' }],
    [{}],
  ],
  [
    'oneOf',
    {
      type: 'object',
      properties: { a: { type: 'string' }, b: { type: 'string' } },
      oneOf: [{ required: ['a'] }, { required: ['b'] }],
    },
    [{ a: 'x' }],
    [{}, { a: 'x', b: 'x' }],
  ],
  ['not', { type: 'string', not: { enum: ['x'] } }, ['y'], ['x']],
  [
    'allOf in members',
    { type: 'object', properties: { n: { type: 'integer' } }, allOf: [{ properties: { n: { minimum: 3 } } }] },
    [{ n: 3 }, {}],
    [{ n: 2 }],
  ],
  [
    'int or string',
    { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }], pattern: '^[0-9]+%$' },
    [5, '5%'],
    ['x', 1.5, {}],
  ],
  [
    'nullable',
    { type: 'object', properties: { a: { type: 'string', nullable: true }, b: { type: 'string' } } },
    [{ a: null }],
    [{ b: null }],
  ],
  [
    'a null that is required',
    { type: 'object', properties: { a: { type: 'string', nullable: true } }, required: ['a'] },
    [{ a: null }],
    [{}],
  ],
  ['exclusive bounds', { type: 'number', minimum: 1, exclusiveMinimum: true, maximum: 2 }, [1.5, 2], [1, 2.5]],
  ['multipleOf', { type: 'number', multipleOf: 0.1 }, [0.3, 1], [0.25]],
  [
    'formats',
    {
      type: 'object',
      properties: {
        t: { type: 'string', format: 'date-time' },
        c: { type: 'string', format: 'cidr' },
        i: { type: 'integer', format: 'int32' },
      },
    },
    [{ t: '2024-02-29T00:00:00Z', c: '10.0.0.0/8', i: 2 ** 31 - 1 }],
    [{ t: '2023-02-29T00:00:00Z' }, { c: '10.0.0.0/33' }, { i: 2 ** 31 }],
  ],
  [
    'more formats',
    {
      type: 'object',
      properties: {
        d: { type: 'string', format: 'duration' },
        u: { type: 'string', format: 'uuid' },
        h: { type: 'string', format: 'hostname' },
        m: { type: 'string', format: 'mac' },
      },
    },
    [{ d: '1h30m', u: '3ce1f49e-ba24-48c5-a8af-1a7a571ebced', h: 'a.b', m: '00:11:22:33:44:55' }, { d: '2 days' }],
    [{ d: 'long' }, { u: 'x' }, { h: '-a' }, { m: '00:11' }],
  ],
  ['sets', { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } }, [['a', 'b']], [['a', 'a']]],
  [
    'sets of atomic objects',
    {
      type: 'array',
      'x-kubernetes-list-type': 'set',
      items: { type: 'object', 'x-kubernetes-map-type': 'atomic', 'x-kubernetes-preserve-unknown-fields': true },
    },
    [[{ a: 1 }, { a: 2 }]],
    [
      [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ],
    ],
  ],
  [
    'maps',
    {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['k'],
      items: { type: 'object', required: ['k'], properties: { k: { type: 'string' } } },
    },
    [[{ k: 'a' }, { k: 'b' }]],
    [[{ k: 'a' }, { k: 'a' }]],
  ],
  ['enums of numbers', { type: 'integer', enum: [1, 2] }, [1], [3]],
  [
    'minProperties',
    { type: 'object', minProperties: 1, additionalProperties: { type: 'integer' } },
    [{ a: 1 }],
    [{}, { a: 'x' }],
  ],
  ['anything', { 'x-kubernetes-preserve-unknown-fields': true }, [1, 'a', { a: [null] }], []],
  [
    'an embedded resource',
    { type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true },
    [{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec: {} }],
    [{ kind: 'Pod' }, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'A B' } }],
  ],
];
for (const [name, schema, good, bad] of fitting) {
  test(`checked: ${name}`, () => {
    const { schema: read, causes } = readSchema(schema, 'f');
    assert.deepEqual(causes, []);
    for (const value of good) assert.deepEqual(validate(read, value), [], JSON.stringify(value));
    for (const value of bad) assert.notDeepEqual(validate(read, value), [], JSON.stringify(value));
  });
}

test('a pattern that makes backtracking matchers run for ever is matched at once', () => {
  const { schema } = readSchema({ type: 'string', pattern: '^(a+)+$' }, 'f');
  assert.equal(validate(schema, `${'a'.repeat(5000)}b`).length, 1);
});

test('unknown fields go, but where they are kept; known ones within those are still pruned', () => {
  const { schema } = readSchema(
    {
      type: 'object',
      properties: {
        open: {
          type: 'object',
          'x-kubernetes-preserve-unknown-fields': true,
          properties: { inner: { type: 'object' } },
        },
        any: { 'x-kubernetes-preserve-unknown-fields': true },
        closed: { type: 'object', properties: { a: { type: 'string' } } },
      },
    },
    'f',
  );
  const value = { open: { x: 1, inner: { y: 1 } }, any: { z: { w: 1 } }, closed: { a: 'a', b: 1 }, other: 1 };
  const pruned = pruneUnknown(schema, value).map(formatPath);
  assert.deepEqual(pruned.sort(), ['closed.b', 'open.inner.y', 'other']);
  assert.deepEqual(value, { open: { x: 1, inner: {} }, any: { z: { w: 1 } }, closed: { a: 'a' } });
});

test('defaults fill what is absent, and what is null without being nullable', () => {
  const { schema } = readSchema(
    {
      type: 'object',
      properties: {
        a: { type: 'string', default: 'd' },
        b: { type: 'string', nullable: true, default: 'd' },
        c: { type: 'object', default: {}, properties: { d: { type: 'integer', default: 1 } } },
        e: { type: 'string' },
      },
    },
    'f',
  );
  const value = { a: null, b: null, e: null };
  applyDefaults(schema, value);
  assert.deepEqual(value, { a: 'd', b: null, c: { d: 1 }, e: null });
});

test('any value as a schema is read without an exception, and what is read without causes judges any value', () => {
  const word = fc.constantFrom(
    'type',
    'properties',
    'items',
    'anyOf',
    'not',
    'default',
    'required',
    'pattern',
    'enum',
    'additionalProperties',
    'x-kubernetes-list-type',
    'x-kubernetes-int-or-string',
    'minimum',
  );
  const { schema } = fc.letrec((tie) => ({
    schema: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom('object', 'array', 'string', 'integer', true, 1, null),
      fc.dictionary(word, tie('schema'), { maxKeys: 4 }),
      fc.array(tie('schema'), { maxLength: 2 }),
      fc.dictionary(fc.string(), tie('schema'), { maxKeys: 2 }),
    ),
  }));
  fc.assert(
    fc.property(schema, fc.jsonValue(), (given, value) => {
      const read = readRootSchema(given, 'f', true);
      validate(read.schema, value);
      applyDefaults(read.schema, value);
    }),
    { numRuns: 1000 },
  );
});
