import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Fields } from './fields.ts';

describe('reading a message of Envoy', () => {
  test('what is read is gone, what nobody reads is named with its path', () => {
    const fields = new Fields(
      { name: 'web', nested: { known: 1, other: true }, list: [{ a: 'x' }, { b: 2 }], empty: {}, off: false, none: [] },
      'Cluster',
    );
    assert.equal(fields.text('name'), 'web');
    assert.equal(fields.message('nested')!.number('known'), 1);
    assert.deepEqual(
      fields.list('list').map((item) => item.text('a')),
      ['x', ''],
    );
    assert.deepEqual(fields.finish(), [
      'Cluster.empty: is not supported',
      'Cluster.nested.other: is not supported',
      'Cluster.list[1].b: is not supported',
    ]);
  });

  test('an absent field, an empty wrapper and a value are three things', () => {
    const fields = new Fields({ zero: {}, ten: { value: 10 }, off: {} }, 'X');
    assert.deepEqual(
      [fields.wrapped('none'), fields.wrapped('zero'), fields.wrapped('ten'), fields.wrappedFlag('off')],
      [undefined, 0, 10, false],
    );
    assert.deepEqual(fields.finish(), []);
  });

  test('durations in ms, bounded', () => {
    const fields = new Fields({ a: { seconds: 1, nanos: 500_000_000 }, b: {}, c: { seconds: 2 } }, 'X');
    assert.deepEqual([fields.duration('a'), fields.duration('b'), fields.duration('none')], [1_500, 0, undefined]);
    fields.duration('c', 0, 1_000);
    assert.deepEqual(fields.finish(), ['X.c: 2000 ms is not within 0 ms and 1000 ms']);
  });

  test('enums that are not in the table, and values of another type, are mistakes', () => {
    const fields = new Fields({ policy: 'MAGLEV', text: 5, number: { value: 'x' } }, 'X');
    assert.equal(fields.choice('absent', 'A', { A: 1 }), 1);
    fields.choice('policy', 'A', { A: 1 });
    fields.text('text');
    fields.wrapped('number');
    assert.deepEqual(fields.finish(), [
      'X.policy: MAGLEV is not supported',
      'X.text: is no string',
      'X.number: is no number',
    ]);
  });

  test('structs as JSON', () => {
    const list = { listValue: { values: [{ boolValue: false }, { nullValue: 'NULL_VALUE' }] } };
    const fields = new Fields({ s: { fields: { a: { stringValue: '' }, l: list } } }, 'X');
    assert.deepEqual(fields.struct('s'), { a: '', l: [false, null] });
  });
});
