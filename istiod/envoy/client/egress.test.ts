import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestMesh } from '../../model/testing/test-mesh.ts';
import type { ClientProxy } from '../proxy.ts';
import { viewOf } from '../routes/testing/view.ts';
import { listenerTypeUrl, routeTypeUrl } from '../types.ts';
import { unservedConditions } from '../unserved.ts';
import { ClientConfiguration } from './configuration.ts';

const service = (name: string, namespace: string) => `
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec: {clusterIP: 10.0.0.1, selector: {app: ${name}}, ports: [{name: http, port: 80}, {name: http-b, port: 81}]}
`;
const sidecar = (name: string, namespace: string, spec: string) => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: ${name}, namespace: ${namespace}}
spec: {${spec}}
`;
const services = [service('web', 'shop'), service('api', 'pay'), service('log', 'ops')];
const proxy: ClientProxy = {
  kind: 'client',
  interception: 'REDIRECT',
  namespace: 'shop',
  account: undefined,
  locality: { region: '', zone: '', subzone: '' },
  node: '',
  network: '',
  families: 'ipv4',
  engine: 'envoy',
  labels: { app: 'c' },
  isGrpc: true,
};

/** Which of `web`, `api` and `log` it sees at that port, by listeners and by routes alike. */
function seen(mesh: TestMesh, port = 80): string {
  const hosts = ['web.shop', 'api.pay', 'log.ops'].map((host) => `${host}.svc.cluster.local`);
  const of = (type: typeof listenerTypeUrl | typeof routeTypeUrl, name: (host: string) => string) =>
    hosts
      .filter((host) => {
        const { outcome } = mesh.index.envoy.trace((view) => {
          const made = new ClientConfiguration(proxy, (id, make) => ({ id, value: make(view) }));
          made.ask(type, name(host));
          return made.resources().length > 0;
        });
        assert.ok(outcome.kind === 'made');
        return outcome.value;
      })
      .map((host) => host.split('.')[0])
      .join();
  const listeners = of(listenerTypeUrl, (host) => `${host}:${port}`);
  assert.equal(
    of(routeTypeUrl, (host) => `outbound|${port}||${host}`),
    listeners,
  );
  return listeners;
}

test('a client sees what egress of its Sidecar names: the one that selects it, its namespace, the root namespace', () => {
  const mesh = new TestMesh(services.join('---'));
  assert.equal(seen(mesh), 'web,api,log');
  mesh.apply(sidecar('root', 'istio-system', 'egress: [{hosts: ["./*", "ops/log.ops.svc.cluster.local"]}]'));
  assert.equal(seen(mesh), 'web,log');
  mesh.apply(
    sidecar('all', 'shop', 'egress: [{hosts: ["*/*.pay.svc.cluster.local"]}, {port: {number: 81}, hosts: ["./*"]}]'),
  );
  assert.equal(seen(mesh), 'api');
  assert.equal(seen(mesh, 81), 'web,api');
  mesh.apply(sidecar('other', 'shop', 'workloadSelector: {labels: {app: x}}, egress: [{hosts: ["*/*"]}]'));
  assert.equal(seen(mesh), 'api');
  mesh.apply(sidecar('own', 'shop', 'workloadSelector: {labels: {app: c}}, egress: [{hosts: ["~/*"]}]'));
  assert.equal(seen(mesh), '');
  mesh.apply(
    sidecar('own', 'shop', 'workloadSelector: {labels: {app: c}}, outboundTrafficPolicy: {mode: REGISTRY_ONLY}'),
  );
  assert.equal(seen(mesh), 'web,api,log');
});

test('what only sidecars heed is said', () => {
  const object = (kind: string, spec = {}) => ({
    apiVersion: 'networking.istio.io/v1',
    kind,
    metadata: { name: 'x', uid: 'x', resourceVersion: '1' },
    spec,
  });
  const message = (kind: string, spec = {}) =>
    unservedConditions(object(kind, spec), () => viewOf([], []))?.get('aquifer.dev/Ineffective')?.message ?? '';
  assert.match(message('EnvoyFilter'), /not patched/);
  assert.match(message('Telemetry', { tracing: [{}], selector: {} }), /selector: waypoints heed targetRefs/);
  assert.equal(message('Telemetry', { metrics: [{}] }), '');
  assert.doesNotMatch(message('Sidecar', { outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } }), /nothing heeds/);
  assert.match(
    message('Sidecar', {
      ingress: [{}],
      egress: [{ hosts: [] }, { hosts: [], bind: '127.0.0.1', captureMode: 'NONE' }],
    }),
    /nothing heeds ingress, egress\[1\]\.bind, egress\[1\]\.captureMode/,
  );
  assert.equal(message('VirtualService'), '');
});
