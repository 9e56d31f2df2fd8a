import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JsonPathError, parseJsonPath } from './json-path.ts';

const object = {
  metadata: { name: 'a', labels: { 'x.y/z': 'l' } },
  spec: {
    n: 3,
    list: [
      { name: 'a', v: 1 },
      { name: 'b', v: 2 },
      { name: 'c', v: 3 },
    ],
  },
  status: {
    conditions: [
      { type: 'Ready', status: 'True' },
      { type: 'Other', status: 'False' },
    ],
  },
};

const cases: readonly [string, readonly unknown[]][] = [
  ['.metadata.name', ['a']],
  ['{.metadata.name}', ['a']],
  ['$.metadata.name', ['a']],
  ['.metadata.labels.x\\.y/z', ['l']],
  [".metadata.labels['x.y/z']", ['l']],
  ['.spec.list[0].name', ['a']],
  ['.spec.list[-1].name', ['c']],
  ['.spec.list[*].v', [1, 2, 3]],
  ['.spec.list[1:].v', [2, 3]],
  ['.spec.list[0,2].v', [1, 3]],
  ['.spec.list[::2].v', [1, 3]],
  ['.status.conditions[?(@.type=="Ready")].status', ['True']],
  [".status.conditions[?(@.type == 'Ready')].status", ['True']],
  ['.spec.list[?(@.v>1)].name', ['b', 'c']],
  ['.spec.list[?(@.name)].name', ['a', 'b', 'c']],
  ['..status', [object.status, 'True', 'False']],
  ['.spec.missing.more', []],
  ['.spec.n[0]', []],
];
for (const [path, expected] of cases) {
  test(`${path}`, () => assert.deepEqual(parseJsonPath(path)(object), expected));
}

for (const wrong of ['', 'spec', '.spec[', '.spec[?(@.a==)]', '.a[1', '.a[x]', '.a..', ".a['b", '.a[::0]', '.a b']) {
  test(`${JSON.stringify(wrong)} is no path`, () => assert.throws(() => parseJsonPath(wrong), JsonPathError));
}

test('any text is a path or a JsonPathError, and a path finds a list in any value', () => {
  const piece = fc.constantFrom(
    '.',
    '[',
    ']',
    '*',
    '..',
    '?(',
    '@',
    ')',
    '==',
    '"a"',
    "'b'",
    'a',
    '0',
    ':',
    ',',
    '\\',
    ' ',
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(piece).map((p) => p.join('')),
  );
  fc.assert(
    fc.property(text, fc.jsonValue(), (path, value) => {
      try {
        assert.ok(Array.isArray(parseJsonPath(path)(value)));
      } catch (e) {
        assert.ok(e instanceof JsonPathError);
      }
    }),
    { numRuns: 2000 },
  );
});

test('names in quotes find what they name', () => {
  fc.assert(
    fc.property(fc.string(), fc.jsonValue(), (name, value) => {
      const quoted = JSON.stringify(name).includes('\\') ? name.replace(/["\\]/g, '\\$&') : name;
      assert.deepEqual(
        parseJsonPath(`["${quoted.replace(/(?<!\\)"/g, '\\"')}"]`)({
          ['_']: 0,
          ...Object.fromEntries([[name, value]]),
        }),
        [value],
      );
    }),
  );
});
