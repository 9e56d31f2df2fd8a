import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkObject } from './check-object.ts';
import { applyDefaults } from './defaults.ts';
import { nearest } from './nearest.ts';
import { kindTable } from './table.ts';
import { integer, list, map, object, oneOf, type Schema, string } from './types.ts';
import { formatPath, validate } from './validate.ts';

const schema = object(
  {
    'name!': string({ minLength: 1, maxLength: 5 }),
    action: oneOf('ALLOW', 'DENY'),
    count: integer(1, 3),
    port: { 'x-kubernetes-int-or-string': true },
    tags: list(string(), { minItems: 1, maxItems: 2 }),
    keyed: list(object({ 'id!': string() }), { 'x-kubernetes-list-map-keys': ['id'] }),
    labels: map(string({ pattern: '^[a-z]+$', expects: 'lower-case letters' })),
    open: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    maybe: string({ nullable: true }),
  },
  { atMostOneOf: [['count', 'port']] },
);

const cases: readonly [string, unknown, readonly string[]][] = [
  ['the least', { name: 'a' }, []],
  ['everything', { name: 'a', action: 'DENY', port: 'http', tags: ['x'], labels: { k: 'v' }, open: { any: [1] } }, []],
  ['null is absent', { name: 'a', action: null, tags: null }, []],
  ['null where it is a value', { name: 'a', maybe: null }, []],
  ['required', {}, ['name: required field is missing']],
  ['required but null', { name: null }, ['name: required field is missing']],
  ['no object', [], [': expected an object, found a list']],
  ['misspelt', { name: 'a', acton: 'DENY' }, ['acton: unknown field; did you mean "action"?']],
  [
    'enum',
    { name: 'a', action: 'DENYY' },
    ['action: "DENYY" is not allowed: expected one of "ALLOW", "DENY"; did you mean "DENY"?'],
  ],
  ['too long', { name: 'abcdef' }, ['name: is 6 characters long; at most 5 are allowed']],
  ['empty', { name: '' }, ['name: must not be empty']],
  ['length counts characters', { name: '😀😀😀😀😀' }, []],
  ['range', { name: 'a', count: 4 }, ['count: 4 is out of range: expected 1 to 3']],
  ['fraction', { name: 'a', count: 1.5 }, ['count: expected an integer, found the number 1.5']],
  ['int or string', { name: 'a', port: true }, ['port: expected an integer or a string, found the boolean true']],
  ['item', { name: 'a', tags: ['x', 1] }, ['tags[1]: expected a string, found the number 1']],
  ['null item', { name: 'a', tags: [null] }, ['tags[0]: expected a string, found nothing']],
  ['few items', { name: 'a', tags: [] }, ['tags: has 0 items; at least 1 expected']],
  ['many items', { name: 'a', tags: ['x', 'y', 'z'] }, ['tags: has 3 items; at most 2 are allowed']],
  ['same key', { name: 'a', keyed: [{ id: 'x' }, { id: 'x' }] }, ['keyed[1]: another item has the same id']],
  [
    'map value',
    { name: 'a', labels: { 'a/b': 'X' } },
    ['labels["a/b"]: "X" does not fit: expected lower-case letters'],
  ],
  ['exclusive', { name: 'a', count: 1, port: 2 }, [': count and port exclude each other; keep one']],
  ['a name of Object.prototype', { name: 'a', constructor: 1 }, [/^constructor: unknown field/ as unknown as string]],
];

for (const [name, value, expected] of cases) {
  test(`validate: ${name}`, () => {
    const found = validate(schema, value).map((i) => `${formatPath(i.path)}: ${i.message}`);
    assert.equal(found.length, expected.length, found.join('\n'));
    expected.forEach((e, i) => {
      if (typeof e === 'string') assert.equal(found[i], e);
      else assert.match(found[i]!, e);
    });
  });
}

test('validate never throws, and what passes holds what the schema says', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const issues = validate(schema, value);
      if (issues.length > 0) return;
      const v = value as { name: string; count?: number | null };
      assert.ok(typeof v.name === 'string' && [...v.name].length <= 5);
      assert.ok(v.count === undefined || v.count === null || (v.count >= 1 && v.count <= 3));
    }),
    { examples: [[JSON.parse('{"name":"a","__proto__":{"name":1}}')]] },
  );
});

test('checkObject never throws', () => {
  const header = fc.record({
    apiVersion: fc.constantFrom('v1', 'apps/v1', 'security.istio.io/v1', 'x/y/z', 1),
    kind: fc.constantFrom('Pod', 'Service', 'Deployment', 'AuthorizationPolicy', 'toString', null),
    metadata: fc.oneof(fc.jsonValue(), fc.record({ name: fc.string() })),
    spec: fc.jsonValue(),
  });
  fc.assert(fc.property(fc.oneof(fc.jsonValue(), header), (value) => void checkObject(value)));
});

test('valid values made from a schema pass it, with one unknown field they do not', () => {
  for (const entry of kindTable) {
    fc.assert(
      fc.property(fittingValue(entry.fields), (fields) => {
        applyDefaults(entry.fields, fields);
        assert.deepEqual(validate(entry.fields, fields), []);
        const wrong = { ...(fields as object), thisFieldIsUnknown: 1 };
        assert.equal(validate(entry.fields, wrong).length, 1);
      }),
      { numRuns: 30 },
    );
  }
});

/** One of them fits each pattern of the table. */
const texts = ['/a*', 'a', 'YQ==', '1s', 'a.b/c', 'a://b', '0'.repeat(64)];
const textFor = ({ pattern = '' }: { readonly pattern?: string }) => texts.find((t) => new RegExp(pattern).test(t));

/** Arbitrary values that fit, for schemas of the table. */
function fittingValue(s: Schema, depth = 0): fc.Arbitrary<unknown> {
  if (s.type === undefined) return fc.oneof(fc.integer(), fc.string());
  switch (s.type) {
    case 'object': {
      const exclusive = new Set((s.atMostOneOf ?? []).flatMap((g) => g.slice(1)));
      const required = s.required ?? [];
      const { additionalProperties: values } = s;
      if (values !== undefined && s.minProperties !== undefined) {
        return fc.dictionary(fc.constant('1'), fittingValue(values, depth + 1), { minKeys: 1, maxKeys: 1 });
      }
      const members = Object.entries(s.properties ?? {}).filter(
        ([k]) => !exclusive.has(k) && (required.includes(k) || depth < 5),
      );
      return fc.record(Object.fromEntries(members.map(([k, v]) => [k, fittingValue(v, depth + 1)])), {
        requiredKeys: required as never[],
      });
    }
    case 'array':
      return fc.array(fittingValue(s.items, depth + 1), { minLength: s.minItems ?? 0, maxLength: 1 });
    case 'string':
      return s.enum !== undefined ? fc.constantFrom(...s.enum) : fc.constant(textFor(s));
    case 'boolean':
      return fc.boolean();
    default:
      return fc.integer({ min: s.minimum ?? 0, max: s.maximum ?? 1000 });
  }
}

test('nearest name', () => {
  assert.equal(nearest('Podd', ['Pod', 'Node']), 'Pod');
  assert.equal(nearest('selctor', ['selector', 'targetRef']), 'selector');
  assert.equal(nearest('rueles', ['rules']), 'rules');
  assert.equal(nearest('RULES', ['rules']), 'rules');
  assert.equal(nearest('x', ['rules']), undefined);
  assert.equal(nearest('provider', ['rules']), undefined);
});

const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec: { containers: [{ name: 'c' }] } };
const objects: readonly [string, unknown, RegExp | undefined][] = [
  ['a pod', pod, undefined],
  [
    'an old version',
    { apiVersion: 'security.istio.io/v1beta1', kind: 'AuthorizationPolicy', metadata: { name: 'a' } },
    undefined,
  ],
  ['a wrong version', { ...pod, apiVersion: 'v2' }, /apiVersion: "v2" has no Pod: expected v1/],
  ['a wrong kind', { ...pod, kind: 'pod' }, /kind: "pod" of v1 is not served; did you mean "Pod"\?/],
  ['no kind', { ...pod, kind: undefined }, /kind: required field is missing/],
  ['no name', { ...pod, metadata: {} }, /metadata\.name: required field is missing/],
  [
    'a bad name',
    { ...pod, metadata: { name: 'A_b' } },
    /metadata\.name: "A_b" does not fit: expected an RFC 1123 subdomain/,
  ],
  [
    'a bad label',
    { ...pod, metadata: { name: 'a', labels: { a: 'b c' } } },
    /metadata\.labels\.a: .*expected a label value/,
  ],
  [
    'a number as label',
    { ...pod, metadata: { name: 'a', labels: { a: 1 } } },
    /metadata\.labels\.a: expected a string/,
  ],
  ['no containers', { ...pod, spec: {} }, /spec\.containers: required field is missing/],
  [
    'a namespace in a namespace',
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a', namespace: 'b' } },
    /metadata\.namespace: unknown field/,
  ],
  [
    'two probes in one',
    { ...pod, spec: { containers: [{ name: 'c', readinessProbe: { exec: {}, tcpSocket: { port: 1 } } }] } },
    /exclude each other/,
  ],
];
for (const [name, value, expected] of objects) {
  test(`checkObject: ${name}`, () => {
    const checked = checkObject(value);
    if (expected === undefined) assert.equal(checked.kind, 'valid');
    else {
      assert.equal(checked.kind, 'invalid');
      if (checked.kind !== 'invalid') return;
      assert.match(checked.issues.map((i) => `${formatPath(i.path)}: ${i.message}`).join('\n'), expected);
    }
  });
}
