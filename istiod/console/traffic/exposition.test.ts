import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Counter, Registry } from 'prom-client';
import { readSamples } from './exposition.ts';

const names = new Set(['wanted_total']);

test('what prom-client writes is read again, whatever labels say', async () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.tuple(text, text), { selector: (t) => t.join('\0') }), async (labels) => {
      const registers = [new Registry()];
      const wanted = new Counter({ name: 'wanted_total', help: 'h', labelNames: ['a', 'b'], registers });
      const other = new Counter({ name: 'wanted_total_not', help: 'h', labelNames: ['a'], registers });
      for (const [i, [a, b]] of labels.entries()) {
        wanted.inc({ a, b }, i + 0.5);
        other.inc({ a });
      }
      const read = [...readSamples(await registers[0]!.metrics(), names)];
      assert.deepEqual(
        read.filter((s) => s.labels.size > 0).map((s) => [s.labels.get('a'), s.labels.get('b'), s.value]),
        labels.map(([a, b], i) => [a, b, i + 0.5]),
      );
    }),
  );
});

test('lines that are none are passed over, the others are read', () => {
  const text = [
    '# HELP wanted_total x',
    'wanted_total 1',
    'wanted_total{a="1"} 2 1700000000000',
    'wanted_total{a="1} 3',
    'wanted_total{a="1" b="2"} 4',
    'wanted_total{} nonsense',
    'wanted_total{a="1",} 5',
    'wanted_totals 6',
    'wanted_total',
  ].join('\n');
  assert.deepEqual(
    [...readSamples(text, names)].map((s) => s.value),
    [1, 2, 5],
  );
});

test('any text ends in some samples and no failure', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('wanted_total', '{', '}', 'a', '="', '"', '\\', ',', ' 1', '\n')), (parts) => {
      for (const { value } of readSamples(parts.join(''), names)) assert.ok(Number.isFinite(value));
    }),
  );
});
