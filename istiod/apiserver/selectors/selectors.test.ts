/** Selectors as text, against their own reading of the same requirements. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseFieldSelector } from './fields.ts';
import { matchesLabels, parseLabelSelector, SelectorError } from './labels.ts';

const key = fc.constantFrom('a', 'b', 'example.com/c');
const value = fc.constantFrom('', 'x', 'y', '1', '20');
const labels = fc.dictionary(key, value, { noNullPrototype: true });
const space = fc.constantFrom('', ' ', '  ');

type Labels = Readonly<Record<string, string>>;

/** A requirement's text, and what it means. */
const requirement: fc.Arbitrary<{ readonly text: string; readonly means: (l: Labels) => boolean }> = fc.oneof(
  fc.tuple(key, fc.constantFrom('=', '==', '!='), value, space).map(([k, op, v, s]) => ({
    text: `${k}${s}${op}${s}${v}`,
    means: (l: Labels) => (op === '!=' ? l[k] !== v : l[k] === v),
  })),
  fc
    .tuple(key, fc.constantFrom('in', 'notin'), fc.array(value, { minLength: 1, maxLength: 3 }), space)
    .map(([k, op, all, s]) => ({
      text: `${k} ${op}${s}(${all.join(`,${s}`)})`,
      means: (l: Labels) => (l[k] !== undefined && (all as readonly string[]).includes(l[k])) === (op === 'in'),
    })),
  key.map((k) => ({ text: k, means: (l: Labels) => l[k] !== undefined })),
  key.map((k) => ({ text: `!${k}`, means: (l: Labels) => l[k] === undefined })),
  fc.tuple(key, fc.constantFrom('<', '>'), fc.integer({ min: -5, max: 30 })).map(([k, op, n]) => ({
    text: `${k}${op}${n}`,
    means: (l: Labels) => (l[k] ?? '') !== '' && (op === '<' ? Number(l[k]) < n : Number(l[k]) > n),
  })),
);

test('a label selector selects what all of its requirements do', () => {
  fc.assert(
    fc.property(fc.array(requirement, { maxLength: 4 }), labels, (all, l) => {
      const parsed = parseLabelSelector(all.map((r) => r.text).join(','));
      assert.equal(
        matchesLabels(parsed, l),
        all.every((r) => r.means(l)),
        all.map((r) => r.text).join(','),
      );
    }),
    { numRuns: 1000 },
  );
});

test('a field selector is its terms, with commas, equal signs and backslashes escaped', () => {
  const term = fc.record({
    path: fc.constantFrom('metadata.name', 'spec.nodeName'),
    equal: fc.boolean(),
    value: fc.string({ maxLength: 5 }),
  });
  fc.assert(
    fc.property(fc.array(term), (terms) => {
      const text = terms.map(
        ({ path, equal, value: v }) => `${path}${equal ? '=' : '!='}${v.replace(/[\\,=]/g, '\\$&')}`,
      );
      assert.deepEqual(
        parseFieldSelector(text.join(',')),
        terms.map((t) => ({ ...t })),
      );
    }),
  );
});

test('any text is a selector or is refused with a reason', () => {
  const piece = fc.constantFrom('a', ',', '=', '!', 'in', '(', ')', ' ', '<', 'x/y', '\\', '1');
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((p) => p.join('')),
      ),
      (text) => {
        for (const parse of [parseLabelSelector, parseFieldSelector]) {
          try {
            parse(text);
          } catch (e) {
            assert.ok(e instanceof SelectorError, String(e));
          }
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test('a million requirements, or values, are refused', () => {
  assert.throws(() => parseLabelSelector(Array(1_000_000).fill('a').join(',')), SelectorError);
  assert.throws(() => parseLabelSelector(`a in (${Array.from({ length: 1_000_000 }, (_, i) => i)})`), SelectorError);
  assert.throws(() => parseFieldSelector(Array(1_000_000).fill('a=b').join(',')), SelectorError);
});
