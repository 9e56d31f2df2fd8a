/** A stock Envoy takes everything that istiod generates for a waypoint. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noCredentials } from '../../istiod/envoy/credentials.ts';
import { clusterTypeUrl, envoyTypes, listenerTypeUrl, routeTypeUrl } from '../../istiod/envoy/types.ts';
import { startEnvoyBed, waypointNode } from '../../istiod/testing/envoy-bed.ts';
import { podYaml, waypointYaml } from '../../istiod/testing/manifests.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { followBed, verdicts } from './accepts.ts';
import { engines } from './followers.ts';

const skip = skipWithoutEnvoy();

const service = `
kind: Service
metadata: {name: web, labels: {istio.io/use-waypoint: waypoint}}
spec:
  clusterIP: 10.96.0.1
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: grpc, port: 81, targetPort: 8081}
  - {name: tcp, port: 82, targetPort: 8082}
  - {name: tls, port: 83, targetPort: 8083}
  - {name: any, port: 84, targetPort: 8084}
`;
const pod = (name: string, ip: number, captured: boolean) =>
  podYaml({ name, app: 'web', ip: `10.244.1.${ip}`, captured });

/** Each field that ends up in a message of its own form. */
const everything = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec:
  host: web
  trafficPolicy:
    loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 10s}, maglev: {tableSize: 101}}}
    connectionPool:
      tcp: {maxConnections: 10, connectTimeout: 1s, tcpKeepalive: {probes: 3, time: 60s, interval: 5s}, maxConnectionDuration: 1h, idleTimeout: 30s}
      http: {http1MaxPendingRequests: 5, http2MaxRequests: 50, maxRequestsPerConnection: 7, maxRetries: 2, idleTimeout: 20s, h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 9, http2KeepAlive: {interval: 5s, timeout: 2s}}
    outlierDetection: {consecutive5xxErrors: 3, consecutiveGatewayErrors: 0, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 4, interval: 1s, baseEjectionTime: 2s, maxEjectionPercent: 50, minHealthPercent: 20}
    proxyProtocol: {version: V2}
    retryBudget: {percent: 10, minRetryConcurrency: 2}
    portLevelSettings:
    - {port: {number: 81}, loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 10s, minimumPercent: 5, aggression: 1.5}, localityLbSetting: {enabled: true, distribute: [{from: "*", to: {"r1/z1/*": 80, "r2/*": 20}}]}}, tls: {mode: SIMPLE, sni: x.example.com, subjectAltNames: [a.b, "spiffe://x/y", 10.0.0.1]}}
    - {port: {number: 82}, loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 10}}}}
    - {port: {number: 83}, loadBalancer: {simple: PASSTHROUGH}}
    - {port: {number: 84}, loadBalancer: {backendUtilization: {weightUpdatePeriod: 2s, errorUtilizationPenaltyPercent: 50, metricNamesForComputingUtilization: ["named_metrics.foo"]}}, tls: {mode: SIMPLE, insecureSkipVerify: true}}
  subsets:
  - {name: v1, labels: {version: v1}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
  - match: [{uri: {prefix: /v2}, headers: {x: {exact: y}}}]
    route: [{destination: {host: web, subset: v2, port: {number: 80}}, weight: 70}, {destination: {host: away.far.svc.cluster.local, port: {number: 80}}, weight: 30}]
    fault: {delay: {fixedDelay: 1s, percentage: {value: 1}}, abort: {httpStatus: 503, percentage: {value: 0.5}}}
    corsPolicy: {allowOrigins: [{exact: "https://a"}]}
    retries: {attempts: 3, perTryTimeout: 1s, retryOn: "5xx"}
  - route: [{destination: {host: web, subset: v1, port: {number: 80}}}]
  tcp:
  - match: [{port: 82, destinationSubnets: [10.96.0.0/16]}]
    route: [{destination: {host: web, port: {number: 82}}, weight: 50}, {destination: {host: away.far.svc.cluster.local, port: {number: 80}}, weight: 50}]
---
kind: Service
metadata: {name: away, namespace: far}
spec: {clusterIP: 10.96.1.1, selector: {app: away}, ports: [{name: http, port: 80}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny}
spec:
  targetRefs: [{kind: Service, group: "", name: web}]
  action: DENY
  rules:
  - from: [{source: {notPrincipals: ["cluster.local/ns/shop/sa/ok", "*"], namespaces: [a, "b*"], serviceAccounts: [x, y/z], notIpBlocks: [10.0.0.0/8, "2001:db8::1"], remoteIpBlocks: [1.2.3.4], trustDomains: [td, "*"]}}]
    to: [{operation: {hosts: [a.com, "*.b.com", "c.com:80", "d*"], methods: [GET], paths: [/x, /y*, "*/z", "/a/{*}/b/{**}", "*"], ports: ["80"], notPaths: [/ok]}}]
    when:
    - {key: "request.headers[User-Agent]", values: ["Mozilla*"]}
    - {key: destination.ip, notValues: [10.0.0.1]}
    - {key: connection.sni, values: ["*.x"]}
    - {key: "experimental.envoy.filters.http.x[k]", values: ["[v]", "w"]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: allow}
spec:
  targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}]
  rules: [{from: [{source: {principals: ["cluster.local/ns/shop/sa/c"]}}]}, {to: [{operation: {ports: ["81"]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: audit, annotations: {istio.io/dry-run: "true"}}
spec:
  targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}]
  action: AUDIT
  rules: [{}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dns, labels: {istio.io/use-waypoint: waypoint}}
spec: {hosts: [db.example.com], addresses: [240.0.0.1], ports: [{number: 443, name: tls, protocol: TLS}, {number: 80, name: http, protocol: HTTP}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: rr, labels: {istio.io/use-waypoint: waypoint}}
spec: {hosts: [rr.example.com], addresses: [240.0.0.2], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS_ROUND_ROBIN}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: none, labels: {istio.io/use-waypoint: waypoint}}
spec: {hosts: [none.example.com], addresses: [240.0.0.3], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild, labels: {istio.io/use-waypoint: waypoint}}
spec: {hosts: ["*.example.org"], addresses: [240.0.0.4], ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}], resolution: DYNAMIC_DNS}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: static, labels: {istio.io/use-waypoint: waypoint}}
spec: {hosts: [static.example.com], addresses: [240.0.0.5], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 192.0.2.1, locality: r1/z1/s1, weight: 3, labels: {a: b}}, {address: 192.0.2.2, locality: r2/z1}]}
`;

test('a waypoint without routes: each kind of port, endpoints with and without HBONE', { skip }, async () => {
  using bed = await startEnvoyBed([waypointYaml(), service, pod('a', 1, true), pod('b', 2, false)].join('---'));
  await using _ = await followBed(bed);
  assert.deepEqual(await verdicts(bed, envoyTypes), []);
});

test('policies, routes, rules of destinations and services of all sorts', { skip }, async () => {
  using bed = await startEnvoyBed([waypointYaml(), service, pod('a', 1, true), everything].join('---'));
  await using follower = await followBed(bed);
  assert.deepEqual(await verdicts(bed, envoyTypes), []);
  const rejected = await follower.envoy.admin('/stats?filter=update_rejected&usedonly');
  assert.doesNotMatch(rejected, /update_rejected: [1-9]/);
});

test('workloads that are behind it themselves, and a service of their ports', { skip }, async () => {
  const both = waypointYaml({ labels: 'istio.io/waypoint-for: all' });
  const own = pod('own', 7, true).replace('{app: web}', '{app: web, istio.io/use-waypoint: waypoint}');
  using bed = await startEnvoyBed([both, service, own].join('---'));
  await using follower = await followBed(bed);
  assert.deepEqual(await verdicts(bed, envoyTypes), []);
  const dump = await follower.envoy.admin('/config_dump?resource=dynamic_listeners');
  assert.match(dump, /"direct-http"/);
  assert.match(dump, /"10.244.1.7"/);
});

test('a waypoint before services whose protocol nobody says', { skip }, async () => {
  const any = service.replace(/- \{name: (http|grpc|tcp|tls).*\n/g, '');
  using bed = await startEnvoyBed([waypointYaml(), any, pod('a', 1, true)].join('---'));
  await using _ = await followBed(bed);
  assert.deepEqual(await verdicts(bed, envoyTypes), []);
});

for (const engine of engines) {
  test(`a waypoint without any service: ${engine.name}`, { skip: engine.skip }, async () => {
    using bed = await startEnvoyBed(waypointYaml());
    await using _ = await engine.follow(bed);
    assert.deepEqual(await verdicts(bed, [clusterTypeUrl, listenerTypeUrl]), []);
  });
}

const families = [
  ['IPv6 alone', 'fd00::9', ''],
  ['both families', '10.244.9.9', 'fd00::9'],
] as const;
for (const [name, ip, INSTANCE_IPS] of families) {
  test(`a waypoint of ${name}, before services and workloads of IPv6`, { skip }, async () => {
    const gateway = waypointYaml({ labels: 'istio.io/waypoint-for: all' }).replace(
      'spec: {',
      "spec: {infrastructure: {annotations: {ambient.istio.io/xfcc-include-client-identity: 'true'}}, ",
    );
    const six = service
      .replace('clusterIP: 10.96.0.1', 'clusterIPs: ["fd00:96::1"]')
      .replace(/- \{name: (http|grpc|tcp|tls).*\n/g, '');
    const pods = [
      podYaml({ name: 'a', app: 'web', ip: 'fd00::a', captured: true }),
      podYaml({ name: 'own', app: 'own', ip: 'fd00::b', captured: true }).replace(
        '{app: own}',
        '{app: own, istio.io/use-waypoint: waypoint}',
      ),
    ];
    using bed = await startEnvoyBed([gateway, six, ...pods].join('---'));
    const { id, metadata } = waypointNode('waypoint', { INSTANCE_IPS });
    await using follower = await followBed(bed, { id: id.replace('10.244.9.9', ip), metadata });
    assert.deepEqual(await verdicts(bed, envoyTypes), []);
    const dump = await follower.envoy.admin('/config_dump?resource=dynamic_listeners');
    assert.match(dump, /"direct-http"/);
    assert.ok(dump.includes('"fd00::b"') && dump.includes('x-forwarded-client-cert'));
  });
}

test('Secrets that istiod may not read, or nobody has shown a token for: nothing is sent there', { skip }, async () => {
  const rule = (mode: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec: {host: web, trafficPolicy: {tls: {mode: ${mode}, credentialName: web}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild, labels: {istio.io/use-waypoint: waypoint}}
spec: {hosts: ["*.example.org"], addresses: [240.0.0.4], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DYNAMIC_DNS}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: wild}
spec: {host: "*.example.org", trafficPolicy: {tls: {mode: DISABLE}}}
`;
  for (const [mode, options] of [
    ['MUTUAL', {}],
    ['MUTUAL', { credentials: noCredentials }],
    ['SIMPLE', { credentials: noCredentials }],
  ] as const) {
    using bed = await startEnvoyBed([waypointYaml(), service, rule(mode)].join('---'), options);
    await using _ = await followBed(bed);
    assert.deepEqual(await verdicts(bed, [clusterTypeUrl, listenerTypeUrl, routeTypeUrl]), []);
  }
});
