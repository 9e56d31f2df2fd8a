/** What generators look up, and which changes are told to concern it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MeshView } from '../../envoy/inputs.ts';
import { TestMesh } from '../testing/test-mesh.ts';

const mesh = `
kind: Namespace
metadata: {name: shop, labels: {team: a}}
---
kind: Service
metadata: {name: web, labels: {}}
spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: x, port: 81}]}
---
kind: Pod
metadata: {name: web-1, labels: {app: web, version: v1}}
spec: {nodeName: node-1, serviceAccountName: web}
status: {phase: Running, podIP: 10.244.1.1, conditions: [{type: Ready, status: "True"}]}
---
kind: ServiceEntry
metadata: {name: outside, namespace: other}
spec: {hosts: ["*.example.com", api.example.com], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DYNAMIC_DNS}
---
kind: VirtualService
metadata: {name: young, creationTimestamp: "2026-01-02T00:00:00Z"}
spec: {hosts: [web], http: []}
---
kind: VirtualService
metadata: {name: old, creationTimestamp: "2026-01-01T00:00:00Z", namespace: other}
spec: {hosts: ["*.shop.svc.cluster.local"], http: []}
---
kind: HTTPRoute
metadata: {name: r}
spec: {parentRefs: [{group: "", kind: Service, name: web}], rules: []}
`;

const web = 'web.shop.svc.cluster.local';

function look<T>(m: TestMesh, make: (view: MeshView) => T) {
  const { outcome, ...rest } = m.index.envoy.trace(make);
  assert.ok(outcome.kind === 'made');
  return { value: outcome.value, ...rest };
}

test('services, endpoints with their labels, and routes of a mesh', () => {
  const m = new TestMesh(mesh);
  const { value, objects } = look(m, (view) => {
    const service = view.resolve('web', 'shop')!;
    return { service, endpoints: view.endpoints(service), routes: view.virtualServices(web) };
  });
  assert.deepEqual(value.service.ports, [
    { number: 80, name: 'http', protocol: 'HTTP11' },
    { number: 81, name: 'x', protocol: undefined },
  ]);
  const [endpoint] = value.endpoints;
  assert.equal(endpoint?.labels['version'], 'v1');
  assert.deepEqual(
    [...endpoint!.ports],
    [
      [80, 8080],
      [81, 81],
    ],
  );
  assert.deepEqual(
    value.routes.map((v) => v.metadata.name),
    ['old', 'young'],
  );
  assert.deepEqual(
    objects.map((o) => `${o.kind} ${o.name}`),
    ['Service web', 'VirtualService young', 'VirtualService old'],
  );
});

test('a host that no service has is of the longest wildcard', () => {
  const m = new TestMesh(mesh);
  const resolve = (host: string) => look(m, (view) => view.resolve(host, 'shop')?.hostname).value;
  assert.equal(resolve('api.example.com'), 'api.example.com');
  assert.equal(resolve('www.example.com'), '*.example.com');
  assert.equal(resolve('example.com'), undefined);
  assert.equal(resolve('nothing'), undefined);
});

test('a change touches what looked at it, and nothing else', () => {
  const m = new TestMesh(mesh);
  const endpoints = look(m, (view) => view.endpoints(view.resolve('web', 'shop')!)).reads;
  const routes = look(m, (view) => [view.virtualServices(web), view.httpRoutes('Service/shop/web')]).reads;
  const touches = (yaml: string) => {
    const { lookups } = m.apply(yaml)!;
    return [endpoints, routes].map((reads) => [...reads].some((r) => lookups.has(r)));
  };
  const pod = (labels: string) => `
kind: Pod
metadata: {name: web-1, labels: {app: web, ${labels}}}
spec: {nodeName: node-1, serviceAccountName: web}
status: {phase: Running, podIP: 10.244.1.1, conditions: [{type: Ready, status: "True"}]}
`;
  assert.deepEqual(touches(pod('version: v2')), [true, false]);
  // Of no matter for node proxies: DestinationRules choose by it.
  const change = m.apply(pod('version: v2, colour: blue'))!;
  assert.equal(change.addresses.size, 0);
  assert.ok([...endpoints].some((r) => change.lookups.has(r)));
  assert.deepEqual(
    touches(
      'kind: VirtualService\nmetadata: {name: new, namespace: other}\nspec: {hosts: [web.shop.svc.cluster.local]}',
    ),
    [false, true],
  );
  assert.deepEqual(
    touches('kind: HTTPRoute\nmetadata: {name: r2}\nspec: {parentRefs: [{kind: Service, name: web}], rules: []}'),
    [false, true],
  );
  assert.deepEqual(touches('kind: VirtualService\nmetadata: {name: far}\nspec: {hosts: [a.b.c]}'), [false, false]);
});
