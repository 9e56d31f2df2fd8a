import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ApiObject } from '../objects.ts';
import { checkPodSpec, checkPodUpdate } from './pod-rules.ts';

const container = { name: 'a', image: 'nginx:1' };
const fieldsOf = (spec: object) => checkPodSpec(spec, 'spec').map((c) => c.field);

test('a small pod is right', () => {
  assert.deepEqual(
    fieldsOf({
      containers: [{ ...container, volumeMounts: [{ name: 'v', mountPath: '/v' }] }],
      volumes: [{ name: 'v', emptyDir: {} }],
    }),
    [],
  );
});

const wrong: readonly (readonly [string, object])[] = [
  ['spec.containers[0].image', { containers: [{ name: 'a' }] }],
  ['spec.containers[1].name', { containers: [container, container] }],
  ['spec.containers[0].name', { initContainers: [container], containers: [container] }],
  ['spec.containers[0].volumeMounts[0].name', { containers: [{ ...container, volumeMounts: [{ name: 'v' }] }] }],
  ['spec.volumes[0]', { containers: [container], volumes: [{ name: 'v' }] }],
  ['spec.volumes[0].hostPath', { containers: [container], volumes: [{ name: 'v', emptyDir: {}, hostPath: {} }] }],
  [
    'spec.containers[0].env[0].valueFrom',
    { containers: [{ ...container, env: [{ name: 'A', value: '1', valueFrom: { fieldRef: {} } }] }] },
  ],
  ['spec.containers[0].livenessProbe', { containers: [{ ...container, livenessProbe: { successThreshold: 1 } }] }],
  [
    'spec.containers[0].livenessProbe.successThreshold',
    { containers: [{ ...container, livenessProbe: { exec: {}, successThreshold: 2 } }] },
  ],
  ['spec.initContainers[0].readinessProbe', { initContainers: [{ ...container, readinessProbe: { exec: {} } }] }],
  [
    'spec.containers[0].resources.requests',
    { containers: [{ ...container, resources: { requests: { cpu: '2' }, limits: { cpu: '1500m' } } }] },
  ],
];
for (const [field, spec] of wrong) test(`${field} is refused`, () => assert.deepEqual(fieldsOf(spec), [field]));

test('of a pod images and tolerations may change, and nothing else', () => {
  const pod = (spec: object): ApiObject => ({ apiVersion: 'v1', kind: 'Pod', metadata: {}, spec });
  const old = pod({ containers: [container], nodeName: 'n' });
  const update = (spec: object) => checkPodUpdate(pod({ containers: [container], nodeName: 'n', ...spec }), old);
  assert.deepEqual(update({ containers: [{ ...container, image: 'nginx:2' }], tolerations: [{ key: 'a' }] }), []);
  assert.equal(update({ nodeName: 'other' }).length, 1);
  assert.equal(update({ containers: [{ ...container, env: [] }] }).length, 1);
  assert.equal(
    checkPodUpdate(old, pod({ containers: [container], nodeName: 'n', tolerations: [{ key: 'a' }] })).length,
    1,
  );
});
