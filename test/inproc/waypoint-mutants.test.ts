/**
 * "1,000 mutants of each resource type: 0 crashes", for what istiod makes for waypoints of them: each object of a mesh is changed in one
 * place, and every part of the waypoint's configuration and every status can still be made, whatever the change is; of what is not valid the
 * last good version counts. Mutants of what node proxies are told are in istiod/model/mutants.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeEnvoy } from '../../common/envoy/codec.ts';
import type { WaypointProxy } from '../../istiod/envoy/proxy.ts';
import type { Remember } from '../../istiod/envoy/remember.ts';
import { WaypointConfiguration } from '../../istiod/envoy/waypoint/configuration.ts';
import { meshKinds } from '../../istiod/model/ambient/inputs.ts';
import { mutantsOf } from '../../istiod/model/testing/mutants.ts';
import { objectsOf } from '../../istiod/model/testing/test-mesh.ts';
import { podYaml, waypointYaml } from '../../istiod/testing/manifests.ts';
import { faultOf } from '../../istiod/validation/fault.ts';
import { KeptMesh } from './kept-mesh.ts';

const to = (name: string) => `targetRefs: [{kind: Service, group: "", name: ${name}}]`;
const toGateway = 'targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}]';
const service = (name: string, ip: string, ports: string) => `
kind: Service
metadata: {name: ${name}, labels: {istio.io/use-waypoint: waypoint}}
spec: {clusterIP: ${ip}, clusterIPs: [${ip}], selector: {app: ${name}}, ports: [${ports}]}
`;
const object = (apiVersion: string, kind: string, name: string, spec: string) => `
apiVersion: ${apiVersion}
kind: ${kind}
metadata: {name: ${name}, labels: {istio.io/use-waypoint: waypoint}}
spec: ${spec}
`;
const [networking, security, gatewayApi] = [
  'networking.istio.io/v1',
  'security.istio.io/v1',
  'gateway.networking.k8s.io',
];
const mesh = objectsOf(
  [
    '{kind: Namespace, metadata: {name: shop}}',
    waypointYaml(),
    object(`${gatewayApi}/v1`, 'GatewayClass', 'istio-waypoint', '{controllerName: istio.io/mesh-controller}'),
    service('web', '10.96.0.1', '{name: http, port: 80}, {name: grpc, port: 9000}'),
    service('raw', '10.96.0.2', '{name: tcp, port: 82}, {name: tls, port: 83}'),
    podYaml({ name: 'web', ip: '10.0.0.1', version: 'v1', captured: true }),
    podYaml({ name: 'raw', ip: '10.0.0.2' }),
    object(
      networking,
      'ServiceEntry',
      'ext',
      '{hosts: [ext.test], addresses: [240.0.0.7], ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}, {number: 80, name: http, protocol: HTTP}], location: MESH_EXTERNAL, resolution: STATIC, endpoints: [{address: 192.0.2.1, ports: {tls: 9443}, labels: {version: v1}, network: net-1, locality: eu/a, weight: 3}, {address: 192.0.2.2}], subjectAltNames: [ext.test]}',
    ),
    object(
      networking,
      'ServiceEntry',
      'named',
      '{hosts: ["*.named.test"], ports: [{number: 80, name: http, protocol: HTTP}], location: MESH_EXTERNAL, resolution: DYNAMIC_DNS}',
    ),
    object(
      networking,
      'WorkloadEntry',
      'vm',
      '{address: 192.0.2.7, ports: {http: 8080}, labels: {app: web, version: v2}, network: net-1, locality: eu/a/1, weight: 2, serviceAccount: vm}',
    ),
    object(
      networking,
      'DestinationRule',
      'web',
      `{host: web.shop.svc.cluster.local, trafficPolicy: {connectionPool: {tcp: {maxConnections: 10, connectTimeout: 3s, idleTimeout: 1h, tcpKeepalive: {probes: 3, time: 10s, interval: 1s}}, http: {http2MaxRequests: 100, idleTimeout: 10s, h2UpgradePolicy: UPGRADE}}, outlierDetection: {consecutive5xxErrors: 3, interval: 5s, baseEjectionTime: 30s, maxEjectionPercent: 50}, loadBalancer: {consistentHash: {httpCookie: {name: user, ttl: 10s, path: /}, ringHash: {minimumRingSize: 64}}, localityLbSetting: {enabled: true, distribute: [{from: eu/a, to: {eu/a: 70, eu/b: 30}}]}, warmup: {duration: 10s, minimumPercent: 10, aggression: 1}}, tls: {mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem, sni: web, subjectAltNames: [web]}, portLevelSettings: [{port: {number: 9000}, loadBalancer: {simple: RANDOM}}], retryBudget: {percent: 20, minRetryConcurrency: 3, budgetInterval: 10s}}, subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}]}`,
    ),
    object(
      networking,
      'VirtualService',
      'web',
      `{hosts: [web], http: [{name: one, match: [{uri: {prefix: /api}, headers: {x-user: {regex: "a.*"}, "@request.auth.claims.sub": {exact: a}}, withoutHeaders: {x-b: {exact: c}}, queryParams: {q: {exact: a}}, method: {exact: GET}, port: 80, ignoreUriCase: true}], route: [{destination: {host: web, subset: v1, port: {number: 80}}, weight: 75, headers: {request: {set: {x-a: b}, remove: [x-c]}, response: {add: {x-d: e}}}}, {destination: {host: ext.test, port: {number: 80}}, weight: 25}], rewrite: {uriRegexRewrite: {match: "/(a.*)", rewrite: '/\\1'}}, timeout: 5s, retries: {attempts: 3, perTryTimeout: 1s, retryOn: "5xx,reset"}, fault: {delay: {percentage: {value: 1}, fixedDelay: 1s}, abort: {percentage: {value: 0.5}, httpStatus: 503}}, mirrors: [{destination: {host: raw, port: {number: 82}}, percentage: {value: 10}}], corsPolicy: {allowOrigins: [{exact: "https://a.test"}], allowMethods: [GET], allowHeaders: [x-a], maxAge: 24h, allowCredentials: true}}, {match: [{uri: {prefix: /old}}], redirect: {authority: new.test, redirectCode: 308}}, {match: [{uri: {exact: /teapot}}], directResponse: {status: 418, body: {string: tea}}}, {name: more, match: [{uri: {prefix: /more}}], delegate: {name: more}}, {route: [{destination: {host: web}}]}]}`,
    ),
    object(
      networking,
      'VirtualService',
      'more',
      '{http: [{match: [{uri: {prefix: /more/a}}], route: [{destination: {host: web}}]}]}',
    ),
    object(
      networking,
      'VirtualService',
      'raw',
      '{hosts: [raw], tls: [{match: [{port: 83, sniHosts: [raw]}], route: [{destination: {host: raw, port: {number: 83}}, weight: 1}, {destination: {host: web}, weight: 2}]}], tcp: [{match: [{port: 82, destinationSubnets: [10.0.0.0/8]}], route: [{destination: {host: raw}}]}]}',
    ),
    object(
      `${gatewayApi}/v1`,
      'HTTPRoute',
      'ext',
      `{parentRefs: [{group: networking.istio.io, kind: ServiceEntry, name: ext, port: 80}], hostnames: [ext.test], rules: [{name: api, matches: [{path: {type: PathPrefix, value: /api}, headers: [{name: x-a, value: b, type: RegularExpression}], queryParams: [{name: q, value: a}], method: GET}], filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-b, value: c}], remove: [x-d]}}, {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}}, {type: CORS, cors: {allowOrigins: ["https://a.test"], allowMethods: [GET], maxAge: 10}}], backendRefs: [{name: web, port: 80, weight: 3}, {name: other, namespace: b, port: 80}], timeouts: {request: 10s, backendRequest: 2s}, retry: {codes: [503], attempts: 2, backoff: 100ms}, sessionPersistence: {type: Cookie, cookie: {name: s, lifetimeType: Permanent}, absoluteTimeout: 1h}}, {matches: [{path: {type: Exact, value: /old}}], filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]}]}`,
    ),
    object(
      `${gatewayApi}/v1`,
      'GRPCRoute',
      'web',
      '{parentRefs: [{group: "", kind: Service, name: web, port: 9000}], rules: [{matches: [{method: {service: shop.Orders, method: Get}, headers: [{name: x-a, value: b}]}], backendRefs: [{name: web, port: 9000}], filters: [{type: RequestMirror, requestMirror: {backendRef: {name: raw, port: 82}, percent: 10}}]}]}',
    ),
    object(
      `${gatewayApi}/v1alpha2`,
      'TCPRoute',
      'ext',
      '{parentRefs: [{group: "", kind: Service, name: raw, port: 82}], rules: [{backendRefs: [{name: raw, port: 82, weight: 1}, {name: web, port: 80}]}]}',
    ),
    object(
      `${gatewayApi}/v1`,
      'TLSRoute',
      'ext',
      '{parentRefs: [{group: networking.istio.io, kind: ServiceEntry, name: ext, port: 443}], hostnames: [ext.test], rules: [{backendRefs: [{group: networking.istio.io, kind: Hostname, name: ext.test, port: 443}]}]}',
    ),
    object(
      `${gatewayApi}/v1beta1`,
      'ReferenceGrant',
      'grant',
      `{from: [{group: ${gatewayApi}, kind: HTTPRoute, namespace: b}], to: [{group: "", kind: Service, name: web}]}`,
    ),
    object(
      security,
      'AuthorizationPolicy',
      'web',
      `{${to('web')}, action: ALLOW, rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/client, "*/sa/admin"], ipBlocks: [10.0.0.0/8], requestPrincipals: ["a/*"]}}, {source: {serviceAccounts: [other/api]}}], to: [{operation: {ports: ["80", "9000"], methods: [GET], paths: ["/api/*", "/a/{*}/b/{**}"], hosts: ["*.test"]}}], when: [{key: "request.headers[x-a]", values: ["b"]}, {key: source.ip, notValues: [192.0.2.0/24]}, {key: "request.auth.claims[a][b]", values: [c]}]}]}`,
    ),
    object(
      security,
      'AuthorizationPolicy',
      'all',
      `{${toGateway}, action: DENY, rules: [{from: [{source: {notNamespaces: [shop]}}], to: [{operation: {ports: ["82"]}}]}]}`,
    ),
    object(
      security,
      'RequestAuthentication',
      'web',
      `{${to('web')}, jwtRules: [{issuer: "https://a.test", jwks: '{"keys":[]}', audiences: [web], fromHeaders: [{name: x-token, prefix: "T "}], fromParams: [t], fromCookies: [t], outputClaimToHeaders: [{header: x-sub, claim: sub}], forwardOriginalToken: true, timeout: 2s}, {issuer: "https://b.test", jwksUri: "https://b.test/keys"}]}`,
    ),
    object(
      security,
      'PeerAuthentication',
      'strict',
      '{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {"8080": {mode: PERMISSIVE}}}',
    ),
    object(
      'telemetry.istio.io/v1',
      'Telemetry',
      't',
      `{${to('web')}, tracing: [{providers: [{name: otel}], randomSamplingPercentage: 1.5, customTags: {a: {literal: {value: b}}, c: {header: {name: x-a}}}}], metrics: [{providers: [{name: prometheus}], overrides: [{match: {metric: REQUEST_COUNT, mode: SERVER}, tagOverrides: {x: {operation: UPSERT, value: request.host}, y: {operation: REMOVE}}}], reportingInterval: 5s}], accessLogging: [{providers: [{name: envoy}], filter: {expression: response.code >= 400}}]}`,
    ),
    object(
      'extensions.istio.io/v1alpha1',
      'WasmPlugin',
      'w',
      `{${to('web')}, url: "oci://w.test/w:1", phase: AUTHN, priority: 10, imagePullPolicy: IfNotPresent, failStrategy: FAIL_CLOSE, pluginConfig: {a: 1}, vmConfig: {env: [{name: A, value: b}]}, match: [{mode: SERVER, ports: [{number: 80}]}]}`,
    ),
    object(
      'extensions.istio.io/v1alpha1',
      'TrafficExtension',
      'lua',
      `{${toGateway}, lua: {inlineCode: "return 1"}, phase: AUTHZ, priority: 1}`,
    ),
    object(
      'gateway.networking.x-k8s.io/v1alpha1',
      'XBackendTrafficPolicy',
      'retries',
      `{${to('web')}, retryConstraint: {budget: {percent: 30, interval: 10s}, minRetryRate: {count: 10, interval: 1s}}, sessionPersistence: {type: Header, header: {name: x-s}}}`,
    ),
    object(
      'policy.aquifer.dev/v1alpha1',
      'RateLimitPolicy',
      'counted',
      `{${to('raw')}, counter: {service: {name: web}, port: 9000, failure: Pass}, limits: [{name: all, requests: 100, unit: Month}]}`,
    ),
    object(
      'policy.aquifer.dev/v1alpha1',
      'RateLimitPolicy',
      'calls',
      `{${to('web')}, limits: [{name: each-user, match: {methods: [GET], paths: [/api/*, /cart]}, by: [{type: Header, name: x-user}, {type: Claim, name: org.id}], requests: 100, unit: Minute, burst: 20}, {name: each-caller, by: [{type: Identity}, {type: Address}], requests: 10, unit: Second}]}`,
    ),
    object(
      networking,
      'Sidecar',
      's',
      '{workloadSelector: {labels: {app: web}}, egress: [{hosts: ["./*"]}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}',
    ),
    object(
      networking,
      'EnvoyFilter',
      'e',
      '{configPatches: [{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND}, patch: {operation: REMOVE, value: {}}}]}',
    ),
  ].join('\n---\n'),
);

const proxy: WaypointProxy = {
  kind: 'waypoint',
  account: undefined,
  gateway: 'shop/waypoint',
  namespace: 'shop',
  locality: { region: 'eu', zone: 'a', subzone: '' },
  node: 'node-1',
  network: '',
  families: 'both',
  engine: 'aquifer',
};

class World extends KeptMesh {
  /** Every resource that the waypoint is told, encoded; throws where a part of it cannot be made. */
  configuration(): ReadonlyMap<string, Buffer> {
    const remember: Remember = (id, make) => {
      const { outcome } = this.index.envoy.trace(make);
      if (outcome.kind === 'failed') throw outcome.error;
      return { value: outcome.value, id };
    };
    const all = new WaypointConfiguration(proxy, remember).resources();
    return new Map(all.map((r) => [`${r.type} ${r.name}`, Buffer.from(encodeEnvoy(r.message))]));
  }

  /** Of every object, status conditions. */
  conditions(): void {
    for (const { kind, metadata } of this.objects.values())
      this.index.conditions({ kind, namespace: metadata.namespace ?? '', name: metadata.name });
  }
}

const parts = ['spec', 'status'];
const isCustom = (kind: string) => meshKinds.find((k) => k.kind.kind === kind)!.isCustom;

test('each kind that istiod reads and waypoints are made of has an object here, which is valid', () => {
  const w = new World();
  const faults = mesh.flatMap((o) => (w.put(o) ? [] : [`${o.kind} ${o.metadata.name}: ${faultOf(o)}`]));
  assert.deepEqual(faults, []);
  w.index.flush();
  const kinds = new Set(mesh.map((o) => o.kind));
  for (const { kind } of meshKinds.filter((k) => k.isCustom)) assert.ok(kinds.has(kind.kind), kind.kind);
  assert.ok(w.configuration().size > 10);
});

for (const object of mesh.filter((o) => isCustom(o.kind) || o.kind === 'Service' || o.kind === 'Pod')) {
  const name = `${object.kind} ${object.metadata.name}`;
  test(`mutants of ${name}: all of a waypoint's configuration can be made`, () => {
    const w = new World();
    for (const o of mesh) w.put(o);
    w.index.flush();
    const before = w.configuration();
    fc.assert(
      fc.property(mutantsOf(object, parts), (mutant) => {
        const isValid = w.put(mutant);
        w.index.flush();
        if (isValid) {
          w.configuration();
          w.conditions();
          w.put(object);
          w.index.flush();
        }
        return true;
      }),
      { endOnFailure: true, numRuns: process.env['TEST_LONG'] === '1' ? 1_000 : 25 },
    );
    w.put(object);
    w.index.flush();
    assert.deepEqual(w.configuration(), before);
  });
}
