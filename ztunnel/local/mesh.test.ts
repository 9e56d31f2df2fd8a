import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MeshError } from '../../common/core/errors.ts';
import { MeshStore } from '../../common/mesh/store.ts';
import type { Service, Workload } from '../../common/mesh/types.ts';
import { parseLocalMesh, readLocalMesh } from './mesh.ts';

const whole = `
workloads:
- uid: lab//Pod/shop/cart-1
  name: cart-1
  namespace: shop
  serviceAccount: cart
  trustDomain: td.example
  workloadIps: ["10.9.0.5", "fd00::5"]
  node: node-a
  protocol: HBONE
  networkMode: Standard
  network: ""
  clusterId: Kubernetes
  workloadName: cart
  workloadType: pod
  canonicalName: cart
  canonicalRevision: v1
  capacity: 2
  status: Unhealthy
  locality: {region: r1, zone: z1, subzone: ""}
  authorizationPolicies: ["shop/only-web"]
  applicationTunnel: {protocol: PROXY, port: 15088}
  waypoint: {destination: shop/wp.shop.svc.cluster.local, hboneMtlsPort: 15008}
  networkGateway: {destination: "/10.1.1.9", hboneMtlsPort: 15008}
  services:
    "shop/cart.shop.svc.cluster.local": {80: 8080}
- uid: small
  namespace: shop
  workloadIps: []
  services: {}
services:
- name: cart
  namespace: shop
  hostname: cart.shop.svc.cluster.local
  vips: ["/10.1.1.2", "remote/fd00::2"]
  cidrVips: [{network: "", cidr: 10.2.0.0/16}]
  ports: {80: 8080, 443: 0}
  subjectAltNames: [spiffe://td.example/ns/shop/sa/cart]
  canonical: true
  visibility: Namespace
  ipFamilies: Dual
  weightedWaypoints: [{destination: {destination: "/10.1.1.9", hboneMtlsPort: 15008}, weight: 3}]
  loadBalancer: {routingPreferences: [Network, Region], mode: Failover, healthPolicy: AllowAll}
policies:
- name: only-web
  namespace: shop
  scope: WorkloadSelector
  action: Allow
  dryRun: false
  rules:
  - - - principals: [!Exact td.example/ns/shop/sa/web, !Prefix td, !Suffix /web, !Presence []]
        destinationPorts: [8080]
        sourceIps: [10.0.0.0/8]
        notServiceAccounts: [{namespace: shop, serviceAccount: bad}]
`;

test('every field of a file is taken over', () => {
  const { addresses, policies } = parseLocalMesh(whole, 'm.yaml', 'cluster.local');
  const [service, cart, small] = addresses as [Service, Workload, Workload];
  const gateway = { destination: { kind: 'address', network: '', ip: '10.1.1.9' }, hboneMtlsPort: 15008 };
  assert.deepEqual(cart, {
    kind: 'workload',
    uid: 'lab//Pod/shop/cart-1',
    name: 'cart-1',
    namespace: 'shop',
    serviceAccount: 'cart',
    trustDomain: 'td.example',
    addresses: ['10.9.0.5', 'fd00::5'],
    hostname: '',
    node: 'node-a',
    tunnelProtocol: 'HBONE',
    networkMode: 'STANDARD',
    network: '',
    clusterId: 'Kubernetes',
    workloadName: 'cart',
    workloadType: 'pod',
    canonicalName: 'cart',
    canonicalRevision: 'v1',
    nativeTunnel: false,
    capacity: 2,
    status: 'UNHEALTHY',
    locality: { region: 'r1', zone: 'z1', subzone: '' },
    authorizationPolicies: ['shop/only-web'],
    applicationTunnel: { protocol: 'PROXY', port: 15088 },
    waypoint: {
      destination: { kind: 'hostname', namespace: 'shop', hostname: 'wp.shop.svc.cluster.local' },
      hboneMtlsPort: 15008,
    },
    networkGateway: gateway,
    services: new Map([['shop/cart.shop.svc.cluster.local', [{ servicePort: 80, targetPort: 8080 }]]]),
  });
  assert.deepEqual(
    [small.trustDomain, small.tunnelProtocol, small.capacity, small.status],
    ['cluster.local', 'NONE', 1, 'HEALTHY'],
  );
  assert.deepEqual(service, {
    kind: 'service',
    name: 'cart',
    namespace: 'shop',
    hostname: 'cart.shop.svc.cluster.local',
    addresses: [
      { network: '', ip: '10.1.1.2' },
      { network: 'remote', ip: 'fd00::2' },
      { network: '', ip: '10.2.0.0', length: 16 },
    ],
    ports: [
      { servicePort: 80, targetPort: 8080 },
      { servicePort: 443, targetPort: 0 },
    ],
    subjectAltNames: ['spiffe://td.example/ns/shop/sa/cart'],
    canonical: true,
    visibility: 'NAMESPACE',
    ipFamilies: 'DUAL',
    weightedWaypoints: [{ waypoint: gateway, weight: 3 }],
    loadBalancing: { routingPreference: ['NETWORK', 'REGION'], mode: 'FAILOVER', healthPolicy: 'ALLOW_ALL' },
  });
  const [match] = policies![0]!.groups[0]!.rules[0]!.matches;
  assert.deepEqual(match!.principals, [
    { kind: 'exact', value: 'td.example/ns/shop/sa/web' },
    { kind: 'prefix', value: 'td' },
    { kind: 'suffix', value: '/web' },
    { kind: 'presence' },
  ]);
  assert.deepEqual(match!.destinationPorts, [8080]);
  assert.deepEqual(match!.sourceIps, [{ ip: '10.0.0.0', length: 8 }]);
  assert.deepEqual(match!.notServiceAccounts, [{ namespace: 'shop', serviceAccount: 'bad' }]);
  assert.deepEqual([policies![0]!.scope, policies![0]!.action], ['WORKLOAD_SELECTOR', 'ALLOW']);
});

test('the store takes what was read: endpoints of the service, policies of the workload', () => {
  const store = new MeshStore();
  store.apply(parseLocalMesh(whole, 'm.yaml', 'cluster.local'));
  const service = store.serviceByVip('', '10.2.3.4' as never, 'shop')!;
  assert.deepEqual(
    store.endpoints(service).map((e) => e.workload.uid),
    ['lab//Pod/shop/cart-1'],
  );
  assert.deepEqual(store.policiesFor(store.workload('lab//Pod/shop/cart-1')!).missing, []);
});

function mistakes(content: string): string {
  try {
    parseLocalMesh(content, 'm.yaml', 'td');
  } catch (e) {
    assert.ok(e instanceof MeshError && e.code === 'CONFIG');
    return e.message;
  }
  return '';
}

const policy = (rules: string) =>
  `policies: [{name: p, namespace: n, scope: Global, action: Deny, dryRun: false, rules: ${rules}}]`;

for (const [content, expected] of [
  ['workload: []', /^m\.yaml:1: workload: there is no such field; known are workloads, services, policies$/],
  [
    'workloads:\n- uid: a\n  namespace: b\n  services: {}\n  workloadIps: [x]',
    /^m\.yaml:5: workloads\[0\]\.workloadIps\[0\]: "x": expected an IP/,
  ],
  [
    'workloads:\n- uid: a\n  protocol: QUIC',
    /m\.yaml:2: workloads\[0\]: field namespace is missing\n(.*\n)*m\.yaml:3: workloads\[0\]\.protocol: "QUIC": expected one of TCP, HBONE/,
  ],
  ['workloads: {a: b}', /m\.yaml:1: workloads: \{"a":"b"\}: expected a list/],
  ['workloads: [5]', /workloads\[0\]: 5: expected a mapping/],
  [
    'services: [{name: a, namespace: b, hostname: c, vips: [10.0.0.1], ports: {x: 1}}]',
    /vips\[0\]: "10.0.0.1": expected network\/IP.*\n.*ports\.x: 1: expected a port as the key/,
  ],
  [policy('[[[{principals: [plain]}]]]'), /principals\[0\]: "plain": expected !Exact TEXT/],
  [policy('[[[{principals: [!Glob x]}]]]'), /expected !Exact TEXT/],
  [policy('[[[{principals: [!Presence [x]]}]]]'), /expected !Exact TEXT/],
  [policy('[[[{principal: []}]]]'), /rules\[0\]\[0\]\[0\]\.principal: there is no such field/],
  [policy('[[{}]]'), /rules\[0\]\[0\]: \{\}: expected a list/],
  ['a: [', /^m\.yaml:1: /],
  ['a: 1\na: 2', /m\.yaml:2: .*unique/],
  ['5', /^m\.yaml:1: 5: expected a mapping/],
] as const) {
  test(`mistakes have file, line and field: ${JSON.stringify(content).slice(0, 60)}`, () => {
    assert.match(mistakes(content), expected);
  });
}

test('anchors are read as what they stand for, and an empty file is an empty mesh', () => {
  const { addresses } = parseLocalMesh(
    'workloads:\n- &w {uid: a, namespace: n, workloadIps: [], services: {}}\n- *w\n',
    'm.yaml',
    'td',
  );
  assert.equal(addresses!.length, 2);
  assert.deepEqual(parseLocalMesh('', 'm.yaml', 'td'), { addresses: [], policies: [] });
});

test('a file that is not there is named', () => {
  const source = { kind: 'file', path: '/nonexistent/m.yaml' } as const;
  assert.throws(() => readLocalMesh(source, 'td'), /LOCAL_XDS_PATH: ENOENT.*\/nonexistent\/m.yaml/);
});

test('any text is a mesh or mistakes, never another exception', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), fc.string({ unit: 'binary' })), (text) => void mistakes(text)),
  );
  const piece = fc.constantFrom(...whole.split('\n'));
  fc.assert(fc.property(fc.array(piece, { maxLength: 12 }), (lines) => void mistakes(lines.join('\n'))));
});
