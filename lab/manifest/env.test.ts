import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../common/kube/kinds/core.ts';
import { type EnvFacts, expand, planEnv, podField, resolveEnv } from './env.ts';
import { Problems } from './problems.ts';

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web-1', namespace: 'shop', uid: 'u', resourceVersion: '1', labels: { 'app.io/x': 'web' } },
  spec: { containers: [], nodeName: 'node-1' },
  status: { podIP: '10.244.1.2', podIPs: [{ ip: '10.244.1.2' }, { ip: 'fd00:10:244:1::2' }] },
};
const object = { apiVersion: 'v1', metadata: { name: 'o', uid: 'o', resourceVersion: '1' } };
const facts: EnvFacts = {
  pod,
  configMap: (name) => (name === 'conf' ? { ...object, kind: 'ConfigMap', data: { a: '1', b: '2' } } : undefined),
  secret: (name) => (name === 'sec' ? { ...object, kind: 'Secret', data: { key: 'aHVudGVy' } } : undefined),
};

function resolve(container: object) {
  const problems = new Problems();
  const plans = planEnv({ name: 'c', ...container }, 'spec', problems);
  assert.deepEqual(problems.found, []);
  return resolveEnv(plans, facts);
}

test('values come from the pod, from ConfigMaps and from Secrets; later ones win', () => {
  const env = [
    { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
    { name: 'IPS', valueFrom: { fieldRef: { fieldPath: 'status.podIPs' } } },
    { name: 'APP', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app.io/x']" } } },
    { name: 'PASS', valueFrom: { secretKeyRef: { name: 'sec', key: 'key' } } },
    { name: 'P_a', value: 'own' },
    { name: 'URL', value: 'http://$(IP):$(PORT)/$$(IP)' },
    { name: 'NONE', valueFrom: { configMapKeyRef: { name: 'gone', key: 'x', optional: true } } },
  ];
  assert.deepEqual(resolve({ env, envFrom: [{ prefix: 'P_', configMapRef: { name: 'conf' } }] }), {
    ok: true,
    env: {
      P_a: 'own',
      P_b: '2',
      IP: '10.244.1.2',
      IPS: '10.244.1.2,fd00:10:244:1::2',
      APP: 'web',
      PASS: 'hunter',
      URL: 'http://10.244.1.2:$(PORT)/$(IP)',
    },
  });
});

test('what is missing is named', () => {
  const missing = (env: object) => resolve({ env: [{ name: 'X', valueFrom: env }] });
  assert.deepEqual(missing({ configMapKeyRef: { name: 'gone', key: 'x' } }), {
    ok: false,
    missing: 'configMap "gone" does not exist',
  });
  assert.deepEqual(missing({ secretKeyRef: { name: 'sec', key: 'x' } }), {
    ok: false,
    missing: 'secret "sec" has no key "x"',
  });
});

test('$(NAME) is expanded only for names that exist', () => {
  assert.equal(expand('$(A) $(B) $A $$(A) $$', { A: '1' }), '1 $(B) $A $(A) $');
});

test('labels as a whole are lines', () => {
  assert.equal(podField(pod, 'metadata.labels'), 'app.io/x="web"\n');
  assert.equal(podField(pod, 'spec.serviceAccountName'), 'default');
});
