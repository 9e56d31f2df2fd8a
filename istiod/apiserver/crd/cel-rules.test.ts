import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileRules } from './cel-rules.ts';
import { readSchema } from './structural.ts';

function rules(schema: object) {
  const read = readSchema(schema, 'f');
  assert.deepEqual(read.causes, []);
  return compileRules(read.schema, 'f');
}

const validations = (...list: object[]) => ({ 'x-kubernetes-validations': list });
const integer = { type: 'integer' };

test('a rule that fails names its field, reason and message', () => {
  const { check, causes } = rules({
    type: 'object',
    properties: { min: integer, max: integer },
    ...validations(
      { rule: 'self.min <= self.max', message: 'min above max', reason: 'FieldValueForbidden', fieldPath: '.min' },
      { rule: 'self.max < 100', messageExpression: '"max is " + string(self.max)' },
      { rule: 'self.max != 7' },
    ),
  });
  assert.deepEqual(causes, []);
  assert.deepEqual(check({ min: 1, max: 2 }, undefined), []);
  assert.deepEqual(check({ min: 300, max: 200 }, undefined), [
    { reason: 'FieldValueForbidden', message: 'min above max', field: 'min' },
    { reason: 'FieldValueInvalid', message: 'max is 200' },
  ]);
  assert.deepEqual(check({ min: 7, max: 7 }, undefined)[0]?.message, 'failed rule: self.max != 7');
  // What is absent fails a rule that does not ask for it.
  assert.match(check({}, undefined)[0]!.message, /rule evaluation error: no such key: min/);
});

test('rules about changes run where a value was before: by name, and in lists by their keys', () => {
  const { check, causes } = rules({
    type: 'object',
    properties: {
      fixed: { type: 'string', ...validations({ rule: 'self == oldSelf', message: 'fixed' }) },
      list: {
        type: 'array',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['k'],
        items: {
          type: 'object',
          required: ['k'],
          properties: {
            k: { type: 'string' },
            n: { ...integer, ...validations({ rule: 'self >= oldSelf', message: 'grows' }) },
          },
        },
      },
      once: {
        ...integer,
        ...validations({ rule: 'oldSelf.hasValue() || self == 1', optionalOldSelf: true, message: 'first' }),
      },
    },
  });
  assert.deepEqual(causes, []);
  const check2 = (value: object, old?: object) => check(value, old).map((c) => `${c.field}: ${c.message}`);
  assert.deepEqual(check2({ fixed: 'a', list: [{ k: 'x', n: 1 }], once: 1 }), []);
  assert.deepEqual(check2({ fixed: 'b' }, { fixed: 'a' }), ['fixed: fixed']);
  assert.deepEqual(check2({ fixed: 'b' }, {}), []);
  const old = {
    list: [
      { k: 'x', n: 5 },
      { k: 'y', n: 1 },
    ],
  };
  assert.deepEqual(
    check2(
      {
        list: [
          { k: 'y', n: 2 },
          { k: 'x', n: 4 },
          { k: 'z', n: 0 },
        ],
      },
      old,
    ),
    ['list[1].n: grows'],
  );
  assert.deepEqual(check2({ once: 2 }), ['once: first']);
  assert.deepEqual(check2({ once: 2 }, { once: 1 }), []);
});

test('what is as it was is not judged again, but by rules about changes', () => {
  const even = validations({ rule: 'self % 2 == 0', message: 'even' });
  const { check, causes } = rules({
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        properties: { a: { ...integer, ...even }, list: { type: 'array', items: { ...integer, ...even } } },
        ...validations({ rule: '!has(self.a) || self.a < 10', message: 'small' }),
      },
      never: { ...integer, ...validations({ rule: 'self == oldSelf && self > 5', message: 'fixed and large' }) },
      other: integer,
    },
  });
  assert.deepEqual(causes, []);
  const messages = (now: object, before: object) => check(now, before).map(({ message }) => message);
  const old = { spec: { a: 11, list: [1, 3] }, other: 1 };
  assert.deepEqual(messages({ ...old, other: 2 }, old), []);
  // The list has no keys, so that an item's old self cannot be told: all of a list that changed is judged.
  assert.deepEqual(messages({ spec: { a: 11, list: [1, 3, 2] }, other: 2 }, old), ['small', 'even', 'even']);
  assert.deepEqual(messages({ spec: { a: 13, list: [1, 3] } }, old), ['small', 'even']);
  assert.deepEqual(messages({ never: 5 }, { never: 5 }), ['fixed and large']);
});

test('rules in maps, over sets and maps by keys, of int-or-string, formats and escaped names', () => {
  const { check, causes } = rules({
    type: 'object',
    properties: {
      map: {
        type: 'object',
        additionalProperties: { type: 'string', ...validations({ rule: 'self != "bad"' }) },
        ...validations({ rule: 'self.all(k, k.size() < 5)' }),
      },
      set: {
        type: 'array',
        'x-kubernetes-list-type': 'set',
        items: { type: 'string' },
        ...validations({ rule: 'self == ["b", "a"] && (self + ["a"]).size() == 2' }),
      },
      port: {
        'x-kubernetes-int-or-string': true,
        ...validations({ rule: 'type(self) == int ? self < 9 : self == "http"' }),
      },
      when: {
        type: 'string',
        format: 'date-time',
        ...validations({ rule: 'self > timestamp("2020-01-01T00:00:00Z")' }),
      },
      long: { type: 'string', format: 'duration', ...validations({ rule: 'self < duration("1h")' }) },
      'a-b': { type: 'string' },
      namespace: { type: 'string' },
    },
    ...validations({ rule: '!has(self.a__dash__b) || self.a__dash__b != self.__namespace__' }),
  });
  assert.deepEqual(causes, []);
  assert.deepEqual(
    check(
      {
        map: { a: 'b' },
        set: ['a', 'b'],
        port: 8,
        when: '2024-01-01T00:00:00Z',
        long: '5m',
        'a-b': 'x',
        namespace: 'y',
      },
      undefined,
    ),
    [],
  );
  assert.deepEqual(
    check(
      {
        map: { a: 'bad', longer: '' },
        port: 'https',
        when: '2019-01-01T00:00:00Z',
        long: '2h',
        'a-b': 'y',
        namespace: 'y',
      },
      undefined,
    ).map((c) => c.field),
    [undefined, 'map', 'map.a', 'port', 'when', 'long'],
  );
});

const refused: readonly [string, object, string, RegExp][] = [
  [
    'an unknown field',
    { type: 'object', properties: {}, ...validations({ rule: 'self.a == 1' }) },
    'f.x-kubernetes-validations[0].rule',
    /undefined field 'a'/,
  ],
  [
    'no bool',
    { ...integer, ...validations({ rule: 'self + 1' }) },
    'f.x-kubernetes-validations[0].rule',
    /must give a bool/,
  ],
  [
    'a message that is no string',
    { ...integer, ...validations({ rule: 'self > 1', messageExpression: 'self' }) },
    'f.x-kubernetes-validations[0].messageExpression',
    /must give a string/,
  ],
  [
    'a path that leads nowhere',
    { type: 'object', properties: { a: integer }, ...validations({ rule: 'true', fieldPath: '.b' }) },
    'f.x-kubernetes-validations[0].fieldPath',
    /no path/,
  ],
  [
    'a change within an atomic list',
    { type: 'array', items: { ...integer, ...validations({ rule: 'self == oldSelf' }) } },
    'f.items.x-kubernetes-validations[0].rule',
    /cannot be used/,
  ],
  [
    'bad syntax',
    { ...integer, ...validations({ rule: 'self ==' }) },
    'f.x-kubernetes-validations[0].rule',
    /compilation failed/,
  ],
];
for (const [name, schema, field, message] of refused) {
  test(`refused: ${name}`, () => {
    const { causes } = rules(schema);
    assert.deepEqual(
      causes.map((c) => c.field),
      [field],
    );
    assert.match(causes[0]!.message, message);
  });
}

test('rules that cost too much refuse the object', () => {
  const { check } = rules({
    type: 'array',
    items: { type: 'string' },
    ...validations({ rule: 'self.all(a, self.all(b, self.all(c, a + b + c != "x")))' }),
  });
  const causes = check(
    Array.from({ length: 300 }, (_, i) => String(i)),
    undefined,
  );
  assert.match(causes[0]!.message, /costs more than it may/);
});
