import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Node, Pod } from '../../../../common/kube/kinds/core.ts';
import { type DaemonView, nodeOf, placeOn, planDaemons, specFor } from './plan.ts';

const pod = (node: string, hash: string, ready = true, ending = false): Pod =>
  ({
    metadata: {
      name: `${node}-${hash}`,
      labels: { 'controller-revision-hash': hash },
      ...(ending ? { deletionTimestamp: 'now' } : {}),
    },
    spec: { nodeName: node, containers: [] },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  }) as unknown as Pod;
const plan = (pods: readonly Pod[], over: Partial<DaemonView> = {}) => {
  const nodes = ['a', 'b', 'c'].map((name) => ({ name, run: true, stay: true }));
  const { create, remove } = planDaemons({
    nodes,
    pods,
    hash: 'new',
    rolling: { surge: 0, unavailable: 1 },
    minReadySeconds: 0,
    now: 0,
    ...over,
  });
  return [create, remove.map((p) => p.metadata.name)];
};

describe('planDaemons', () => {
  test('one a node; a node that may not, or is gone, has none', () => {
    assert.deepEqual(plan([pod('a', 'new')]), [['b', 'c'], []]);
    assert.deepEqual(plan([pod('a', 'new', true, true)])[0], ['b', 'c']);
    const nodes = [
      { name: 'a', run: false, stay: false },
      { name: 'b', run: false, stay: true },
    ];
    assert.deepEqual(plan([pod('a', 'new'), pod('b', 'new'), pod('z', 'new')], { nodes }), [[], ['a-new', 'z-new']]);
  });

  test('rolls by one that is away, those that do not serve first', () => {
    assert.deepEqual(plan([pod('a', 'old'), pod('b', 'old'), pod('c', 'old')]), [[], ['a-old']]);
    assert.deepEqual(plan([pod('b', 'old'), pod('c', 'old')]), [['a'], []]);
    assert.deepEqual(plan([pod('a', 'new', false), pod('b', 'old'), pod('c', 'old')]), [[], []]);
    assert.deepEqual(plan([pod('a', 'new'), pod('b', 'old'), pod('c', 'old', false)]), [[], ['c-old']]);
    assert.deepEqual(plan([pod('a', 'old'), pod('b', 'old'), pod('c', 'old')], { rolling: undefined }), [[], []]);
  });

  test('with surge the old one goes when the new one serves', () => {
    const rolling = { surge: 1, unavailable: 0 };
    assert.deepEqual(plan([pod('a', 'old'), pod('b', 'old'), pod('c', 'old')], { rolling }), [['a'], []]);
    assert.deepEqual(plan([pod('a', 'old'), pod('a', 'new', false), pod('b', 'old'), pod('c', 'old')], { rolling }), [
      [],
      [],
    ]);
    assert.deepEqual(plan([pod('a', 'old'), pod('a', 'new'), pod('b', 'old'), pod('c', 'old')], { rolling }), [
      ['b'],
      ['a-old'],
    ]);
  });
});

test('where they run: chosen nodes, also closed ones, not those with taints of others', () => {
  const node = (spec: object) => ({ metadata: { name: 'n', labels: { disk: 'ssd' } }, spec }) as unknown as Node;
  const spec = { containers: [], nodeSelector: { disk: 'ssd' } };
  assert.deepEqual(placeOn(spec, node({ unschedulable: true })), { run: true, stay: true });
  assert.deepEqual(placeOn(spec, node({ taints: [{ key: 'x', effect: 'NoSchedule' }] })), { run: false, stay: true });
  assert.deepEqual(placeOn(spec, node({ taints: [{ key: 'x', effect: 'NoExecute' }] })), { run: false, stay: false });
  assert.deepEqual(placeOn({ ...spec, nodeSelector: { disk: 'hdd' } }, node({})), { run: false, stay: false });
  assert.equal(nodeOf({ spec: specFor(spec, 'n') } as Pod), 'n');
});
