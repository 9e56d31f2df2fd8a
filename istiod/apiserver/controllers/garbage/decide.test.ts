import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Dependent, fateOf, type OwnerState } from './decide.ts';

function dependent(states: readonly OwnerState[], over: Partial<Dependent> = {}): Dependent {
  return {
    owners: states.map((state, i) => ({ uid: `o${i}`, state })),
    finalizers: [],
    hasDependents: false,
    deletionTimestamp: undefined,
    ...over,
  };
}

describe('fateOf', () => {
  test('one owner that stays is enough, and those that are gone are forgotten', () => {
    assert.deepEqual(fateOf(dependent(['solid'])), { kind: 'stay' });
    assert.deepEqual(fateOf(dependent(['solid', 'gone', 'waiting'])), { kind: 'drop-owners', uids: ['o1', 'o2'] });
    assert.deepEqual(fateOf(dependent([])), { kind: 'stay' });
  });

  test('without one it is deleted, in the foreground where its owner waits and it has dependents itself', () => {
    assert.deepEqual(fateOf(dependent(['gone'])), { kind: 'delete', propagation: 'Background' });
    assert.deepEqual(fateOf(dependent(['waiting'])), { kind: 'delete', propagation: 'Background' });
    assert.deepEqual(fateOf(dependent(['waiting'], { hasDependents: true })), {
      kind: 'delete',
      propagation: 'Foreground',
    });
  });

  test('what its own finalizers ask for is kept', () => {
    assert.deepEqual(fateOf(dependent(['gone'], { finalizers: ['orphan'] })), {
      kind: 'delete',
      propagation: 'Orphan',
    });
    assert.deepEqual(fateOf(dependent(['gone'], { finalizers: ['foregroundDeletion'] })), {
      kind: 'delete',
      propagation: 'Foreground',
    });
  });

  test('what is being deleted already is left alone', () => {
    assert.deepEqual(fateOf(dependent(['gone'], { deletionTimestamp: 'now' })), { kind: 'stay' });
    assert.deepEqual(fateOf(dependent(['waiting'], { deletionTimestamp: 'now', finalizers: ['foregroundDeletion'] })), {
      kind: 'stay',
    });
  });
});
