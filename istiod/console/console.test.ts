/** What the console shows, and to whom, by an istiod and an API server with RBAC. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { type World, withWorld } from '../testing/world.ts';

const shop = `
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: Namespace
metadata: { name: bank }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { clusterIP: 10.96.1.1, selector: { app: web }, ports: [{ port: 80 }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: web-clients, namespace: shop }
spec:
  action: ALLOW
  rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/client] } }] }]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: bank }
spec: { mtls: { mode: STRICT } }
`;

const waypoint = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: shop }
spec: { gatewayClassName: istio-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
---
apiVersion: v1
kind: Service
metadata: { name: books, namespace: shop, labels: { istio.io/use-waypoint: waypoint } }
spec: { clusterIP: 10.96.1.2, selector: { app: books }, ports: [{ name: http, port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: books, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: books }]
  rules:
    - backendRefs: [{ name: books, port: 80 }]
    - { matches: [{ headers: [{ name: x-tester, value: "yes" }] }], backendRefs: [{ name: web, port: 80 }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: read-only, namespace: shop }
spec:
  targetRefs: [{ group: "", kind: Service, name: books }]
  action: DENY
  rules: [{ to: [{ operation: { methods: [DELETE] } }] }]
`;

const rbac = 'rbac.authorization.k8s.io';
/** viewer may list what the console shows of namespace shop, guest its pods alone. */
const rules = {
  viewer: [
    { apiGroups: [''], resources: ['pods', 'services'], verbs: ['list'] },
    { apiGroups: ['security.istio.io'], resources: ['*'], verbs: ['list'] },
  ],
  guest: [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }],
};

async function tokenOf(w: World, name: keyof typeof rules): Promise<string> {
  const post = async (path: string, body: object): Promise<Json> => {
    const { code, json } = await w.api.ask(path, { method: 'POST', body });
    assert.equal(code, 201, JSON.stringify(json));
    return json;
  };
  const roles = `/apis/${rbac}/v1/namespaces/shop`;
  const metadata = { name };
  await post('/api/v1/namespaces/shop/serviceaccounts', { metadata });
  await post(`${roles}/roles`, { metadata, rules: rules[name] });
  const subjects = [{ kind: 'ServiceAccount', name, namespace: 'shop' }];
  await post(`${roles}/rolebindings`, { metadata, roleRef: { apiGroup: rbac, kind: 'Role', name }, subjects });
  const { status } = await post(`/api/v1/namespaces/shop/serviceaccounts/${name}/token`, { spec: {} });
  return status.token;
}

interface Tokens {
  readonly admin: string;
  readonly viewer: string;
  readonly guest: string;
}

// biome-ignore lint/suspicious/noExplicitAny: tests read answers of every shape
type Json = any;

async function ask(w: World, page: string, token?: string): Promise<{ readonly status: number; readonly body: Json }> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = await fetch(`http://127.0.0.1:${w.istiod.ports.console}/console/api/${page}`, { headers });
  return { status: answer.status, body: await answer.json() };
}

async function shown(w: World, page: string, token: string): Promise<Json> {
  const { status, body } = await ask(w, page, token);
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

function withShop(body: (w: World, tokens: Tokens) => Promise<void>): Promise<void> {
  return withWorld(async (w) => {
    await w.put('shop.yaml', shop);
    const annotations = { 'ambient.istio.io/redirection': 'enabled' };
    await w.pod({ name: 'web-1', namespace: 'shop', labels: { app: 'web' }, ip: '10.244.1.1', annotations });
    await w.pod({ name: 'client', namespace: 'shop', serviceAccount: 'client', ip: '10.244.1.2', annotations });
    await w.pod({ name: 'stranger', namespace: 'shop', serviceAccount: 'stranger', ip: '10.244.1.4', annotations });
    await w.pod({ name: 'vault', namespace: 'bank', ip: '10.244.1.3' });
    const admin = w.api.config.token;
    const known = async () => (await shown(w, 'graph', admin)).workloads.length === 4;
    await until('the mesh knows the pods', known);
    await body(w, { admin, viewer: await tokenOf(w, 'viewer'), guest: await tokenOf(w, 'guest') });
  });
}

describe('who may see what', () => {
  test('nobody without a token that the API server knows', async () => {
    await withShop(async (w) => {
      for (const page of ['graph', 'objects', 'certificates', 'whoami', 'why', 'none']) {
        for (const token of [undefined, 'made-up', await w.token()]) {
          const { status, body } = await ask(w, page, token);
          assert.deepEqual([status, Object.keys(body)], [401, ['message']], page);
        }
      }
      const base = `http://127.0.0.1:${w.istiod.ports.console}/console`;
      const answer = await fetch(`${base}/api/graph`, { method: 'POST' });
      assert.equal(answer.status, 405);
      for (const path of ['/', '/app.ts', '/style.css']) assert.equal((await fetch(base + path)).status, 200, path);
      for (const path of ['/../server.ts', '/..%2fserver.ts', '/tsconfig.json', '/layout.test.ts'])
        assert.equal((await fetch(base + path)).status, 404, path);
    });
  });

  test('the administrator sees all, another one what the API server lets him list, and nothing else is named', async () => {
    await withShop(async (w, { admin, viewer, guest }) => {
      const ids = (graph: Json, what: 'workloads' | 'services') => graph[what].map((o: Json) => o.id);
      const web = 'shop/web.shop.svc.cluster.local';
      const all = await shown(w, 'graph', admin);
      assert.deepEqual(ids(all, 'workloads'), ['bank/vault', 'shop/client', 'shop/stranger', 'shop/web-1']);
      assert.ok(ids(all, 'services').includes(web));
      const some = await shown(w, 'graph', viewer);
      assert.deepEqual(ids(some, 'workloads'), ['shop/client', 'shop/stranger', 'shop/web-1']);
      assert.deepEqual(ids(some, 'services'), [web]);
      assert.deepEqual(some.workloads[2].policies, ['shop/web-clients']);
      const few = await shown(w, 'graph', guest);
      assert.deepEqual([ids(few, 'services'), few.workloads[2].policies], [[], []]);

      // istiod makes its GatewayClass when it gets to it.
      const named = async (token: string) =>
        (await shown(w, 'objects', token)).filter((o: Json) => o.kind !== 'GatewayClass').map((o: Json) => o.name);
      assert.deepEqual(await named(admin), ['web-clients', 'strict']);
      assert.deepEqual(await named(viewer), ['web-clients']);
      assert.deepEqual(await named(guest), []);
      const object = 'object?kind=AuthorizationPolicy&namespace=shop&name=web-clients';
      assert.equal((await shown(w, object, viewer)).metadata.name, 'web-clients');
      assert.equal((await ask(w, object, guest)).status, 404);
    });
  });
});

describe('what is shown', () => {
  test('why: by the policy, to whoever may list it', async () => {
    await withShop(async (w, { viewer, guest }) => {
      const why = (from: string, to: string) => `why?from=${from}&to=${to}&port=80`;
      const web = 'shop/web.shop.svc.cluster.local';
      const role = { metadata: { name: 'policies' }, rules: rules.viewer };
      await w.api.ask(`/apis/${rbac}/v1/clusterroles`, { method: 'POST', body: role });
      const subjects = [{ kind: 'ServiceAccount', name: 'viewer', namespace: 'shop' }];
      const roleRef = { apiGroup: rbac, kind: 'ClusterRole', name: 'policies' };
      const metadata = { name: 'policies', namespace: 'istio-system' };
      const path = `/apis/${rbac}/v1/namespaces/istio-system/rolebindings`;
      assert.equal((await w.api.ask(path, { method: 'POST', body: { metadata, roleRef, subjects } })).code, 201);
      const allowed = await shown(w, why('shop/client', web), viewer);
      assert.equal(allowed.allowed, true);
      assert.match(allowed.by, /policy shop\/web-clients/);
      const refused = await shown(w, why('shop/stranger', web), viewer);
      assert.equal(refused.allowed, false);
      for (const to of ['bank/vault', 'bank/none']) {
        assert.equal((await ask(w, why('shop/client', to), viewer)).status, 404, to);
      }
      assert.equal((await ask(w, why('shop/client', web), guest)).status, 404);
      // What is in force everywhere may be named, and this one may not list it.
      const pods = await ask(w, why('shop/client', 'shop/stranger'), guest);
      assert.deepEqual([pods.status, /AuthorizationPolicy in shop/.test(pods.body.message)], [403, true]);
    });
  });

  test('why at a waypoint: by the route and the policy that take the request, to whoever may list those', async () => {
    await withShop(async (w, { admin, viewer }) => {
      await w.put('waypoint.yaml', waypoint);
      const labels = { 'gateway.networking.k8s.io/gateway-name': 'waypoint' };
      await w.pod({ name: 'waypoint-1', namespace: 'shop', serviceAccount: 'waypoint', ip: '10.244.1.9', labels });
      await w.pod({ name: 'books-1', namespace: 'shop', labels: { app: 'books' }, ip: '10.244.1.8' });
      const known = async () =>
        (await shown(w, 'graph', admin)).services.find((s: Json) => s.name === 'books')?.waypoint === 'shop/waypoint';
      await until('the service is behind the waypoint', known);
      const books = 'shop/books.shop.svc.cluster.local';
      const why = (request: string) => `why?from=shop/client&to=${books}&port=80&${request}`;
      const told = async (request: string) => {
        const { allowed, by, source } = await shown(w, why(request), admin);
        return { allowed, by, source: source.join('\n') };
      };
      const read = await told('');
      assert.deepEqual([read.allowed, read.by], [true, 'the waypoint: route shop.books.0'], read.source);
      assert.match(read.source, /at the waypoint: GET \/ of host books\.shop\.svc\.cluster\.local, from spiffe:/);
      const tester = await told('path=/a&header=x-tester:yes');
      // It goes on to where another policy wants the client itself.
      assert.match(tester.source, /route shop\.books\.1 of/);
      assert.deepEqual([tester.allowed, /ALLOW policy shop\/web-clients/.test(tester.by)], [false, true], tester.by);
      const write = await told('method=DELETE');
      assert.deepEqual([write.allowed, /DENY policy .*read-only.* matches/.test(write.by)], [false, true], write.by);
      assert.equal((await ask(w, why('header=none'), admin)).status, 400);
      // Who may not list routes and Gateways is not told of them.
      const hidden = await ask(w, why(''), viewer);
      assert.equal(hidden.status, 403);
      assert.match(hidden.body.message, /HTTPRoute in shop/);
      assert.doesNotMatch(JSON.stringify(hidden.body), /route shop/);
    });
  });

  test('certificates that are held, and the root', async () => {
    await withShop(async (w, { admin }) => {
      const { roots, certificates } = await shown(w, 'certificates', admin);
      assert.deepEqual([roots.length, certificates], [1, []]);
      assert.ok(roots[0].notAfter > Date.now());
    });
  });

  test('the pages may load nothing from elsewhere', async () => {
    await withShop(async (w) => {
      const answer = await fetch(`http://127.0.0.1:${w.istiod.ports.console}/`);
      assert.match(answer.headers.get('content-security-policy') ?? '', /default-src 'none'; script-src 'self';/);
      assert.doesNotMatch(await answer.text(), /https?:/);
    });
  });
});
