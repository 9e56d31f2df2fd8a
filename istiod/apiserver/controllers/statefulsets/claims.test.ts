import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventKind } from '../../../../common/kube/schema/cluster.ts';
import { statefulSetKind } from '../../../../common/kube/schema/workloads.ts';
import type { KubeObject } from '../../../../common/kube/types.ts';
import { until } from '../../../../common/testing/until.ts';
import { claimKind } from '../runtime/cluster.ts';
import { startRig } from '../testing/rig.ts';
import { claimController } from '../volumes/claims.ts';
import { statefulSetController } from './controller.ts';

test('each pod has a claim of its own, which outlives it; why claims wait is told', async () => {
  using rig = await startRig([statefulSetController, claimController]);
  const claims = rig.cluster.collection<KubeObject>(claimKind);
  const pods = rig.cluster.collection({ ...claimKind, kind: 'Pod', plural: 'pods' });
  const events = rig.cluster.collection<KubeObject>(eventKind);
  const app = { app: 'db' };
  const spec = {
    replicas: 2,
    serviceName: 'db',
    podManagementPolicy: 'Parallel',
    selector: { matchLabels: app },
    template: {
      metadata: { labels: app },
      spec: {
        containers: [{ name: 'c', image: 'i', volumeMounts: [{ name: 'data', mountPath: '/data' }] }],
        volumes: [{ name: 'other', emptyDir: {} }],
      },
    },
    volumeClaimTemplates: [
      {
        metadata: { name: 'data', labels: { tier: 'x' } },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
      },
    ],
  };
  await rig.make(statefulSetKind, { metadata: { name: 'db', namespace: 'default' }, spec });
  await until('two pods', () => pods.size === 2);
  assert.deepEqual([...claims.values()].map((c) => c.metadata.name).sort(), ['data-db-0', 'data-db-1']);
  assert.deepEqual(claims.get('default', 'data-db-0')!.metadata.labels, { tier: 'x', app: 'db' });
  const { volumes } = pods.get('default', 'db-1')!['spec'] as { volumes: unknown[] };
  assert.deepEqual(volumes, [
    { name: 'other', emptyDir: {} },
    { name: 'data', persistentVolumeClaim: { claimName: 'data-db-1' } },
  ]);
  const reasons = () => [...events.values()].map((e) => e['reason']);
  await until('it is told', () => reasons().filter((r) => r === 'FailedBinding').length === 2);
  await rig.writer.update(statefulSetKind, { namespace: 'default', name: 'db' }, (set) => {
    (set['spec'] as { replicas: number }).replicas = 1;
    return 'changed';
  });
  await until(
    'one goes',
    () => pods.get('default', 'db-1')?.metadata.deletionTimestamp !== undefined || pods.size === 1,
  );
  assert.equal(claims.size, 2);
});
