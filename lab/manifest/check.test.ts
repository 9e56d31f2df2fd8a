import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '../../common/kube/types.ts';
import { checkObject } from './check.ts';

const metadata = { name: 'x', namespace: 'shop', uid: 'u', resourceVersion: '1' };
const template = { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'c', image: 'nginx' }] } };
const fields = (o: object) => checkObject({ metadata, ...o } as unknown as KubeObject).map((p) => p.field);
const deployment = (spec: object) =>
  fields({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    spec: { selector: { matchLabels: { app: 'x' } }, template, ...spec },
  });
const service = (spec: object) => fields({ apiVersion: 'v1', kind: 'Service', spec });

test('a Deployment whose pods it would not find, or with fields nobody follows', () => {
  assert.deepEqual(deployment({}), []);
  assert.deepEqual(deployment({ minReadySeconds: 5 }), ['spec.minReadySeconds']);
  assert.deepEqual(deployment({ selector: { matchLabels: { app: 'y' } } }), ['spec.template.metadata.labels']);
  assert.deepEqual(deployment({ template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } }), [
    'spec.template.spec.restartPolicy',
  ]);
});

test('a Service that needs ports of nodes, SCTP, or an address of another range', () => {
  assert.deepEqual(service({ ports: [{ port: 80 }] }), []);
  assert.deepEqual(service({ type: 'LoadBalancer' }), ['spec.type']);
  assert.deepEqual(service({ ports: [{ port: 80, nodePort: 30_000, protocol: 'SCTP' }] }), [
    'spec.ports[0].nodePort',
    'spec.ports[0].protocol',
  ]);
  assert.deepEqual(service({ clusterIP: '192.0.2.1' }), ['spec.clusterIP']);
  assert.deepEqual(service({ clusterIP: 'None' }), []);
});

test("kinds of the mesh are not the lab's to judge", () => {
  assert.deepEqual(fields({ apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', spec: { rulez: 1 } }), []);
});
