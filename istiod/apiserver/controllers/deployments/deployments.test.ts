import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deploymentKind } from '../../../../common/kube/kinds/apps.ts';
import { replicaSetKind } from '../../../../common/kube/schema/workloads.ts';
import { until } from '../../../../common/testing/until.ts';
import { startRig } from '../testing/rig.ts';
import { deploymentController } from './controller.ts';

test('a number that is changed in the middle of a rollout is shared, and the rollout goes on', async () => {
  using rig = await startRig([deploymentController]);
  const name = { namespace: 'default', name: 'web' };
  const labels = { app: 'web' };
  const template = (image: string) => ({
    metadata: { labels },
    spec: { restartPolicy: 'Always', containers: [{ name: 'c', image }] },
  });
  await rig.make(deploymentKind, {
    metadata: name,
    spec: {
      replicas: 10,
      selector: { matchLabels: labels },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } },
      template: template('one'),
    },
  });
  const sets = () => [...rig.cluster.replicaSets.values()];
  const sizes = () => sets().map((s) => s.spec.replicas);
  /** Work that met another's write comes again by the clock. */
  const comes = (what: string, is: () => boolean) =>
    until(what, () => {
      rig.clock.advance(10);
      return is();
    });
  const run = (set: string, n: number) =>
    rig.setStatus(replicaSetKind, 'default', set, { replicas: n, readyReplicas: n, availableReplicas: n });
  const change = (with_: object) =>
    rig.writer.update(deploymentKind, name, (object) => {
      object['spec'] = { ...(object['spec'] as object), ...with_ };
      return 'changed';
    });
  await comes('the first', () => sets().length === 1);
  const old = sets()[0]!.metadata.name;
  await run(old, 10);
  const defaulted = rig.cluster.deployments.get('default', 'web')!.spec.template as ReturnType<typeof template>;
  const containers = defaulted.spec.containers.map((c) => ({ ...c, image: 'two' }));
  await change({ template: { ...defaulted, spec: { ...defaulted.spec, containers } } });
  await comes('a rollout whose new pods do not run', () => sets().length === 2 && sizes().join() === '8,5');
  await change({ replicas: 15 });
  await comes('each has its share', () => sizes().join() === '11,7');
  const next = sets().find((s) => s.metadata.name !== old)!.metadata.name;
  await run(old, 11);
  await run(next, 7);
  await comes('it goes on', () => Number(sizes()[0]) < 11);
  assert.ok(Number(sizes()[1]) >= 7);
});
