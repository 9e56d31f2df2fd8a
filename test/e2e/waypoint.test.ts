/**
 * A waypoint from its Gateway to its end, run by each engine: istiod makes it, node proxies send through it, routes and L7 policy hold at it,
 * and what identities it tells apart are those of the callers.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { skipWithoutGoPrograms } from '../harness/go-programs.ts';
import { skipWithoutKubectl } from '../harness/kubectl.ts';
import { skipUnless } from '../harness/require.ts';
import { patience, Shop, websocket } from './shop.ts';
import { collectorTasks } from './tasks/collector.ts';
import { securityTasks } from './tasks/security.ts';
import { telemetryTasks } from './tasks/telemetry.ts';
import { trafficTasks } from './tasks/traffic.ts';

/** What runs as the waypoint. */
const engines = [
  { name: 'a stock Envoy', lab: 'wpenvoy', image: 'istio/proxyv2', skip: skipWithoutEnvoy() },
  { name: 'our own', lab: 'wpours', image: 'aquifer/waypoint', skip: false },
] as const;

/** Of test/grpc-interop. */
const interopCases = 14;
/** Of test/e2e/tools/websocket.ts. */
const websocketCases = 46;

for (const engine of engines) {
  const skip = engine.skip || skipWithoutKubectl() || skipUnless('ebpf', 'program:ip', 'program:nft');
  describe(`a waypoint run by ${engine.name}`, { skip }, () => {
    let shop: Shop;
    before(async () => {
      shop = await Shop.open(engine.lab, engine.image);
    });
    after(() => shop?.close());

    test('its status says when it serves', async () => {
      const path = 'jsonpath={.status.addresses[*].value}';
      const addresses = await shop.kubectl(['get', 'gtw', 'waypoint', '-o', path]);
      assert.match(addresses, /^10\.\S+ fd\S+ waypoint\.shop\.svc\.cluster\.local$/);
      await shop.kubectl(['wait', '--for=condition=istio.io/WaypointBound', 'service/web', '--timeout=60s']);
    });

    test('calls go through it', async () => {
      const waypoint = await shop.ipsOf('waypoint');
      const answer = await shop.until('the call goes through the waypoint', 'client', ['http://web/a?b=1'], (a) =>
        a.through(waypoint),
      );
      assert.deepEqual([answer.status, answer.echo?.method, answer.echo?.url], [200, 'GET', '/a?b=1']);
      assert.equal(answer.echo?.headers['host'], 'web');
      for (const family of ['-4', '-6']) {
        const { echo, status } = await shop.curl('client', [family, 'http://web/family']);
        assert.deepEqual([status, echo?.url], [200, '/family'], family);
      }
    });

    test('an HTTPRoute sends by header, splits by weight and rewrites', async () => {
      await shop.apply(httpRoute);
      const v2 = ['-H', 'x-version: v2', 'http://web/old/a'];
      const moved = await shop.until('the header chooses', 'client', v2, (a) => a.isFrom('web-v2'));
      assert.equal(moved.echo?.url, '/new/a');
      const seen = new Set<string>();
      for (let i = 0; i < 20; i++) seen.add((await shop.curl('client', ['http://web/'])).echo?.pod.slice(0, 6) ?? '');
      assert.deepEqual([...seen], ['web-v1'], 'all of the weight');
      const said =
        'jsonpath={range .status.parents[0].conditions[*]}{.type}={.status}:{.observedGeneration} {end}{.metadata.generation}';
      await until('the route says that it is live', async () => {
        const [generation, ...conditions] = (await shop.kubectl(['get', 'httproute', 'web', '-o', said]))
          .split(' ')
          .reverse();
        const live = ['Accepted', 'ResolvedRefs', 'ResolvedWaypoints', 'Programmed'];
        return live.every((type) => conditions.includes(`${type}=True:${generation}`)) || undefined;
      });
      await shop.delete(httpRoute);
      await shop.until('without the route', 'client', v2, (a) => a.echo?.url === '/old/a');
    });

    test('a VirtualService matches, retries and answers by itself', async () => {
      await shop.apply(virtualService);
      const v2 = ['-H', 'end-user: jason', 'http://web/'];
      await shop.until('the header chooses', 'client', v2, (a) => a.isFrom('web-v2'));
      const direct = await shop.curl('client', ['http://web/teapot']);
      assert.deepEqual([direct.status, direct.text], [418, 'short and stout']);
      await shop.delete(virtualService);
      await shop.until('without it', 'client', ['http://web/teapot'], (a) => a.status === 200);
    });

    test('an AuthorizationPolicy refuses by method, and by who calls', async () => {
      await shop.apply(policies);
      const remove = ['-X', 'DELETE', 'http://web/'];
      const denied = await shop.until('it is refused', 'client', remove, (a) => a.status === 403);
      assert.equal(denied.text, 'RBAC: access denied');
      const admin = ['http://web/admin'];
      await shop.until('a stranger is refused', 'stranger', admin, (a) => a.status === 403);
      assert.equal((await shop.curl('client', admin)).status, 200);
      assert.equal((await shop.curl('stranger', ['http://web/'])).status, 200);
      // However the path is spelt.
      for (const path of ['/x/../admin', '/%61dmin', '/./admin']) {
        const { status } = await shop.curl('stranger', ['--path-as-is', `http://web${path}`]);
        assert.equal(status, 403, path);
      }
      await shop.delete(policies);
      await shop.until('without it', 'client', remove, (a) => a.status === 200);
    });

    test("gRPC's interoperability tests pass through two node proxies and the waypoint", {
      skip: skipWithoutGoPrograms('grpc-interop'),
    }, async (t) => {
      const { code, stdout, stderr } = await shop.exec('grpc-client', ['/interop/grpc-interop', 'client', 'grpc:80']);
      assert.equal(code, 0, `${stdout}${stderr}`);
      const passed = stdout.trim().split('\n');
      t.diagnostic(passed.join(', '));
      assert.equal(passed.length, interopCases);
      const { stderr: direct } = await shop.exec('grpc-client', ['/interop/grpc-interop', 'client', 'nobody:80']);
      assert.notEqual(direct, '', 'a case that fails is seen');
    });

    test('WebSockets pass as they are', async (t) => {
      const { code, stdout, stderr } = await shop.exec('ws-client', [...websocket, 'run', 'ws:80']);
      assert.equal(code, 0, `${stdout}${stderr}`);
      const passed = stdout.trim().split('\n');
      t.diagnostic(`${passed.length} cases`);
      assert.equal(passed.length, websocketCases);
    });

    test('a changed route takes effect under load and loses no call', async () => {
      const ip = await shop.kubectl(['get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}']);
      const pace = await shop.pace('ws-client', { ip, port: 80, connections: 8, rate: 200, seconds: 0 });
      for (const name of ['a', 'b', 'c', 'd', 'e']) {
        await shop.apply(markedRoute(name));
        await pace.answeredBy(name);
      }
      const { sent, lost } = await pace.stop();
      assert.ok(sent > 0);
      assert.equal(lost, 0, `of ${sent} calls`);
      await shop.delete(markedRoute('e'));
    });

    // Istio's tasks: what Envoy does with what istiod makes of them is known (test/envoy).
    if (engine.lab === 'wpours') {
      trafficTasks(() => shop);
      securityTasks(() => shop);
      describe('telemetry', () => telemetryTasks(() => shop));
      describe('a collector', { skip: skipWithoutGoPrograms('otelcol') }, () => collectorTasks(() => shop));
    }

    test('while it is replaced no call is lost', async () => {
      const replace = async () => {
        await shop.kubectl(['rollout', 'restart', 'deploy/waypoint']);
        await shop.kubectl(['rollout', 'status', 'deploy/waypoint', '--timeout=60s']);
        await until(
          'the old one is gone',
          async () => (await shop.ipsOf('waypoint')).length === 2 || undefined,
          patience,
        );
      };
      const statuses = await shop.during(replace, 'client', 'http://web/');
      assert.deepEqual([...new Set(statuses)], [200]);
    });
  });
}

const httpRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web, namespace: shop }
spec:
  parentRefs: [{ group: '', kind: Service, name: web, port: 80 }]
  rules:
    - matches: [{ headers: [{ name: x-version, value: v2 }], path: { type: PathPrefix, value: /old } }]
      filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /new } } }]
      backendRefs: [{ name: web-v2, port: 80 }]
    - backendRefs: [{ name: web-v1, port: 80, weight: 1 }, { name: web-v2, port: 80, weight: 0 }]
`;

/** Its answers tell its name. */
const markedRoute = (name: string) => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web, namespace: shop }
spec:
  parentRefs: [{ group: '', kind: Service, name: web, port: 80 }]
  rules:
    - filters: [{ type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: x-route, value: ${name} }] } }]
      backendRefs: [{ name: web-v1, port: 80 }]
`;

const virtualService = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web, namespace: shop }
spec:
  hosts: [web]
  http:
    - match: [{ uri: { exact: /teapot } }]
      directResponse: { status: 418, body: { string: short and stout } }
    - match: [{ headers: { end-user: { exact: jason } } }]
      retries: { attempts: 2, perTryTimeout: 2s, retryOn: 5xx }
      route: [{ destination: { host: web-v2 } }]
    - route: [{ destination: { host: web-v1 } }]
`;

const policies = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-delete, namespace: shop }
spec:
  targetRefs: [{ group: '', kind: Service, name: web }]
  action: DENY
  rules: [{ to: [{ operation: { methods: [DELETE] } }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: admins, namespace: shop }
spec:
  targetRefs: [{ group: '', kind: Service, name: web }]
  action: DENY
  rules:
    - from: [{ source: { notPrincipals: [cluster.local/ns/shop/sa/client] } }]
      to: [{ operation: { paths: [/admin] } }]
`;
