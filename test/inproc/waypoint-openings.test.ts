/**
 * "0 mutants that open what was closed", for what waypoints enforce: policies by targetRefs, tokens, routes, TLS towards backends and the
 * Gateway itself are changed in one place, and whatever our waypoint then lets in must be let in by the policies as they are written now,
 * or, where the mutant is not valid, as they were before. Those are read a second time, by a judge that is lax where it is not sure.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeAddress } from '../../common/api/index.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { WaypointProxy } from '../../istiod/envoy/proxy.ts';
import { waypointClusters } from '../../istiod/envoy/waypoint/service.ts';
import { mutantsOf } from '../../istiod/model/testing/mutants.ts';
import { objectsOf } from '../../istiod/model/testing/test-mesh.ts';
import { podYaml, waypointYaml } from '../../istiod/testing/manifests.ts';
import { askWaypoint } from '../../istiod/why/waypoint.ts';
import { forgeries, jwks, token } from '../../waypoint/testing/tokens.ts';
import { KeptMesh } from './kept-mesh.ts';
import { type Attribute, isLike, isWithin, type Loose, listOf, policyVerdict, verdictOf } from './second-reading.ts';

const issuer = 'https://a.test';
const service = (name: string, ip: string) => `
kind: Service
metadata: {name: ${name}, labels: {istio.io/use-waypoint: waypoint}}
spec: {clusterIP: ${ip}, clusterIPs: [${ip}], selector: {app: ${name}}, ports: [{name: http, port: 80}]}
`;
const toService = (name: string) => `[{kind: Service, group: "", name: ${name}}]`;
const toGateway = '[{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}]';
const security = (kind: string, name: string, spec: string) => `
apiVersion: security.istio.io/v1
kind: ${kind}
metadata: {name: ${name}}
spec: ${spec}
`;
const policy = (name: string, spec: string) => security('AuthorizationPolicy', name, spec);
const mesh = objectsOf(
  [
    '{kind: Namespace, metadata: {name: shop}}',
    waypointYaml(),
    service('web', '10.96.0.1'),
    service('v2', '10.96.0.2'),
    podYaml({ name: 'web', ip: '10.0.0.1' }),
    podYaml({ name: 'v2', ip: '10.0.0.2' }),
    policy(
      'clients',
      `{targetRefs: ${toService('web')}, action: ALLOW, rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/client], notNamespaces: [bad]}}], to: [{operation: {methods: [GET], paths: [/a, "/t/*", /admin], notPaths: ["/t/no*"]}}]}, {from: [{source: {requestPrincipals: ["${issuer}/*"]}}], when: [{key: "request.headers[x-a]", values: ["1"]}]}]}`,
    ),
    policy(
      'admins',
      `{targetRefs: ${toGateway}, action: DENY, rules: [{from: [{source: {notPrincipals: [cluster.local/ns/shop/sa/admin]}}], to: [{operation: {paths: ["/admin*"]}}]}]}`,
    ),
    policy(
      'tokens',
      `{targetRef: {kind: Service, group: "", name: v2}, action: DENY, rules: [{from: [{source: {notRequestPrincipals: ["*"]}}], to: [{operation: {paths: ["/t/*"], ports: ["80"]}}]}]}`,
    ),
    policy(
      'asked',
      `{targetRefs: ${toService('v2')}, action: CUSTOM, provider: {name: nobody}, rules: [{to: [{operation: {methods: [POST]}}]}]}`,
    ),
    security(
      'RequestAuthentication',
      'tokens',
      `{targetRefs: ${toGateway}, jwtRules: [{issuer: "${issuer}", audiences: [shop], jwks: '${jwks(['RS256', 'ES256'])}'}]}`,
    ),
    `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec: {hosts: [web], http: [{match: [{uri: {prefix: /t}, headers: {x-a: {exact: "1"}}}], rewrite: {uri: /a}, route: [{destination: {host: v2, port: {number: 80}}}]}, {corsPolicy: {allowOrigins: [{exact: "https://b.test"}]}, route: [{destination: {host: web}}]}]}`,
    `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: v2}
spec: {parentRefs: [{kind: Service, group: "", name: v2}], rules: [{matches: [{path: {type: PathPrefix, value: /t}}], filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: "1"}]}}], backendRefs: [{name: web, port: 80}]}, {backendRefs: [{name: v2, port: 80}]}]}`,
    `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec: {host: web, trafficPolicy: {tls: {mode: MUTUAL, caCertificates: /ca.pem, clientCertificate: /c.pem, privateKey: /k.pem, subjectAltNames: [web.test], sni: web.test}}}`,
    `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: s}
spec: {workloadSelector: {labels: {app: web}}, egress: [{hosts: ["./*"]}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}`,
    `
apiVersion: networking.istio.io/v1
kind: EnvoyFilter
metadata: {name: e}
spec: {configPatches: [{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND}, patch: {operation: REMOVE, value: {}}}]}`,
    `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: t}
spec: {targetRefs: ${toService('web')}, accessLogging: [{providers: [{name: envoy}], filter: {expression: response.code >= 400}}]}`,
    `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: w}
spec: {targetRefs: ${toService('v2')}, url: "oci://w.test/w", phase: AUTHN, failStrategy: FAIL_CLOSE, match: [{ports: [{number: 8080}]}]}`,
    `
apiVersion: policy.aquifer.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: r}
spec: {targetRefs: ${toService('web')}, limits: [{name: l, requests: 100000, unit: Second}]}`,
  ].join('\n---\n'),
);
const likely = [
  'ALLOW',
  'DENY',
  'AUDIT',
  'CUSTOM',
  'Service',
  'Gateway',
  'web',
  'v2',
  'waypoint',
  '*',
  '/*',
  '/t/*',
  '/a',
  '/{**}',
  'GET',
  'bad',
  'cluster.local/*',
  '*/sa/client',
  '80',
  issuer,
  `${issuer}/alice`,
  'REQUIRED',
  'request.headers[x-a]',
  'request.auth.claims[sub]',
  'source.namespace',
  'HTTP',
  'SIMPLE',
  'DISABLE',
  'ISTIO_MUTUAL',
  ['*'],
  ['/a'],
  [{ name: 'x-token' }],
  [{}],
  {},
  [],
];

interface Call {
  readonly to: string;
  readonly namespace: string;
  readonly account: string;
  readonly method: string;
  readonly path: string;
  readonly xa: string | undefined;
  readonly token: 'none' | 'good' | 'forged';
}
const claims = { iss: issuer, sub: 'alice', aud: 'shop', exp: 4_000_000_000 };
const [noneAlg, stranger] = ['alg "none"', 'a stranger'].map((name) => forgeries(claims).find((f) => f.name === name)!);
const bearers = { good: token(claims), forged: stranger!.token };
assert.ok(noneAlg);
const source = '10.0.0.9';
const callers = [
  { namespace: 'shop', account: 'client' },
  { namespace: 'shop', account: 'admin' },
  { namespace: 'bad', account: 'client' },
];
const calls: readonly Call[] = ['web', 'v2'].flatMap((to) =>
  callers.flatMap((caller) =>
    (
      [
        ['GET', '/a', undefined, 'none'],
        ['GET', '/a', '1', 'forged'],
        ['GET', '/x', '1', 'good'],
        ['GET', '/t/x', '1', 'none'],
        ['GET', '/t/x', undefined, 'forged'],
        ['GET', '/t/x', undefined, 'good'],
        ['GET', '/admin', undefined, 'none'],
        ['POST', '/x', undefined, 'none'],
        ['POST', '/t/x', '1', 'good'],
      ] as const
    ).map(([method, path, xa, bearer]) => ({ to, ...caller, method, path, xa, token: bearer })),
  ),
);

class World extends KeptMesh {
  lets({ to, namespace, account, method, path, xa, token }: Call): boolean {
    const { verdict } = askWaypoint(
      this.index.envoy,
      {
        service: `shop/${to}.shop.svc.cluster.local`,
        port: 80,
        destination: to === 'web' ? '10.96.0.1' : '10.96.0.2',
        principal: `spiffe://cluster.local/ns/${namespace}/sa/${account}`,
        source,
      },
      {
        method,
        path,
        host: to,
        headers: [
          ...(xa === undefined ? [] : [['x-a', xa] as const]),
          ...(token === 'none' ? [] : [['authorization', `Bearer ${bearers[token]}`] as const]),
        ],
      },
    );
    // Where a route leads is not what policies are about: only who refuses counts.
    return verdict !== undefined && !/rbac|jwt|polic/i.test(verdict.by);
  }

  /** Through which waypoint node proxies are told to go, whether it is there or not. */
  isBehindWaypoint(name: string): boolean {
    const decoded = decodeAddress(this.index.addresses.get(`shop/${name}.shop.svc.cluster.local`)!.bytes);
    assert.ok(decoded.kind !== 'rejected' && decoded.value.kind === 'service');
    return decoded.value.waypoint !== undefined;
  }

  /** Each cluster that leads to the service, as text; those that lead nowhere are left out. */
  clusters(name: string): readonly string[] {
    const { outcome } = this.index.envoy.trace((view) => {
      const service = view.service(`shop/${name}.shop.svc.cluster.local`);
      return service?.waypoint === undefined ? [] : waypointClusters(view, proxy, service);
    });
    if (outcome.kind === 'failed') throw outcome.error;
    return outcome.value.filter((c) => c.refusal === undefined).map((c) => JSON.stringify(c.cluster, bytesAsText));
  }
}

const proxy: WaypointProxy = {
  kind: 'waypoint',
  account: undefined,
  gateway: 'shop/waypoint',
  namespace: 'shop',
  locality: { region: '', zone: '', subzone: '' },
  node: '',
  network: '',
  families: 'both',
  engine: 'aquifer',
};

/** Extensions are encoded in it. */
function bytesAsText(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value;
}

const fields: Readonly<Record<string, Attribute<Call>>> = {
  principals: (v, c) => verdictOf(isLike(v, `cluster.local/ns/${c.namespace}/sa/${c.account}`)),
  namespaces: (v, c) => verdictOf(isLike(v, c.namespace)),
  ipBlocks: (v) => verdictOf(isWithin(v, source)),
  // Whether a good token is one depends on RequestAuthentications; others never are.
  requestPrincipals: (v, c) => (c.token === 'good' && isLike(v, `${issuer}/alice`) ? 'unknown' : 'no'),
  methods: (v, c) => verdictOf(isLike(v, c.method)),
  paths: (v, c) => (/[{%]/.test(String(v)) ? 'unknown' : verdictOf(isLike(v, c.path))),
  ports: (v) => verdictOf(Number(v) === 80),
};
const header: Attribute<Call> = (v, c) => verdictOf(isLike(v, c.xa));
const claim: Attribute<Call> = (_, c) => (c.token === 'good' ? 'unknown' : 'no');
const conditions: Readonly<Record<string, Attribute<Call> | undefined>> = {
  'source.principal': fields['principals'],
  'source.namespace': fields['namespaces'],
  'source.ip': fields['ipBlocks'],
  'request.auth.principal': fields['requestPrincipals'],
  'request.auth.claims[sub]': claim,
  'request.headers[x-a]': header,
  'destination.port': fields['ports'],
};
const attributes = { fields, condition: (key: string) => conditions[key] };

function isFor(object: Loose, to: string): boolean {
  const refs = object.spec?.targetRefs ?? (object.spec?.targetRef ? [object.spec.targetRef] : []);
  return listOf(refs).some(
    (r) => (r?.kind === 'Service' && r.name === to) || (r?.kind === 'Gateway' && r.name === 'waypoint'),
  );
}

/** Whether policies and tokens as they are written let the call in, or may. */
function mayPass(objects: ReadonlyMap<string, KubeObject>, c: Call): boolean {
  const all = [...objects.values()].filter((o) => isFor(o, c.to)) as readonly Loose[];
  const verdicts = (action: string) =>
    all
      .filter((o) => o.kind === 'AuthorizationPolicy' && (o.spec?.action ?? 'ALLOW') === action)
      .map((o) => policyVerdict(o, c, attributes));
  // Nobody is asked: no provider is known.
  if (verdicts('CUSTOM').includes('yes') || verdicts('DENY').includes('yes')) return false;
  const allows = verdicts('ALLOW');
  if (allows.length > 0 && allows.every((v) => v === 'no')) return false;
  if (c.token !== 'forged') return true;
  const places = ['fromHeaders', 'fromParams', 'fromCookies'];
  const rules = all.filter((o) => o.kind === 'RequestAuthentication').flatMap((o) => listOf(o.spec?.jwtRules));
  return !rules.some((r) => r?.issuer === issuer && places.every((p) => listOf(r?.[p]).length === 0));
}

/** What the rule for the service asks of TLS to it, where it is sure. */
function wantsTls(objects: ReadonlyMap<string, KubeObject>): boolean {
  const rule = objects.get('DestinationRule shop/web') as Loose;
  const { tls, portLevelSettings } = rule?.spec?.trafficPolicy ?? {};
  return (
    ['web', 'web.shop.svc.cluster.local'].includes(rule?.spec?.host) &&
    listOf(rule.spec.exportTo).length === 0 &&
    rule.spec.workloadSelector === undefined &&
    portLevelSettings === undefined &&
    ['SIMPLE', 'MUTUAL'].includes(tls?.mode) &&
    tls.insecureSkipVerify !== true
  );
}

function checkTls(w: World, says: () => string): void {
  if (!wantsTls(w.objects)) return;
  for (const cluster of w.clusters('web')) {
    assert.ok(cluster.includes('transport_sockets.tls'), `${says()}\n${cluster}`);
    assert.ok(/\.pem|\.crt|kubernetes:/.test(cluster), `${says()}\n${cluster}`);
  }
}

test('the judge agrees with the waypoint about the mesh as it is', () => {
  const w = new World();
  for (const object of mesh) assert.ok(w.put(object), `${object.kind} ${object.metadata.name}`);
  w.index.flush();
  const open = calls.filter((c) => w.lets(c));
  assert.deepEqual(
    open,
    calls.filter((c) => mayPass(w.objects, c)),
  );
  assert.ok(open.length > 5 && open.length < calls.length / 2, String(open.length));
  assert.ok(wantsTls(w.objects) && w.clusters('web').length > 0);
  checkTls(w, () => 'the mesh as it is');
});

const isLong = process.env['TEST_LONG'] === '1';
const parts: Readonly<Record<string, readonly string[]>> = { Gateway: ['spec', 'status'] };
/** A valid mutant of these does open something, by what it says. */
const openers = ['clients', 'admins', 'tokens', 'asked'];

for (const object of mesh.filter(({ kind }) => !['Namespace', 'Service', 'Pod'].includes(kind))) {
  const name = `${object.kind} ${object.metadata.name}`;
  test(`no mutant of ${name} opens what no policy at the waypoint opens`, (t) => {
    const w = new World();
    for (const o of mesh) w.put(o);
    w.index.flush();
    const closed = calls.filter((c) => !w.lets(c));
    const seen = { valid: 0, opened: 0 };
    fc.assert(
      fc.property(mutantsOf(object, parts[object.kind] ?? ['spec'], likely), (mutant) => {
        const says = (c?: Call) => `${JSON.stringify(mutant)}${c ? ` lets in ${JSON.stringify(c)}` : ''}`;
        const isValid = w.put(mutant);
        w.index.flush();
        if (isValid) {
          seen.valid++;
          const open = closed.filter((c) => w.lets(c));
          if (open.length > 0) seen.opened++;
          for (const c of open) assert.ok(mayPass(w.objects, c), says(c));
        } else assert.ok(!w.lets(closed[seen.valid % closed.length]!), says());
        for (const to of ['web', 'v2']) assert.ok(w.isBehindWaypoint(to), says());
        checkTls(w, says);
        w.put(object);
        w.index.flush();
      }),
      {
        endOnFailure: true,
        numRuns: isLong ? 1_000 : 40,
        ...(process.env['FC_SEED'] && { seed: Number(process.env['FC_SEED']) }),
      },
    );
    t.diagnostic(`${seen.valid} valid, ${seen.opened} opened something by what they say`);
    if (isLong && openers.includes(object.metadata.name))
      assert.ok(seen.opened > 0, 'none opens anything: nothing is tested');
  });
}
