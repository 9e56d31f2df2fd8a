import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, Service } from '../../common/kube/kinds/core.ts';
import { type EnvFacts, expand, planEnv, podField, resolveEnv, serviceEnv } from './env.ts';
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
  resource: (ref) => `${ref.of}.${ref.resource}/${ref.divisor}`,
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

test('a resource comes in its unit', () => {
  const ref = { resource: 'limits.memory', divisor: '1Mi' };
  assert.deepEqual(resolve({ env: [{ name: 'MEMORY', valueFrom: { resourceFieldRef: ref } }] }), {
    ok: true,
    env: { MEMORY: 'limits.memory/1048576' },
  });
});

test('Services of the namespace are told, that of the API always, headless ones never', () => {
  const service = (name: string, namespace: string, clusterIP: string): Service => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, uid: name, resourceVersion: '1' },
    spec: { clusterIP, ports: [{ name: 'web-ui', port: 80 }] },
  });
  const services = [
    service('my-app', 'shop', '10.96.0.9'),
    service('none', 'shop', 'None'),
    service('else', 'other', '10.96.0.8'),
    service('kubernetes', 'default', '10.96.0.1'),
  ];
  const linked = serviceEnv(services, 'shop', true);
  assert.deepEqual(Object.keys(linked).sort(), [
    ...['KUBERNETES', 'MY_APP'].flatMap((n) => [
      ...[`${n}_PORT`, `${n}_PORT_80_TCP`, `${n}_PORT_80_TCP_ADDR`, `${n}_PORT_80_TCP_PORT`, `${n}_PORT_80_TCP_PROTO`],
      ...[`${n}_SERVICE_HOST`, `${n}_SERVICE_PORT`, `${n}_SERVICE_PORT_WEB_UI`],
    ]),
  ]);
  assert.equal(linked['MY_APP_PORT'], 'tcp://10.96.0.9:80');
  assert.equal(linked['KUBERNETES_SERVICE_HOST'], '10.96.0.1');
  assert.deepEqual(
    Object.keys(serviceEnv(services, 'shop', false)).filter((n) => n.startsWith('MY')),
    [],
  );
});
