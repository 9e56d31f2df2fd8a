import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Headers } from './headers.ts';

describe('headers', () => {
  const some = () =>
    Headers.of([
      ['A', '1'],
      ['b', '2'],
      ['a', '3'],
    ]);

  it('keeps order and repeated names, in lower case', () => {
    assert.deepEqual([...some()].flat(), ['a', '1', 'b', '2', 'a', '3']);
    assert.equal(some().get('a'), '1,3');
    assert.equal(some().first('a'), '1');
    assert.deepEqual(some().getAll('a'), ['1', '3']);
    assert.equal(some().get('c'), undefined);
    assert.equal(some().size, 3);
  });

  it('takes the value of one field for no name', () => {
    const headers = new Headers(['a', 'b', 'c', 'd']);
    assert.equal(headers.has('b'), false);
    assert.equal(headers.get('b'), undefined);
  });

  it('sets, appends and removes', () => {
    const headers = some();
    headers.set('a', '4');
    assert.deepEqual(headers.toRaw(), ['b', '2', 'a', '4']);
    headers.append('b', '5');
    assert.equal(headers.get('b'), '2,5');
    headers.remove('b');
    assert.deepEqual(headers.toRaw(), ['a', '4']);
  });

  it('copies apart', () => {
    const headers = some();
    const copy = headers.copy();
    copy.remove('a');
    assert.equal(headers.get('a'), '1,3');
  });
});
