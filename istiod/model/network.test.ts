import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveOutbound } from '../../common/mesh/outbound.ts';
import { MeshStore } from '../../common/mesh/store.ts';
import { ip, port, workload } from '../../common/testing/builders.ts';
import type { MeshSettings } from './settings.ts';
import { TestMesh } from './testing/test-mesh.ts';

interface GatewayOptions {
  readonly name?: string;
  readonly className?: string;
  readonly network?: string;
  readonly annotations?: string;
  readonly spec?: string;
  readonly status?: string;
  readonly protocol?: string;
}

const gateway = (o: GatewayOptions) => `
kind: Gateway
metadata:
  name: ${o.name ?? 'ew'}
  namespace: istio-system
  labels: {${o.network === '' ? '' : `topology.istio.io/network: ${o.network ?? 'net-2'}`}}
  annotations: {${o.annotations ?? ''}}
spec:
  gatewayClassName: ${o.className ?? 'istio-remote'}
  listeners: [{name: cross-network, port: 15008, protocol: ${o.protocol ?? 'HBONE'}}]
  ${o.spec ? `addresses: [${o.spec}]` : ''}
${o.status ? `status: {addresses: [${o.status}]}` : ''}
`;
const at = '{type: IPAddress, value: 192.0.2.9}';
const far = (name: string, account = 'web', more = '') => `
kind: Pod
metadata: {name: ${name}, labels: {app: web, topology.istio.io/network: net-2}}
spec: {containers: [], serviceAccountName: ${account}}
status: {phase: Running, podIPs: [{ip: 10.0.0.${name.length}}], conditions: [{type: Ready, status: "True"}]${more}}
`;
const way = (...gateways: string[]) =>
  new TestMesh([far('far'), ...gateways].join('\n---\n')).workload('far')?.networkGateway;
const byIp = { destination: { kind: 'address', network: 'net-2', ip: '192.0.2.9' }, hboneMtlsPort: 15_008 };

test('which Gateway leads to a network', () => {
  assert.deepEqual(way(gateway({ spec: at })), byIp);
  assert.deepEqual(way(gateway({ className: 'istio-east-west', status: '{value: 192.0.2.9}' })), byIp);
  const present = way(gateway({ spec: at, status: '{value: 192.0.2.10}' }));
  assert.deepEqual(present?.destination, { kind: 'address', network: 'net-2', ip: '192.0.2.10' });
  assert.deepEqual(way(gateway({ spec: '{type: Hostname, value: ew.example}' })), {
    destination: { kind: 'hostname', namespace: 'istio-system', hostname: 'ew.example' },
    hboneMtlsPort: 15_008,
  });
  assert.deepEqual(way(gateway({ name: 'b', spec: '{value: 192.0.2.1}' }), gateway({ name: 'a', spec: at })), byIp);
  for (const none of [
    gateway({}),
    gateway({ spec: at, network: 'net-3' }),
    gateway({ spec: at, network: '' }),
    gateway({ spec: at, className: 'istio-waypoint' }),
    gateway({ spec: at, protocol: 'TLS' }),
    gateway({ spec: '{type: NamedAddress, value: x}' }),
    gateway({ spec: '{value: nonsense}' }),
  ]) {
    assert.equal(way(none), undefined, none);
  }
});

test("the gateway of the cluster's own network leads in, not out", () => {
  const mesh = new TestMesh(`${far('far')}\n---\n${gateway({ spec: at })}`);
  assert.ok(mesh.workload('far')?.networkGateway);
  mesh.apply('{kind: Namespace, metadata: {name: istio-system, labels: {topology.istio.io/network: net-2}}}');
  assert.deepEqual([...mesh.index.addresses.keys()], ['c//Pod/shop/far']);
  assert.equal(mesh.workload('far')?.networkGateway, undefined);
});

test('a gateway is announced with the identity that it has to prove', () => {
  const annotations = 'gateway.istio.io/service-account: ew-sa, gateway.istio.io/trust-domain: far';
  const mesh = new TestMesh(gateway({ spec: at, annotations }));
  const uid = 'NetworkGateway/net-2/192.0.2.9/15008';
  const found = mesh.workload(uid)!;
  assert.deepEqual(
    [found.trustDomain, found.namespace, found.serviceAccount, found.network, found.tunnelProtocol],
    ['far', 'istio-system', 'ew-sa', 'net-2', 'HBONE'],
  );
  mesh.apply(gateway({ spec: at }));
  assert.equal(mesh.workload(uid)!.serviceAccount, 'ew-istio-remote');
  // Two Gateways with one address are one destination, as long as one of them is there.
  mesh.apply(gateway({ name: 'a', spec: at }));
  mesh.remove('Gateway', 'istio-system/ew');
  assert.equal(mesh.workload(uid)!.name, 'a');
});

const web = (labels = '') =>
  `{kind: Service, metadata: {name: web, labels: {${labels}}}, spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80}]}}`;

function route(mesh: TestMesh) {
  const store = new MeshStore();
  const names = [...mesh.index.addresses.keys()];
  store.apply({ addresses: names.map((n) => (n.startsWith('shop/') ? mesh.service(n)! : mesh.workload(n)!)) });
  return resolveOutbound(store, {
    source: workload({ addresses: [ip('10.0.0.9')] }),
    target: { ip: ip('10.96.0.1'), port: port(80) },
    network: '',
    compat: new Set(),
    random: () => 0,
  });
}

test('a Service with pods on another network: double HBONE through the gateway, and nothing before that is known', () => {
  const mesh = new TestMesh(web());
  const change = mesh.apply(far('far'));
  assert.ok(change!.addresses.has('shop/web.shop.svc.cluster.local'), 'the service names who may answer there');
  const before = route(mesh);
  assert.match(before.kind === 'refused' ? before.reason : '', /on network "net-2" and has no gateway/);

  const names = [...mesh.apply(gateway({ spec: at }))!.addresses].sort();
  assert.deepEqual(names, ['NetworkGateway/net-2/192.0.2.9/15008', 'c//Pod/shop/far']);
  const through = route(mesh);
  assert.ok(through.kind === 'gateway');
  assert.deepEqual(through.dial, { ip: '192.0.2.9', port: 15_008 });
  assert.equal(through.authority, 'web.shop.svc.cluster.local:80');
  const accounts = (ids: readonly { readonly serviceAccount: string }[]) => ids.map((i) => i.serviceAccount);
  assert.deepEqual([accounts(through.behind), accounts(through.expected)], [['web'], ['ew-istio-remote']]);

  mesh.remove('Gateway', 'istio-system/ew');
  mesh.remove('Pod', 'shop/far');
  assert.deepEqual([...mesh.index.addresses.keys()], ['shop/web.shop.svc.cluster.local']);
  assert.deepEqual(mesh.service('web')?.subjectAltNames, []);
});

test('with split horizons all pods of a global Service in another network are one endpoint behind its gateway', () => {
  const settings: Partial<MeshSettings> = { multiNetwork: true };
  const mesh = new TestMesh([web('istio.io/global: "true"'), far('a'), far('bb', 'other')].join('\n---\n'), settings);
  assert.deepEqual([...mesh.index.addresses.keys()], ['shop/web.shop.svc.cluster.local'], 'nothing leads there yet');
  mesh.apply(gateway({ spec: at }));
  const uid = 'net-2/SplitHorizonWorkload/istio-system/ew/192.0.2.9/shop/web.shop.svc.cluster.local';
  const found = mesh.workload(uid)!;
  assert.deepEqual(
    [found.capacity, found.addresses, found.network, found.tunnelProtocol, found.networkGateway],
    [2, [], 'net-2', 'HBONE', byIp],
  );
  assert.deepEqual([...found.services], [['shop/web.shop.svc.cluster.local', [{ servicePort: 80, targetPort: 80 }]]]);
  assert.deepEqual(mesh.service('web')?.subjectAltNames, [
    'spiffe://cluster.local/ns/shop/sa/other',
    'spiffe://cluster.local/ns/shop/sa/web',
  ]);
  const through = route(mesh);
  assert.deepEqual(through.kind === 'gateway' && through.dial, { ip: '192.0.2.9', port: 15_008 });
  mesh.remove('Pod', 'shop/a');
  assert.equal(mesh.workload(uid)!.capacity, 1);
  mesh.apply(web());
  assert.equal(mesh.workload(uid), undefined, 'of its own network alone');
  mesh.apply(web('istio.io/global: "true"'));
  assert.ok(mesh.workload(uid));
  mesh.remove('Gateway', 'istio-system/ew');
  assert.deepEqual([...mesh.index.addresses.keys()], ['shop/web.shop.svc.cluster.local']);
});

const scopes: readonly [string, MeshSettings['serviceScopes'], string, string, boolean][] = [
  ['none', [], 'istio.io/global: "true"', '', false],
  [
    'by label of the Service',
    [{ namespaces: undefined, services: { matchLabels: { g: 'y' } }, scope: 'GLOBAL' }],
    'g: "y"',
    '',
    true,
  ],
  [
    'by label of the namespace',
    [{ namespaces: { matchLabels: { g: 'y' } }, services: undefined, scope: 'GLOBAL' }],
    '',
    'g: "y"',
    true,
  ],
  [
    'by both, of which one is missing',
    [{ namespaces: { matchLabels: { g: 'y' } }, services: { matchLabels: { g: 'y' } }, scope: 'GLOBAL' }],
    'g: "y"',
    '',
    false,
  ],
  ['local', [{ namespaces: undefined, services: undefined, scope: 'LOCAL' }], 'g: "y"', '', false],
];
for (const [name, serviceScopes, labels, ofNamespace, expected] of scopes) {
  test(`which Services other networks may reach: ${name}`, () => {
    const mesh = new TestMesh(`{kind: Namespace, metadata: {name: shop, labels: {${ofNamespace}}}}`, {
      multiNetwork: true,
      serviceScopes,
    });
    mesh.apply([web(labels), far('a'), gateway({ spec: at })].join('\n---\n'));
    assert.equal(
      [...mesh.index.addresses.keys()].some((k) => k.includes('SplitHorizon')),
      expected,
    );
  });
}
