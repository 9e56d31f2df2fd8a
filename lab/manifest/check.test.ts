import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '../../common/kube/types.ts';
import { checkObject } from './check.ts';

const metadata = { name: 'x', namespace: 'shop', uid: 'u', resourceVersion: '1' };
const pod = { containers: [{ name: 'c', image: 'nowhere' }] };
const fields = (o: object) => checkObject({ metadata, ...o } as unknown as KubeObject).map((p) => p.field);
const service = (spec: object) => fields({ apiVersion: 'v1', kind: 'Service', spec });

test('pods, and the pods that others make', () => {
  assert.deepEqual(fields({ apiVersion: 'v1', kind: 'Pod', spec: pod }), ['spec.containers[0].image']);
  const template = { spec: pod };
  const at = 'spec.containers[0].image';
  assert.deepEqual(fields({ apiVersion: 'apps/v1', kind: 'DaemonSet', spec: { template } }), [`spec.template.${at}`]);
  const jobTemplate = { spec: { template } };
  assert.deepEqual(fields({ apiVersion: 'batch/v1', kind: 'CronJob', spec: { jobTemplate } }), [
    `spec.jobTemplate.spec.template.${at}`,
  ]);
});

test('a Service that needs ports of nodes, or SCTP', () => {
  assert.deepEqual(service({ ports: [{ port: 80 }] }), []);
  assert.deepEqual(service({ type: 'LoadBalancer' }), ['spec.type']);
  assert.deepEqual(service({ ports: [{ port: 80, protocol: 'SCTP' }] }), ['spec.ports[0].protocol']);
});

test("kinds of the mesh are not the lab's to judge", () => {
  assert.deepEqual(fields({ apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', spec: { rulez: 1 } }), []);
});
