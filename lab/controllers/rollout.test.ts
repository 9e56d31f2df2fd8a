import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Deployment } from '../../common/kube/kinds/apps.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import { deploymentStatus, newPod, planRollout, podsOf, templateHash } from './rollout.ts';

function deployment(replicas: number, version: string, strategy?: Deployment['spec']['strategy']): Deployment {
  const labels = { app: 'web', version };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'shop', uid: 'd', resourceVersion: '1', generation: 1 },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'nginx' }] } },
      ...(strategy === undefined ? {} : { strategy }),
    },
  };
}

let made = 0;
function pod(d: Deployment, ready: boolean): Pod {
  const suffix = String(++made).padStart(5, '0');
  const { metadata, ...rest } = newPod(d, suffix, 'node-1');
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
  return {
    ...rest,
    metadata: { ...metadata, uid: suffix, resourceVersion: '1', creationTimestamp: `2026-01-01T00:00:${suffix}` },
    status: { conditions },
  } as unknown as Pod;
}

const isReady = (p: Pod) => p.status?.conditions?.[0]?.status === 'True';

describe('templates', () => {
  test('the order of keys makes no other template, a changed value does', () => {
    const one = deployment(1, 'a');
    const { template } = one.spec;
    const turned = { ...one, spec: { ...one.spec, template: { spec: template.spec, metadata: template.metadata! } } };
    assert.equal(templateHash(turned), templateHash(one));
    assert.notEqual(templateHash(deployment(1, 'b')), templateHash(one));
    assert.equal(templateHash(deployment(5, 'a')), templateHash(one));
  });

  test('pods are named and owned as by a ReplicaSet, and found again', () => {
    const d = deployment(1, 'a');
    const p = pod(d, true);
    const owner = p.metadata.ownerReferences![0]!;
    assert.equal(owner.kind, 'ReplicaSet');
    assert.equal(owner.name, `web-${templateHash(d)}`);
    assert.match(p.metadata.name, new RegExp(`^${owner.name}-\\d{5}$`));
    const other = { ...p, metadata: { ...p.metadata, namespace: 'other' } };
    assert.deepEqual(podsOf(deployment(3, 'b'), [p, other]), [p]);
  });
});

describe('planRollout', () => {
  const limit = fc.oneof(fc.nat({ max: 3 }), fc.constantFrom('0%', '25%', '50%', '100%'));

  test('any rolling update ends with the new pods only, and keeps its promises on the way', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 6 }),
        fc.nat({ max: 6 }),
        limit,
        limit,
        fc.infiniteStream(fc.nat({ max: 99 })),
        (replicas, old, maxSurge, maxUnavailable, dice) => {
          const target = deployment(replicas, 'new', {
            type: 'RollingUpdate',
            rollingUpdate: { maxSurge, maxUnavailable },
          });
          const part = (v: number | string, round: (n: number) => number) =>
            typeof v === 'number' ? v : round((Number.parseInt(v, 10) * replicas) / 100);
          const surge = part(maxSurge, Math.ceil);
          const away = surge === 0 && part(maxUnavailable, Math.floor) === 0 ? 1 : part(maxUnavailable, Math.floor);
          let pods = Array.from({ length: old }, () => pod(deployment(replicas, 'old'), true));
          for (let round = 0; round < 60; round++) {
            const plan = planRollout(target, pods);
            const readyBefore = pods.filter(isReady).length;
            const removedReady = plan.remove.filter(isReady).length;
            if (removedReady > 0) assert.ok(readyBefore - removedReady >= Math.min(replicas, readyBefore) - away);
            pods = pods.filter((p) => !plan.remove.includes(p));
            for (let i = 0; i < plan.create; i++) pods.push(pod(target, false));
            assert.ok(pods.length <= Math.max(replicas + surge, old), `${pods.length} pods for ${replicas}+${surge}`);
            // Some of those that start become ready.
            pods = pods.map((p) => (isReady(p) || dice.next().value! < 40 ? p : readied(p)));
          }
          const hash = templateHash(target);
          assert.equal(pods.length, replicas);
          assert.ok(pods.every((p) => p.metadata.labels?.['pod-template-hash'] === hash));
          assert.deepEqual(planRollout(target, pods), { create: 0, remove: [] });
        },
      ),
      { numRuns: 60 },
    );
  });

  test('Recreate waits until the last old pod is gone', () => {
    const d = deployment(2, 'new', { type: 'Recreate' });
    const old = pod(deployment(2, 'old'), true);
    assert.deepEqual(planRollout(d, [old]), { create: 0, remove: [old] });
    const ending = { ...old, metadata: { ...old.metadata, deletionTimestamp: 'now' } };
    assert.deepEqual(planRollout(d, [ending]), { create: 0, remove: [] });
    assert.equal(planRollout(d, []).create, 2);
  });

  test('fewer replicas take those that are not ready, then the youngest', () => {
    const d = deployment(1, 'a');
    const [oldest, unready, youngest] = [pod(d, true), pod(d, false), pod(d, true)];
    assert.deepEqual(planRollout(d, [oldest, unready, youngest]).remove, [unready, youngest]);
  });
});

test('the status counts what is there, and says what keeps pods from being made', () => {
  const d = deployment(2, 'a');
  const status = deploymentStatus(d, [pod(d, true), pod(d, false)], 'spec.x: not so');
  assert.equal(status.readyReplicas, 1);
  assert.equal(status.unavailableReplicas, 1);
  assert.deepEqual(
    status.conditions.map((c) => [c.type, c.status, c.message]),
    [
      ['Available', 'False', undefined],
      ['ReplicaFailure', 'True', 'spec.x: not so'],
    ],
  );
});

function readied(p: Pod): Pod {
  return { ...p, status: { conditions: [{ type: 'Ready', status: 'True' }] } };
}
