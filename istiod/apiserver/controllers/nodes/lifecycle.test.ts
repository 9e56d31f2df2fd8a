import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nodeKind, podKind } from '../../../../common/kube/kinds/core.ts';
import { eventKind, leaseKind } from '../../../../common/kube/schema/cluster.ts';
import { until } from '../../../../common/testing/until.ts';
import { eventExpiry } from '../events/expiry.ts';
import { conditionOf } from '../runtime/conditions.ts';
import { type Rig, startRig } from '../testing/rig.ts';
import { nodeController } from './controller.ts';

const ready = (rig: Rig) => conditionOf(rig.cluster.nodes.get('', 'a')?.status?.conditions, 'Ready')?.status;
const taints = (rig: Rig) =>
  (
    (rig.cluster.nodes.get('', 'a')?.spec as { taints?: { key: string; effect: string }[] } | undefined)?.taints ?? []
  ).map((t) => `${t.key.split('/')[1]}:${t.effect}`);
const readyStatus = { conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: '2026-01-01T00:00:00Z' }] };

async function withNode(): Promise<Rig> {
  const rig = await startRig([nodeController]);
  await rig.make(nodeKind, { metadata: { name: 'a' } });
  await rig.setStatus(nodeKind, '', 'a', readyStatus);
  await rig.make(podKind, {
    metadata: { name: 'p', namespace: 'default' },
    spec: { nodeName: 'a', containers: [{ name: 'c', image: 'i' }] },
  });
  await rig.setStatus(podKind, 'default', 'p', { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] });
  return rig;
}

describe('nodes', () => {
  test('one that is silent for 40 s is unknown, tainted, and its pods are not ready; a lease keeps it', async () => {
    using rig = await withNode();
    await rig.make(leaseKind, {
      metadata: { name: 'a', namespace: 'kube-node-lease' },
      spec: { renewTime: '2026-01-01T00:00:01.000000Z' },
    });
    rig.clock.advance(30_000);
    await rig.writer.update(leaseKind, { namespace: 'kube-node-lease', name: 'a' }, (o) => {
      o['spec'] = { renewTime: '2026-01-01T00:00:30.000000Z' };
      return 'changed';
    });
    rig.clock.advance(30_000);
    await new Promise(setImmediate);
    assert.equal(ready(rig), 'True');
    rig.clock.advance(20_000);
    await until('unknown', () => ready(rig) === 'Unknown');
    await until('taints', () => taints(rig).join() === 'unreachable:NoSchedule,unreachable:NoExecute');
    await until(
      'the pod',
      () => conditionOf(rig.cluster.pods.get('default', 'p')?.status?.conditions, 'Ready')?.status === 'False',
    );
    await rig.setStatus(nodeKind, '', 'a', readyStatus);
    await until('no taints', () => taints(rig).length === 0);
  });

  test('one that says that it is not ready is tainted at once; cordoning is a taint too', async () => {
    using rig = await withNode();
    await rig.setStatus(nodeKind, '', 'a', { conditions: [{ type: 'Ready', status: 'False' }] });
    await until('taints', () => taints(rig).join() === 'not-ready:NoSchedule,not-ready:NoExecute');
    await rig.setStatus(nodeKind, '', 'a', readyStatus);
    await until('no taints', () => taints(rig).length === 0);
    await rig.writer.update(nodeKind, { namespace: '', name: 'a' }, (o) => {
      o['spec'] = { unschedulable: true };
      return 'changed';
    });
    await until('cordoned', () => taints(rig).join() === 'unschedulable:NoSchedule');
  });

  test('pods of a node that was deleted go after 40 s', async () => {
    using rig = await withNode();
    await rig.writer.delete(nodeKind, { namespace: '', name: 'a' });
    await new Promise(setImmediate);
    assert.ok(rig.cluster.pods.get('default', 'p'));
    rig.clock.advance(41_000);
    await until('no pod', () => rig.cluster.pods.get('default', 'p') === undefined);
  });
});

test('events go an hour after they were seen last', async () => {
  using rig = await startRig([eventExpiry]);
  const about = { involvedObject: { kind: 'Pod', name: 'p' } };
  for (const name of ['old', 'repeated'])
    await rig.make(eventKind, { metadata: { name, namespace: 'default' }, ...about });
  const has = (name: string) =>
    rig.cluster.rest.store.get({ resource: 'events.core', namespace: 'default', name }) !== undefined;
  rig.clock.advance(1_800_000);
  await rig.writer.update(eventKind, { namespace: 'default', name: 'repeated' }, (o) => {
    o['count'] = 2;
    return 'changed';
  });
  await until('old is gone', () => {
    if (rig.clock.wall() - Date.UTC(2026, 0, 1) < 3_700_000) rig.clock.advance(60_000);
    return !has('old');
  });
  assert.ok(has('repeated'));
});
