import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nodeKind, podKind } from '../../../../common/kube/kinds/core.ts';
import { eventKind } from '../../../../common/kube/schema/cluster.ts';
import type { KubeObject } from '../../../../common/kube/types.ts';
import { until } from '../../../../common/testing/until.ts';
import type { Toleration } from '../scheduler/fit.ts';
import { type Rig, startRig } from '../testing/rig.ts';
import { taintEviction } from './eviction.ts';
import { withDefaults } from './tolerations.ts';

const key = 'node.kubernetes.io/unreachable';
const taint = { key, effect: 'NoExecute', timeAdded: '2026-01-01T00:00:00Z' };

const setTaints = (rig: Rig, taints: readonly object[]) =>
  rig.writer.update(nodeKind, { namespace: '', name: 'a' }, (o) => {
    o['spec'] = { taints };
    return 'changed';
  });

async function withPods(pods: Readonly<Record<string, readonly object[]>>): Promise<Rig> {
  const rig = await startRig([taintEviction]);
  await rig.make(nodeKind, { metadata: { name: 'a' } });
  for (const [name, tolerations] of Object.entries(pods)) {
    const spec = {
      nodeName: 'a',
      tolerations,
      containers: [{ name: 'c', image: 'i' }],
      terminationGracePeriodSeconds: 0,
    };
    await rig.make(podKind, { metadata: { name, namespace: 'default' }, spec });
  }
  return rig;
}

const names = (rig: Rig) =>
  [...rig.cluster.pods.values()]
    .map((p) => p.metadata.name)
    .sort()
    .join();

describe('taints that drive pods out', () => {
  test('who does not tolerate goes at once, others after their time, or never', async () => {
    using rig = await withPods({
      no: [],
      other: [{ key: 'other', operator: 'Exists' }],
      short: [{ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 30 }],
      shorter: [
        { key, operator: 'Exists', tolerationSeconds: 60 },
        { operator: 'Exists', tolerationSeconds: 20 },
      ],
      always: [{ operator: 'Exists' }],
    });
    const events = rig.cluster.collection<KubeObject>(eventKind);
    await setTaints(rig, [{ ...taint, effect: 'NoSchedule' }]);
    await setTaints(rig, [taint]);
    await until('two', () => names(rig) === 'always,short,shorter');
    await until('it is told', () => [...events.values()].some((e) => e['reason'] === 'TaintManagerEviction'));
    rig.clock.advance(21_000);
    await until('one', () => names(rig) === 'always,short');
    rig.clock.advance(10_000);
    await until('none', () => names(rig) === 'always');
  });

  test('a taint that goes in time drives nobody out, and the next one counts anew', async () => {
    using rig = await withPods({ p: [{ key, operator: 'Exists', tolerationSeconds: 30 }] });
    await setTaints(rig, [{ key, effect: 'NoExecute' }]);
    rig.clock.advance(20_000);
    await setTaints(rig, []);
    rig.clock.advance(20_000);
    await setTaints(rig, [{ key, effect: 'NoExecute' }]);
    rig.clock.advance(20_000);
    await new Promise(setImmediate);
    assert.equal(names(rig), 'p');
    rig.clock.advance(11_000);
    await until('gone', () => names(rig) === '');
  });

  test('new pods tolerate a node that is away for five minutes, unless they say otherwise', () => {
    const of = (...tolerations: Toleration[]) =>
      withDefaults({ containers: [], tolerations }).map((t) => `${t.key} ${t.tolerationSeconds}`);
    const both = ['node.kubernetes.io/not-ready 300', `${key} 300`];
    assert.deepEqual(of(), both);
    assert.deepEqual(of({ key, operator: 'Exists', tolerationSeconds: 5 }), [`${key} 5`, both[0]]);
    assert.deepEqual(of({ operator: 'Exists' }), ['undefined undefined']);
    assert.deepEqual(of({ key, operator: 'Exists', effect: 'NoSchedule' }).slice(1), both);
  });
});
