/** What DestinationRules say of services: which endpoint, how it is spoken to, how much at a time. */
import { type RouteCase, destinationRule as rule, virtualService as vs } from './case.ts';

const policy = (text: string, name = 'web') => rule(`trafficPolicy: ${text}`, name);
const pool = (http: string) => policy(`{ connectionPool: { http: ${http} } }`);
const web = { path: '/', expect: { to: 'web' } } as const;
const many = { service: 'many', path: '/', expect: { to: 'many' } } as const;
const near = { service: 'near', path: '/' } as const;
const byHttp2 = { ...web, by: 'http2' } as const;
const speaks = (protocol: string) => ({ expect: { to: 'web', received: { protocol } } });
const localities = (text: string, of = 'many') =>
  policy(
    `{ outlierDetection: { consecutive5xxErrors: 5 }, loadBalancer: { localityLbSetting: { enabled: true, ${text} } } }`,
    of,
  );
const taken = (name: string, objects: string): RouteCase => ({ name, objects, requests: [web] });

export const destinationRuleCases: readonly RouteCase[] = [
  {
    name: 'h2UpgradePolicy, useClientProtocol',
    objects: pool('{ h2UpgradePolicy: UPGRADE, http2KeepAlive: {} }'),
    requests: [
      { ...web, ...speaks('HTTP/2') },
      { ...byHttp2, ...speaks('HTTP/2') },
    ],
  },
  {
    name: 'h2UpgradePolicy DO_NOT_UPGRADE',
    objects: pool('{ h2UpgradePolicy: DO_NOT_UPGRADE }'),
    requests: [
      { ...web, ...speaks('HTTP/1.1') },
      { ...byHttp2, ...speaks('HTTP/1.1') },
    ],
  },
  {
    name: 'useClientProtocol',
    objects: pool('{ h2UpgradePolicy: DO_NOT_UPGRADE, useClientProtocol: true }'),
    requests: [
      { ...web, ...speaks('HTTP/1.1') },
      { ...byHttp2, ...speaks('HTTP/2') },
    ],
  },
  {
    name: 'maxRequestsPerConnection',
    objects: pool('{ maxRequestsPerConnection: 1, idleTimeout: 10s }'),
    requests: [web, web, web],
  },
  ...['{ simple: ROUND_ROBIN }', '{ simple: RANDOM }'].map(
    (balancer): RouteCase => ({
      name: `loadBalancer ${balancer}`,
      objects: policy(`{ loadBalancer: ${balancer} }`, 'many'),
      requests: [{ service: 'many', path: '/', expect: {}, shares: { 'many-a': 1, 'many-b': 1, 'many-c': 1 } }],
    }),
  ),
  ...[
    '{ httpHeaderName: x-key }',
    '{ httpHeaderName: x-key, maglev: { tableSize: 101 } }',
    '{ httpQueryParameterName: key }',
    '{ httpQueryParameterName: key, maglev: {} }',
    '{ httpCookie: { name: key } }',
    '{ httpHeaderName: x-key, minimumRingSize: 64 }',
  ].map(
    (hash): RouteCase => ({
      name: `consistentHash ${hash}: the same endpoint`,
      objects: policy(`{ loadBalancer: { consistentHash: ${hash} } }`, 'many'),
      requests: ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => ({
        ...many,
        path: `/?key=${key}`,
        headers: { 'x-key': key, cookie: `key=${key}` },
      })),
    }),
  ),
  {
    name: 'consistentHash: cookies that are made, source addresses',
    objects:
      policy(
        '{ loadBalancer: { consistentHash: { httpCookie: { name: made, ttl: 10s, path: /p, attributes: [{ name: SameSite, value: Lax }, { name: Secure }] } } } }',
      ) + policy('{ loadBalancer: { consistentHash: { useSourceIp: true } } }', 'v2'),
    requests: [
      { ...web, headers: { cookie: 'made=x' } },
      { service: 'v2', path: '/', expect: { to: 'v2' } },
    ],
  },
  {
    name: 'localityLbSetting failover: the own zone first',
    objects: localities('failover: [{ from: r1, to: r2 }]'),
    requests: [1, 2, 3].map(() => ({ ...many, expect: { pod: 'many-a' } })),
  },
  {
    name: 'localityLbSetting failover to another region',
    objects: localities('failover: [{ from: r9, to: r2 }]'),
    requests: [{ ...many, expect: { pod: 'many-a' } }],
  },
  {
    name: 'localityLbSetting failoverPriority',
    objects: localities(
      'failoverPriority: [topology.kubernetes.io/region, topology.kubernetes.io/zone, topology.istio.io/subzone, topology.istio.io/network, "version=v1"]',
    ),
    requests: [{ ...many, expect: { pod: 'many-a' } }],
  },
  {
    name: 'localityLbSetting failoverPriority by labels',
    objects: localities('failoverPriority: ["version=v2"]'),
    requests: [{ ...many, expect: { pod: 'many-c' } }],
  },
  {
    name: 'localityLbSetting failoverPriority by a label of its own',
    objects: localities('failoverPriority: [app, "version=v2"]'),
    requests: [{ service: 'many', path: '/', expect: {}, shares: { 'many-a': 1, 'many-b': 1, 'many-c': 1 } }],
  },
  {
    name: 'localityLbSetting distribute',
    objects: localities('distribute: [{ from: "r1/*", to: { "r1/z1/*": 20, "r1/z2/*": 80, "r2/*": 0 } }]'),
    requests: [{ service: 'many', path: '/', expect: {}, shares: { 'many-a': 20, 'many-b': 80 } }],
  },
  {
    name: 'localityLbSetting distribute: the rest fails over',
    objects: localities('distribute: [{ from: "r1/z1", to: { "r1/z2/*": 50, "r1/z2": 50 } }]'),
    requests: [{ ...many, expect: { pod: 'many-b' } }],
  },
  {
    name: 'localityLbSetting distribute: from anywhere, to nobody',
    objects: localities("distribute: [{ from: 'r9/*' }, { to: { 'r1/*': 100 } }]"),
    requests: [{ service: 'many', path: '/', expect: {}, shares: { 'many-a': 1, 'many-b': 1 } }],
  },
  {
    name: 'localityLbSetting failover: rules that say nothing, a subzone of the own zone',
    objects: localities('failover: [{}, { from: r1, to: r2 }]', 'near'),
    requests: [1, 2, 3].map(() => ({ ...near, expect: { pod: 'near-a' } })),
  },
  {
    name: 'localityLbSetting failoverPriority by a label that nobody has',
    objects: localities('failoverPriority: [none, "version=v2"]'),
    requests: [{ ...many, expect: { pod: 'many-c' } }],
  },
  {
    name: 'localityLbSetting by MeshConfig',
    mesh: { localityLb: { distribute: [{ from: 'r1/*', to: { 'r1/z2/*': 100 } }] } },
    objects: '',
    requests: [{ ...many, expect: { pod: 'many-b' } }],
  },
  {
    name: 'trafficDistribution, internalTrafficPolicy, ports that pods have not',
    objects: '',
    requests: [
      ...[1, 2, 3].map(() => ({ ...near, expect: { pod: 'near-a' } })),
      ...[1, 2, 3].map(() => ({ service: 'local', path: '/', expect: { pod: 'local-a' } })),
      { service: 'local', port: 81, path: '/', expect: { status: 503, body: 'no healthy upstream' } },
      { service: 'near', family: 'ipv6', path: '/', expect: { pod: 'near-a' } },
    ],
  },
  {
    name: 'publishNotReadyAddresses',
    objects: '',
    requests: [{ service: 'early', path: '/', expect: {}, shares: { 'early-a': 1, 'early-b': 1 } }],
  },
  {
    name: 'localityLbSetting off',
    objects: policy('{ loadBalancer: { localityLbSetting: { enabled: false } } }', 'many'),
    requests: [{ service: 'many', path: '/', expect: {}, shares: { 'many-a': 1, 'many-b': 1, 'many-c': 1 } }],
  },
  ...[
    '{ enabled: false }',
    '{ enabled: true, failoverPriority: [topology.kubernetes.io/zone] }',
    '{ enabled: true, failover: [{ from: r1, to: r2 }], minClusterSize: 1 }',
  ].map(
    (zones): RouteCase => ({
      name: `zoneAwareLbSetting ${zones}`,
      objects: policy(
        `{ outlierDetection: { consecutive5xxErrors: 5 }, loadBalancer: { zoneAwareLbSetting: ${zones} } }`,
        'many',
      ),
      requests: [],
    }),
  ),
  {
    name: 'outlierDetection: who fails is left out',
    objects:
      policy(
        '{ outlierDetection: { consecutive5xxErrors: 2, baseEjectionTime: 60s, interval: 1h, maxEjectionPercent: 100 } }',
      ) + vs('{ retries: { attempts: 0 }, route: [{ destination: { host: web } }] }'),
    requests: [
      { ...web, headers: { 'x-echo-status': '500' }, expect: { status: 500, to: 'web' } },
      { ...web, headers: { 'x-echo-status': '500' }, expect: { status: 500, to: 'web' } },
      { path: '/', expect: { status: 503, body: 'no healthy upstream' } },
    ],
  },
  {
    name: 'outlierDetection: gateway errors, and too few to leave one out',
    objects:
      policy(
        '{ outlierDetection: { consecutive5xxErrors: 0, consecutiveGatewayErrors: 1, interval: 1h, maxEjectionPercent: 100 } }',
      ) +
      policy('{ outlierDetection: { consecutive5xxErrors: 1, interval: 1h, maxEjectionPercent: 1 } }', 'v2') +
      vs('{ retries: { attempts: 0 }, route: [{ destination: { host: web } }] }') +
      vs('{ retries: { attempts: 0 }, route: [{ destination: { host: v2 } }] }', 'v2', 'v2'),
    requests: [
      { ...web, headers: { 'x-echo-status': '500' }, expect: { status: 500, to: 'web' } },
      { ...web, headers: { 'x-echo-status': '502' }, expect: { status: 502, to: 'web' } },
      { path: '/', expect: { status: 503, body: 'no healthy upstream' } },
      ...[1, 2].map(() => ({
        service: 'v2',
        path: '/',
        headers: { 'x-echo-status': '500' },
        expect: { status: 500, to: 'v2' },
      })),
    ],
  },
  taken(
    'outlierDetection: all of it',
    policy(
      '{ outlierDetection: { consecutiveErrors: 3, consecutiveGatewayErrors: null, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2, minHealthPercent: 30 } }',
    ),
  ),
  taken(
    'numbers that are left out, and what validation would refuse',
    policy(
      '{ outlierDetection: { consecutiveErrors: 0 }, connectionPool: { tcp: { tcpKeepalive: { time: soon } } } }',
    ) + policy('{ proxyProtocol: {}, retryBudget: {} }', 'v2'),
  ),
  taken('warm-up of the default balancer', policy('{ loadBalancer: { warmupDurationSecs: 10s } }')),
  taken(
    'tls DISABLE, connections',
    policy(
      '{ tls: { mode: DISABLE }, connectionPool: { tcp: { maxConnections: 5, connectTimeout: 1s, tcpKeepalive: { time: 1s, interval: 500ms, probes: 2 } } } }',
    ),
  ),
  {
    name: 'tls MUTUAL without a key, SIMPLE to a server without',
    objects:
      policy('{ tls: { mode: MUTUAL } }') +
      policy('{ tls: { mode: SIMPLE, sni: x } }', 'v2') +
      policy('{ tls: { mode: MUTUAL, clientCertificate: /none } }', 'many'),
    requests: [{ path: '/', expect: { status: 503 } }],
  },
  {
    name: 'rules of other namespaces, wildcards, exportTo, workloadSelector',
    objects: `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: wild, namespace: istio-system }
spec: { host: '*.shop.svc.cluster.local', exportTo: ['*'], trafficPolicy: { loadBalancer: { simple: RANDOM } } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: wilder, namespace: istio-system }
spec: { host: '*.svc.cluster.local' }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: hidden, namespace: pay }
spec: { host: web.shop.svc.cluster.local, exportTo: ['.'] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: chosen }
spec: { host: web, exportTo: [shop], workloadSelector: { matchLabels: { app: x } }, trafficPolicy: { tls: { mode: SIMPLE } } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: own }
spec: { host: v2, exportTo: ['.'], trafficPolicy: { tunnel: { protocol: CONNECT, targetHost: x, targetPort: 80 }, portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: RANDOM } }] } }
---`,
    requests: [web],
  },
];
