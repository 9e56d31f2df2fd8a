/**
 * What `aquifer why` foretells of a request at a waypoint is what our waypoint does with it: random routes, policies and tokens, made into
 * configuration by istiod, told by xDS, and requests through tunnels. TEST_LONG=1: 10,000 pairs of configuration and request.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { credentials, Metadata } from '@grpc/grpc-js';
import fc from 'fast-check';
import { structFromJson } from '../../common/api/index.ts';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { createFakeCa } from '../../common/testing/fake-ca.ts';
import { until } from '../../common/testing/until.ts';
import { connectTerminate } from '../../istiod/envoy/names.ts';
import type { MeshSettings } from '../../istiod/model/settings.ts';
import { objectsOf } from '../../istiod/model/testing/test-mesh.ts';
import { type EnvoyBed, startEnvoyBed, waypointNode } from '../../istiod/testing/envoy-bed.ts';
import { askWaypoint } from '../../istiod/why/waypoint.ts';
import { startAds } from '../../waypoint/runtime/ads.ts';
import { putCertificate } from '../../waypoint/runtime/mesh.ts';
import { Rig } from '../../waypoint/testing/rig.ts';
import { forgeries, jwks, token } from '../../waypoint/testing/tokens.ts';
import { type Asked, Caller } from '../envoy/pair/caller.ts';
import { Echoes } from '../envoy/pair/echo.ts';
import { textOf } from '../envoy/pair/lines.ts';
import { destinationOf, serviceOf, startMesh } from '../envoy/pair/mesh.ts';

const some = fc.constantFrom;
const few = <T>(of: fc.Arbitrary<T>, maxLength = 3) => fc.array(of, { minLength: 1, maxLength });
const may = (fields: Readonly<Record<string, fc.Arbitrary<unknown>>>) => fc.record(fields, { requiredKeys: [] });

const operation = may({
  methods: few(some('GET', 'POST', 'P*')),
  notMethods: few(some('GET', 'PUT'), 1),
  paths: few(some('/a', '/a/*', '*/b', '/A', '/', '/t/{*}/u', '/a/{**}', '/a%20b')),
  notPaths: few(some('/a/b', '/x*'), 1),
  hosts: few(some('web', 'WEB', '*.test', 'a.test', '*')),
  ports: few(some('80', '8080')),
});
const source = may({
  principals: few(some('cluster.local/ns/shop/sa/client', '*/sa/other', '*')),
  notPrincipals: few(some('cluster.local/ns/pay/*'), 1),
  namespaces: few(some('shop', 'pay')),
  ipBlocks: few(some('127.0.0.0/8', '10.0.0.0/8', '192.0.2.1')),
  requestPrincipals: few(some('*', 'https://a.test/alice', 'https://a.test/*')),
});
const condition = fc.oneof(
  fc.record({ key: some('request.headers[x-a]', 'request.headers[X-B]'), values: few(some('1', 'a*', '*')) }),
  fc.record({ key: some('request.headers[x-a]'), notValues: few(some('1'), 1) }),
  fc.record({ key: some('destination.ip'), values: few(some('10.96.0.1', '10.96.0.0/16', '10.97.0.0/16')) }),
  fc.record({ key: some('destination.port'), values: few(some('80', '81')) }),
  fc.record({ key: some('source.namespace'), values: few(some('shop', 'pay')) }),
  fc.record({ key: some('request.auth.claims[sub]', 'request.auth.claims[groups]'), values: few(some('alice', 'g*')) }),
);
const rule = may({
  to: few(
    operation.map((o) => ({ operation: o })),
    2,
  ),
  from: few(
    source.map((s) => ({ source: s })),
    2,
  ),
  when: few(condition, 2),
});
const policy = fc
  .record({
    action: some('ALLOW', 'ALLOW', 'DENY', 'DENY', 'AUDIT', 'CUSTOM'),
    rules: fc.array(rule, { maxLength: 3 }),
    target: some('Service', 'Service', 'Gateway'),
    dryRun: some(false, false, false, true),
    generation: fc.integer({ min: 1, max: 9 }),
  })
  .map(({ action, rules, target, dryRun, generation }) => ({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: {
      generation,
      ...(dryRun && action !== 'CUSTOM' && { annotations: { 'istio.io/dry-run': 'true' } }),
    },
    spec: {
      targetRefs: [
        target === 'Service'
          ? { kind: 'Service', group: '', name: 'web' }
          : { kind: 'Gateway', group: 'gateway.networking.k8s.io', name: 'waypoint' },
      ],
      action,
      // Nobody is asked, so it refuses: whose answer a service gives is not foretold.
      ...(action === 'CUSTOM' && { provider: { name: 'nobody' } }),
      ...(rules.length > 0 && { rules }),
    },
  }));
const tokens = fc.record({ presence: some(undefined, 'REQUIRED') }).map(({ presence }) => ({
  apiVersion: 'security.istio.io/v1',
  kind: 'RequestAuthentication',
  metadata: {},
  spec: {
    targetRefs: [{ kind: 'Service', group: '', name: 'web' }],
    jwtRules: [{ issuer: 'https://a.test', jwks: jwks(), ...(presence && { presence }) }],
  },
}));
const match = may({
  uri: fc.oneof(
    some('/a', '/', '/a%20b').map((prefix) => ({ prefix })),
    some('/a', '/A/b').map((exact) => ({ exact })),
    some('/[ab]/.*', '.*b').map((regex) => ({ regex })),
  ),
  headers: some({ 'x-a': { exact: '1' } }, { 'X-B': {} }, { '@request.auth.claims.sub': { exact: 'alice' } }),
  method: some({ exact: 'GET' }, { regex: 'P.*' }),
});
const action = fc.oneof(
  some('web', 'v2', 'many', 'gone').map((host) => ({ route: [{ destination: { host, port: { number: 80 } } }] })),
  some(200, 404, 503).map((status) => ({ directResponse: { status } })),
  some('/moved', '/other').map((uri) => ({ redirect: { uri } })),
  some('/new', '/').map((uri) => ({ rewrite: { uri }, route: [{ destination: { host: 'web' } }] })),
);
const routes = few(
  fc.tuple(fc.array(match, { maxLength: 2 }), action).map(([m, a]) => ({ ...(m.length > 0 && { match: m }), ...a })),
  4,
).map((http) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: {},
  spec: { hosts: ['web'], http },
}));
const configuration = fc
  .tuple(fc.array(policy, { maxLength: 3 }), fc.array(tokens, { maxLength: 1 }), fc.array(routes, { maxLength: 1 }))
  .map((all) => all.flat().map((o, i) => ({ ...o, metadata: { ...o.metadata, name: `o${i}`, namespace: 'shop' } })));

const claims = { iss: 'https://a.test', sub: 'alice', groups: ['g1', 'h'], exp: 4_000_000_000 };
const bearers = [
  token(claims),
  token({ ...claims, sub: 'bob' }),
  ...forgeries(claims)
    .slice(0, 12)
    .map((f) => f.token),
];
const paths = [
  '/',
  '/a',
  '/a/b',
  '/A',
  '/A/b',
  '/x',
  '/a/',
  '/t/1/u',
  '/a%20b',
  '/a%2Fb',
  '//a',
  '/x/../a',
  '/b/c?q=/a',
  '/%61',
];
const request = fc.record({
  method: some('GET', 'GET', 'POST', 'PUT', 'DELETE'),
  path: some(...paths),
  host: some('web', 'WEB', 'a.test', 'b.a.test:80'),
  principal: some('shop/client', 'pay/other'),
  headers: fc
    .record(
      {
        'x-a': some('1', 'ab', ''),
        'x-b': some('1', 'b'),
        authorization: some(...bearers.map((text) => `Bearer ${text}`), 'Bearer x', 'Basic x'),
      },
      { requiredKeys: [] },
    )
    .map((headers) => headers as Readonly<Record<string, string>>),
});
const normalizations = ['NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'] as const;

class Mesh implements AsyncDisposable {
  readonly #rig = new Rig();
  readonly #stop = new AbortController();
  readonly #echoes = new Echoes();
  readonly #callers = new Map<string, Caller>();
  #bed!: EnvoyBed;
  #markers = 0;

  static async start(): Promise<Mesh> {
    const mesh = new Mesh();
    const ca = await createFakeCa();
    const issue = (namespace: string, serviceAccount: string) =>
      ca.issue({ trustDomain: 'cluster.local', namespace, serviceAccount });
    mesh.#bed = await startEnvoyBed(await startMesh(mesh.#echoes));
    putCertificate(mesh.#rig.runtime, await issue('shop', 'waypoint'));
    const { id, metadata } = waypointNode();
    const connection = { target: `127.0.0.1:${mesh.#bed.port}`, credentials: credentials.createInsecure() };
    startAds({
      connect: async () => ({ ...connection, options: {}, metadata: new Metadata() }),
      node: { id, metadata: structFromJson(metadata) },
      runtime: mesh.#rig.runtime,
      ownSecret: (name) => name === 'default' || name === 'ROOTCA',
      clock: systemClock,
      log: silentLogger,
      signal: mesh.#stop.signal,
    });
    const port = await mesh.#rig.port(connectTerminate);
    for (const [namespace, account] of [
      ['shop', 'client'],
      ['pay', 'other'],
    ] as const)
      mesh.#callers.set(`${namespace}/${account}`, new Caller(port, await issue(namespace, account)));
    return mesh;
  }

  async apply(yaml: string, settings: Partial<MeshSettings['envoy']>): Promise<void> {
    this.#bed.configure({ ...settings, accessLogFile: '/log', accessLogFormat: '%RESPONSE_CODE_DETAILS%\n' });
    const text = String(++this.#markers);
    this.#bed.apply(`${yaml}\n---\n${markerOf(text)}`);
    // Policies of the whole waypoint may refuse requests to it, so it is read, not asked for.
    const marker = () => this.#rig.runtime.resources('route').get('inbound-vip|80|http|marker.shop.svc.cluster.local');
    await until(`change ${text} is served`, () => JSON.stringify(marker() ?? {}).includes(`"marker-${text}"`), 10_000);
    await until('all is said and answered', () => {
      const waits = this.#bed.xds
        .statuses()
        .some((s) => [...s.types.values()].some((t) => t.isWaiting || t.hasPending));
      return !waits && this.#rig.runtime.pending().length === 0;
    });
  }

  remove(yaml: string): void {
    for (const { kind, metadata } of objectsOf(yaml)) this.#bed.remove(kind, `${metadata.namespace}/${metadata.name}`);
  }

  async ask(principal: string, asked: Asked) {
    this.#rig.lines.length = 0;
    const answer = await this.#callers.get(principal)!.ask(destinationOf('web', 80, 'ipv4'), asked);
    await until('the line of the access log', () => this.#rig.lines.length > 0);
    return { answer, details: this.#rig.lines[0]!.trimEnd() };
  }

  foretell(principal: string, asked: Asked) {
    const [namespace, account] = principal.split('/');
    const { method = 'GET', host, path, headers = {} } = asked;
    return askWaypoint(
      this.#bed.mesh.index.envoy,
      {
        service: 'shop/web.shop.svc.cluster.local',
        port: 80,
        destination: destinationOf('web', 80, 'ipv4').replace(/:80$/, ''),
        principal: `spiffe://cluster.local/ns/${namespace}/sa/${account}`,
        source: '127.0.0.1',
      },
      { method, path, host, headers: Object.entries(headers) },
    ).verdict!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const caller of this.#callers.values()) caller[Symbol.dispose]();
    this.#stop.abort();
    await this.#rig[Symbol.asyncDispose]();
    await this.#echoes[Symbol.asyncDispose]();
    this.#bed[Symbol.dispose]();
  }
}

const markerOf = (text: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: marker}
spec: {hosts: [marker], http: [{directResponse: {status: 200, body: {string: "marker-${text}"}}}]}
`;

describe('what why foretells of a request at a waypoint', () => {
  let mesh: Mesh;
  before(async () => {
    mesh = await Mesh.start();
  });
  after(async () => {
    await mesh?.[Symbol.asyncDispose]();
  });

  it('is what becomes of it', async (t) => {
    const each = 20;
    const count = process.env['TEST_LONG'] === '1' ? 500 : 50;
    const seed = Math.floor(Math.random() * 2 ** 31);
    const seen: Record<string, number> = {};
    const pair = fc.record({
      objects: configuration,
      pathNormalization: some(...normalizations),
      requests: fc.array(request, { minLength: each, maxLength: each }),
    });
    for (const { objects, pathNormalization, requests } of fc.sample(pair, { numRuns: count, seed })) {
      const yaml = objects.map((o) => JSON.stringify(o)).join('\n---\n');
      await mesh.apply(yaml, { pathNormalization });
      for (const { principal, ...asked } of requests) {
        const outcome = await compare(principal, asked, `seed ${seed}, ${pathNormalization}, ${yaml}`);
        seen[outcome] = (seen[outcome] ?? 0) + 1;
      }
      mesh.remove(yaml);
    }
    const total = Object.values(seen).reduce((sum, n) => sum + n, 0);
    t.diagnostic(`${total} pairs, 0 differ: ${JSON.stringify(seen)}`);
    for (const outcome of ['200', '401', '403']) assert.ok((seen[outcome] ?? 0) > total / 50, JSON.stringify(seen));
  });

  async function compare(principal: string, asked: Asked, what: string): Promise<string> {
    const foretold = mesh.foretell(principal, asked);
    const { answer, details } = await mesh.ask(principal, asked);
    const told = `${JSON.stringify(asked)} as ${principal}: ${foretold.by}\n${foretold.lines.join('\n')}\nbut ${answer.status} ${answer.body} ${details}\n${what}`;
    const pod = serviceOf(answer.body.trim());
    if (foretold.to) {
      assert.deepEqual([answer.status, `${pod}.shop.svc.cluster.local`], [200, foretold.to.hostname], told);
      assert.equal(details, 'via_upstream', told);
      return '200';
    }
    const last = foretold.lines.at(-1) ?? '';
    const [, location, redirected] = /^redirected to (.*) with (\d+)$/.exec(last) ?? [];
    const status = redirected ?? /answered with (\d+)$/.exec(last)?.[1];
    assert.equal(String(answer.status), status, told);
    if (location !== undefined) assert.equal(textOf(answer.headers, 'location'), location, told);
    // Whoever refuses is named alike: policy, rule and generation.
    const refusal = /(?:DENY|ALLOW) policy (\S+) matches/.exec(foretold.by)?.[1];
    if (refusal !== undefined) assert.equal(details, `rbac_access_denied_matched_policy[${refusal}]`, told);
    else if (foretold.by.includes('one has to')) {
      // Whoever does not allow is named alike, too.
      const [, names = ''] = /one has to \((.+)\)$/.exec(foretold.by) ?? [];
      assert.ok(names !== '', told);
      assert.equal(details, `rbac_access_denied_matched_policy[none]_of[${names}]`, told);
    } else if (status === '401') assert.ok(foretold.by.includes(`(${details})`), told);
    else assert.ok(!details.startsWith('rbac'), told);
    return status!;
  }
});
