import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Pod } from '../../../../common/kube/kinds/core.ts';
import { ordinalOf, planStateful, type StatefulView } from './plan.ts';

const pod = (n: number, over: { hash?: string; ready?: boolean; ending?: boolean; phase?: string } = {}): Pod =>
  ({
    metadata: {
      name: `db-${n}`,
      labels: { 'controller-revision-hash': over.hash ?? 'new' },
      ...(over.ending ? { deletionTimestamp: 'now' } : {}),
    },
    spec: { containers: [] },
    status: {
      phase: over.phase ?? 'Running',
      conditions: [{ type: 'Ready', status: over.ready === false ? 'False' : 'True' }],
    },
  }) as unknown as Pod;
const plan = (pods: readonly Pod[], over: Partial<StatefulView> = {}) => {
  const view = {
    name: 'db',
    replicas: 3,
    start: 0,
    parallel: false,
    update: 'new',
    partition: 0,
    minReadySeconds: 0,
    now: 0,
  };
  const { create, remove } = planStateful({ ...view, pods, ...over });
  return [create.map((c) => `${c.ordinal}:${c.revision}`), remove.map((p) => p.metadata.name)];
};

describe('planStateful', () => {
  test('one after the other, in order', () => {
    assert.deepEqual(plan([]), [['0:update'], []]);
    assert.deepEqual(plan([pod(0, { ready: false })]), [[], []]);
    assert.deepEqual(plan([pod(0)]), [['1:update'], []]);
    assert.deepEqual(plan([pod(0), pod(2)]), [['1:update'], []]);
    assert.deepEqual(plan([pod(0), pod(1, { phase: 'Failed' }), pod(2)]), [[], ['db-1']]);
    assert.deepEqual(plan([], { parallel: true })[0], ['0:update', '1:update', '2:update']);
    assert.deepEqual(plan([], { start: 5 })[0], ['5:update']);
  });

  test('fewer: from the last, when all others serve', () => {
    assert.deepEqual(plan([0, 1, 2, 3, 4].map((n) => pod(n))), [[], ['db-4']]);
    assert.deepEqual(plan([pod(0), pod(1), pod(2), pod(3), pod(4, { ending: true })]), [[], []]);
    assert.deepEqual(plan([pod(0), pod(1, { ready: false }), pod(2), pod(3)]), [[], []]);
  });

  test('a rollout goes from the last, waits for each, and stops at the partition', () => {
    const old = (n: number) => pod(n, { hash: 'old' });
    assert.deepEqual(plan([old(0), old(1), old(2)]), [[], ['db-2']]);
    assert.deepEqual(plan([old(0), old(1), pod(2)]), [[], ['db-1']]);
    assert.deepEqual(plan([old(0), old(1), pod(2, { ready: false })]), [[], []]);
    assert.deepEqual(plan([old(0), old(1), pod(2)], { partition: 2 }), [[], []]);
    assert.deepEqual(plan([old(0), old(2)], { partition: 2 })[0], ['1:current']);
    assert.deepEqual(plan([old(0), old(1), old(2)], { partition: undefined }), [[], []]);
  });

  test('names', () => {
    assert.equal(ordinalOf('db', 'db-10'), 10);
    assert.equal(ordinalOf('db', 'db-01'), undefined);
    assert.equal(ordinalOf('db', 'db-a-1'), undefined);
  });
});
