import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Deployment } from '../../common/kube/kinds/apps.ts';
import type { Namespace, Pod } from '../../common/kube/kinds/core.ts';
import { notAsWanted, wantsMesh } from './enrolment.ts';
import { missing } from './readiness.ts';

const meta = (name: string, more: object = {}) => ({
  name,
  namespace: 'shop',
  uid: name,
  resourceVersion: '1',
  ...more,
});
const namespace = (mode?: string): Namespace => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: {
    name: 'shop',
    uid: 'n',
    resourceVersion: '1',
    ...(mode ? { labels: { 'istio.io/dataplane-mode': mode } } : {}),
  },
});
function pod(
  over: { label?: string; redirection?: string; hostNetwork?: boolean; sidecar?: boolean; ready?: boolean } = {},
): Pod {
  const annotations = {
    ...(over.redirection ? { 'ambient.istio.io/redirection': over.redirection } : {}),
    ...(over.sidecar ? { 'sidecar.istio.io/status': '{}' } : {}),
  };
  const labels = over.label ? { 'istio.io/dataplane-mode': over.label } : {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: meta('web', { labels, annotations }),
    spec: { containers: [], hostNetwork: over.hostNetwork ?? false },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: over.ready === false ? 'False' : 'True' }] },
  };
}

describe('who should be in the mesh', () => {
  test("the pod's label, or the namespace's unless the pod says none", () => {
    assert.equal(wantsMesh(pod(), namespace()), false);
    assert.equal(wantsMesh(pod(), namespace('ambient')), true);
    assert.equal(wantsMesh(pod({ label: 'none' }), namespace('ambient')), false);
    assert.equal(wantsMesh(pod({ label: 'ambient' }), namespace()), true);
    assert.equal(wantsMesh(pod({ hostNetwork: true }), namespace('ambient')), false);
    assert.equal(wantsMesh(pod({ sidecar: true }), namespace('ambient')), false);
  });

  test('both directions are waited for', () => {
    const inMesh = new Map([['shop', namespace('ambient')]]);
    const outside = new Map([['shop', namespace()]]);
    assert.deepEqual(notAsWanted([pod({ redirection: 'enabled' })], inMesh), []);
    assert.deepEqual(notAsWanted([pod()], outside), []);
    assert.match(notAsWanted([pod({ redirection: 'pending' })], inMesh)[0]!, /shop\/web is not enrolled .*pending/);
    assert.match(notAsWanted([pod({ redirection: 'enabled' })], outside)[0]!, /shop\/web is still enrolled/);
    assert.equal(notAsWanted([pod({ redirection: 'pending' })], outside).length, 1);
  });
});

describe('what is missing', () => {
  const deployment = (status: Deployment['status']): Deployment => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: meta('web', { generation: 2 }),
    spec: { replicas: 1, selector: {}, template: { spec: { containers: [] } } },
    ...(status === undefined ? {} : { status }),
  });
  const done = { observedGeneration: 2, replicas: 1, updatedReplicas: 1, readyReplicas: 1 };
  const of = (d: Deployment) => missing({ deployments: [d], pods: [], services: [] });

  test('a Deployment is there when all pods are of its newest template and ready', () => {
    assert.deepEqual(of(deployment(done)), []);
    assert.deepEqual(of(deployment({ ...done, observedGeneration: 1 })), [
      'Deployment shop/web: 0 of 1 pods are ready',
    ]);
    assert.equal(of(deployment({ ...done, replicas: 2 })).length, 1);
    assert.equal(of(deployment(undefined)).length, 1);
  });

  test('a failure is told in its own words', () => {
    const conditions = [{ type: 'ReplicaFailure', status: 'True', message: 'no such account' }];
    assert.deepEqual(of(deployment({ ...done, conditions })), ['Deployment shop/web: no such account']);
  });

  test('pods and Services count too', () => {
    const service = { apiVersion: 'v1', kind: 'Service', metadata: meta('web'), spec: {} };
    assert.deepEqual(missing({ deployments: [], pods: [pod({ ready: false })], services: [service] }), [
      'Pod shop/web is not ready',
      'Service shop/web has no address',
    ]);
  });
});
