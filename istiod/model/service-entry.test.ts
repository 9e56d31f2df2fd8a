import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service } from '../../common/mesh/types.ts';
import type { MeshSettings } from './settings.ts';
import { TestMesh } from './testing/test-mesh.ts';

const entry = (spec: string, metadata = '') =>
  `{kind: ServiceEntry, metadata: {name: se${metadata && `, ${metadata}`}}, spec: {${spec}}}`;
const ports = 'ports: [{name: http, number: 80, protocol: HTTP}]';
const dns = `hosts: [a.example.com], resolution: DNS, ${ports}`;
const network = (ip: string, length?: number) => [{ network: '', ip: ip as never, ...(length && { length }) }];
const given =
  'status: {addresses: [{host: a.example.com, value: 240.240.0.5}, {host: a.example.com, value: "2001:2::5"}, {host: b.example.com, value: 240.240.0.6}]}';
const withStatus = (spec: string, metadata = '') => entry(spec, metadata).replace(/\}$/, `, ${given}}`);

const rows: readonly [string, string, Partial<Service>, Partial<MeshSettings>?][] = [
  [
    'by DNS',
    entry(dns),
    {
      name: 'se',
      hostname: 'a.example.com',
      addresses: [],
      ports: [{ servicePort: 80, targetPort: 80, appProtocol: 'HTTP11' }],
      canonical: true,
      visibility: 'PUBLIC',
    },
  ],
  ['with an address', entry(`${dns}, addresses: [192.0.2.5]`), { addresses: network('192.0.2.5') }],
  [
    'with a CIDR',
    entry(`hosts: [a.example.com], addresses: [10.1.2.3/16], ${ports}`),
    { addresses: network('10.1.0.0', 16) },
  ],
  [
    'with a CIDR of one address',
    entry(`hosts: [a.example.com], addresses: [10.1.2.3/32], ${ports}`),
    { addresses: network('10.1.2.3') },
  ],
  [
    'without resolution connections go where the client wanted',
    entry(`hosts: [a.example.com], ${ports}`),
    { loadBalancing: { routingPreference: [], mode: 'PASSTHROUGH', healthPolicy: 'ALLOW_ALL' } },
  ],
  [
    'a target port, and UDP left out',
    entry(
      `hosts: [a.example.com], resolution: DNS, ports: [{name: a, number: 443, targetPort: 8443, protocol: TLS}, {name: u, number: 53, protocol: UDP}]`,
    ),
    { ports: [{ servicePort: 443, targetPort: 8443, appProtocol: 'TLS' }] },
  ],
  [
    'names of its certificate',
    entry(`${dns}, subjectAltNames: [spiffe://x/ns/y/sa/z]`),
    { subjectAltNames: ['spiffe://x/ns/y/sa/z'] },
  ],
  ['given addresses', withStatus(dns), { addresses: [...network('240.240.0.5'), ...network('2001:2::5')] }],
  [
    'its own address beats given ones',
    withStatus(`${dns}, addresses: [192.0.2.5]`),
    { addresses: network('192.0.2.5') },
  ],
  ['no given address without resolution', withStatus(`hosts: [a.example.com], ${ports}`), { addresses: [] }],
  [
    'no given address where it does not want any',
    withStatus(dns, 'labels: {networking.istio.io/enable-autoallocate-ip: "false"}'),
    { addresses: [] },
  ],
  [
    'close by its annotation',
    entry(dns, 'annotations: {networking.istio.io/traffic-distribution: PreferSameZone}'),
    {
      loadBalancing: {
        routingPreference: ['NETWORK', 'REGION', 'ZONE'],
        mode: 'FAILOVER',
        healthPolicy: 'ONLY_HEALTHY',
      },
    },
  ],
  ['for its namespace', entry(`${dns}, exportTo: ["."]`), { visibility: 'NAMESPACE', canonical: false }],
  ['for its namespace by name', entry(`${dns}, exportTo: [shop]`), { visibility: 'NAMESPACE' }],
];
for (const [name, yaml, expected, settings] of rows) {
  test(`ServiceEntry: ${name}`, () => {
    const found = new TestMesh(yaml, settings).service('shop/a.example.com');
    for (const [field, value] of Object.entries(expected))
      assert.deepEqual(found?.[field as keyof Service], value, field);
  });
}

test('each host is a service; names without endpoints are looked up themselves', () => {
  const mesh = new TestMesh(entry(`hosts: [a.example.com, b.example.com, a.example.com], resolution: DNS, ${ports}`));
  assert.deepEqual([...mesh.index.addresses.keys()].sort(), [
    'c/networking.istio.io/ServiceEntry/shop/se/a.example.com',
    'c/networking.istio.io/ServiceEntry/shop/se/b.example.com',
    'shop/a.example.com',
    'shop/b.example.com',
  ]);
  const a = mesh.workload('c/networking.istio.io/ServiceEntry/shop/se/a.example.com')!;
  assert.deepEqual([a.hostname, a.addresses, a.status, a.canonicalName], ['a.example.com', [], 'HEALTHY', 'se']);
  assert.deepEqual([...a.services], [['shop/a.example.com', [{ servicePort: 80, targetPort: 80 }]]]);
});

test('endpoints as written: addresses, names, ports, weights, networks, localities, accounts', () => {
  const mesh = new TestMesh(
    entry(
      `hosts: [a.example.com, b.example.com], resolution: STATIC, location: MESH_INTERNAL, ${ports}, endpoints: [
        {address: 192.0.2.1, ports: {http: 8080}, weight: 7, locality: r/z/s, serviceAccount: db, network: far},
        {address: host.example.com},
        {address: 192.0.2.1, weight: 9},
        {address: "unix:///run/x.sock"}]`,
      'labels: {app: db, networking.istio.io/tunnel: http}',
    ),
  );
  const of = (address: string) => mesh.workload(`c/networking.istio.io/ServiceEntry/shop/se/${address}`);
  const one = of('192.0.2.1')!;
  assert.deepEqual(
    one.services.get('shop/b.example.com'),
    [{ servicePort: 80, targetPort: 80 }],
    'of two with one address the last counts',
  );
  assert.deepEqual([one.capacity, one.tunnelProtocol, one.canonicalName], [9, 'HBONE', 'db']);
  assert.equal(of('host.example.com')!.hostname, 'host.example.com');
  assert.equal(of('unix:///run/x.sock'), undefined);
  mesh.apply(
    entry(
      `hosts: [a.example.com], resolution: STATIC, ${ports}, endpoints: [{address: 192.0.2.1, ports: {http: 8080}, weight: 7, locality: r/z/s, serviceAccount: db, network: far}]`,
    ),
  );
  const far = of('192.0.2.1')!;
  assert.deepEqual([...far.services], [['shop/a.example.com', [{ servicePort: 80, targetPort: 8080 }]]]);
  assert.deepEqual(
    [far.capacity, far.locality, far.serviceAccount, far.network, far.tunnelProtocol],
    [7, { region: 'r', zone: 'z', subzone: 's' }, 'db', 'far', 'NONE'],
  );
  assert.equal(of('host.example.com'), undefined);
  // Double HBONE ends at whoever is behind the gateway.
  assert.deepEqual(mesh.service('shop/a.example.com')?.subjectAltNames, ['spiffe://cluster.local/ns/shop/sa/db']);
  mesh.remove('ServiceEntry', 'shop/se');
  assert.equal(mesh.index.addresses.size, 0);
});

test('a selector means pods and WorkloadEntries; ports go by the names that they give them', () => {
  const mesh = new TestMesh(`
${entry(`hosts: [a.example.com], resolution: STATIC, ${ports}, workloadSelector: {labels: {app: db}}`)}
---
kind: Pod
metadata: {name: a, labels: {app: db}}
spec: {containers: [{name: c, ports: [{name: http, containerPort: 9090}]}]}
status: {podIP: 10.0.0.1}
---
kind: WorkloadEntry
metadata: {name: vm, labels: {app: db}, annotations: {ambient.istio.io/redirection: enabled}}
spec: {address: 192.0.2.7, ports: {http: 7070}, labels: {app: other, version: v9}, serviceAccount: vm, locality: r/z, weight: 3}
---
kind: WorkloadEntry
metadata: {name: other}
spec: {address: vm.example.com, labels: {app: db}}
`);
  const at = (name: string) => mesh.workload(name)?.services.get('shop/a.example.com')?.[0]?.targetPort;
  assert.equal(at('a'), 9090);
  const vm = 'c/networking.istio.io/WorkloadEntry/shop/vm';
  assert.deepEqual([at(vm), at('c/networking.istio.io/WorkloadEntry/shop/other')], [7070, 80]);
  const found = mesh.workload(vm)!;
  assert.deepEqual(
    [
      found.tunnelProtocol,
      found.serviceAccount,
      found.capacity,
      found.canonicalName,
      found.canonicalRevision,
      found.workloadName,
    ],
    ['HBONE', 'vm', 3, 'db', 'v9', 'vm'],
  );
  assert.equal(mesh.workload('c/networking.istio.io/WorkloadEntry/shop/other')?.hostname, 'vm.example.com');
  mesh.apply('{kind: WorkloadEntry, metadata: {name: vm}, spec: {address: 192.0.2.7}}');
  assert.deepEqual([...mesh.workload(vm)!.services], []);
});

test('a Service selects WorkloadEntries; a named target has to be among their ports', () => {
  const mesh = new TestMesh(`
{kind: Service, metadata: {name: web}, spec: {selector: {app: vm}, ports: [{name: a, port: 80, targetPort: web}, {name: b, port: 81, targetPort: none}, {name: c, port: 82}, {name: d, port: 83, targetPort: 9}]}}
---
{kind: WorkloadEntry, metadata: {name: vm}, spec: {address: 192.0.2.7, labels: {app: vm}, ports: {web: 8080, c: 8282}}}
`);
  assert.deepEqual(
    mesh.workload('c/networking.istio.io/WorkloadEntry/shop/vm')?.services.get('shop/web.shop.svc.cluster.local'),
    [
      { servicePort: 80, targetPort: 8080 },
      { servicePort: 82, targetPort: 8282 },
      { servicePort: 83, targetPort: 9 },
    ],
  );
});

test('of one host name in a namespace a Service counts, else the oldest; of all namespaces the oldest open one is canonical', () => {
  const at = (name: string, created: number, more = '') =>
    `{kind: ServiceEntry, metadata: {name: ${name}, creationTimestamp: "2026-01-0${created}T00:00:00Z"${more}}, spec: {hosts: [web.shop.svc.cluster.local], resolution: DNS, ${ports}}}`;
  const mesh = new TestMesh([at('new', 3), at('old', 2), at('far', 1, ', namespace: other')].join('\n---\n'));
  const key = 'shop/web.shop.svc.cluster.local';
  assert.deepEqual([mesh.service(key)?.name, mesh.service(key)?.canonical], ['old', false]);
  assert.equal(mesh.service('other/web.shop.svc.cluster.local')?.canonical, true);
  // One that lost has no endpoints either.
  assert.equal(mesh.workload('c/networking.istio.io/ServiceEntry/shop/new/web.shop.svc.cluster.local'), undefined);

  mesh.apply('{kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}}');
  assert.deepEqual([mesh.service(key)?.name, mesh.service(key)?.canonical], ['web', true]);
  assert.equal(mesh.service('other/web.shop.svc.cluster.local')?.canonical, false);
  mesh.remove('Service', 'shop/web');
  mesh.remove('ServiceEntry', 'other/far');
  assert.deepEqual([mesh.service(key)?.name, mesh.service(key)?.canonical], ['old', true]);
  mesh.remove('ServiceEntry', 'shop/old');
  assert.equal(mesh.service(key)?.name, 'new');
  assert.ok(mesh.workload('c/networking.istio.io/ServiceEntry/shop/new/web.shop.svc.cluster.local'));
});

test("who sees it: its own exportTo and the mesh's rules, the narrower of both; a condition says so", () => {
  const rule = (visibility: 'PUBLIC' | 'NAMESPACE' | 'NONE', team: string) => ({
    visibility,
    namespaces: [{ matchLabels: { team } }],
  });
  const settings: Partial<MeshSettings> = {
    serviceEntryVisibility: { fallback: 'NAMESPACE', policies: [rule('PUBLIC', 'open'), rule('NONE', 'closed')] },
  };
  const see = (team: string, exportTo = '') => {
    const mesh = new TestMesh(`{kind: Namespace, metadata: {name: shop, labels: {team: ${team}}}}`, settings);
    mesh.apply(entry(`${dns}${exportTo}`));
    const condition = mesh.conditions('ServiceEntry', 'se')['istio.io/VisibilityApplied'];
    return [mesh.service('shop/a.example.com')?.visibility, condition];
  };
  assert.deepEqual(see('open'), ['PUBLIC', 'True Public']);
  assert.deepEqual(see('closed'), [undefined, 'True None']);
  assert.deepEqual(see('other'), ['NAMESPACE', 'True Namespace']);
  assert.deepEqual(see('open', ', exportTo: ["."]'), ['NAMESPACE', 'True Namespace']);
  assert.deepEqual(see('open', ', exportTo: [elsewhere]'), [undefined, 'True Namespaces']);
  assert.deepEqual(see('other', ', exportTo: [elsewhere]'), [undefined, 'True None']);
  const silent = new TestMesh(entry(dns));
  assert.equal(silent.conditions('ServiceEntry', 'se')['istio.io/VisibilityApplied'], undefined);
});

test('for some namespaces it is a service of each of them, with the same endpoints; what such a namespace has itself comes first', () => {
  const mesh = new TestMesh(entry(`${dns}, exportTo: [".", a, b, "~"], endpoints: [{address: 192.0.2.1}]`));
  for (const namespace of ['shop', 'a', 'b']) {
    const seen = mesh.service(`${namespace}/a.example.com`);
    assert.deepEqual([seen?.namespace, seen?.visibility, seen?.name], [namespace, 'NAMESPACE', 'se']);
  }
  const of = () => [...mesh.workload('c/networking.istio.io/ServiceEntry/shop/se/192.0.2.1')!.services.keys()];
  assert.deepEqual(of(), ['a/a.example.com', 'b/a.example.com', 'shop/a.example.com']);
  mesh.apply(`{kind: ServiceEntry, metadata: {name: own, namespace: a}, spec: {${dns}}}`);
  assert.equal(mesh.service('a/a.example.com')?.name, 'own');
  // Of the same name, too.
  mesh.apply(`{kind: ServiceEntry, metadata: {name: se, namespace: b}, spec: {${dns}}}`);
  assert.deepEqual(of(), ['shop/a.example.com']);
  mesh.remove('ServiceEntry', 'b/se');
  assert.deepEqual(of(), ['b/a.example.com', 'shop/a.example.com']);
  mesh.apply(entry(`${dns}, exportTo: [b], endpoints: [{address: 192.0.2.1}]`));
  assert.equal(mesh.service('shop/a.example.com'), undefined);
  assert.deepEqual(of(), ['b/a.example.com']);
});

test('a waypoint: bound, missing where one is needed, and never one of another namespace for what is for its own alone', () => {
  const gateway = `
kind: Gateway
metadata: {name: wp, namespace: infra}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE, allowedRoutes: {namespaces: {from: All}}}]}
status: {addresses: [{type: Hostname, value: wp.infra.svc.cluster.local}]}`;
  const labels = 'labels: {istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: infra}';
  const mesh = new TestMesh(gateway);
  mesh.apply(entry(dns, labels));
  assert.ok(mesh.service('shop/a.example.com')?.waypoint);
  assert.deepEqual(mesh.conditions('ServiceEntry', 'se'), { 'istio.io/WaypointBound': 'True WaypointAccepted' });
  mesh.apply(entry(`${dns}, exportTo: ["."]`, labels));
  assert.equal(mesh.service('shop/a.example.com')?.waypoint, undefined);
  assert.equal(
    mesh.conditions('ServiceEntry', 'se')['istio.io/WaypointBound'],
    'False CrossNamespaceWaypointForbidden',
  );
  mesh.apply(entry(`hosts: ["*.example.com"], resolution: DYNAMIC_DNS, ${ports}`));
  assert.deepEqual(mesh.conditions('ServiceEntry', 'se'), {
    'istio.io/WaypointMissing': 'True NoWaypointForWildcardService',
  });
  mesh.apply(entry(`hosts: ["*.example.com"], resolution: DYNAMIC_DNS, ${ports}`, labels));
  assert.deepEqual(mesh.conditions('ServiceEntry', 'se'), { 'istio.io/WaypointBound': 'True WaypointAccepted' });
  mesh.apply(entry(dns, 'annotations: {istio.io/connect-strategy: RACE_FIRST_TCP_CONNECT}'));
  assert.deepEqual(mesh.conditions('ServiceEntry', 'se'), {
    'istio.io/WaypointMissing': 'True NoWaypointForRacingConnectStrategy',
  });
  mesh.apply(
    '{kind: WorkloadEntry, metadata: {name: vm, labels: {istio.io/use-waypoint: wp}}, spec: {address: 192.0.2.7}}',
  );
  assert.deepEqual(mesh.conditions('WorkloadEntry', 'vm'), { 'istio.io/WaypointBound': 'False WaypointIsNotReady' });
});

test('a WorkloadEntry with a DNS name says that waypoints leave it out, where they would', () => {
  const gateway = `
kind: Gateway
metadata: {name: wp}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
status: {addresses: [{type: Hostname, value: wp.shop.svc.cluster.local}]}`;
  const web = (waypoint: string) =>
    `{kind: Service, metadata: {name: web, labels: {${waypoint}}}, spec: {clusterIP: 10.96.0.1, selector: {app: vm}, ports: [{port: 80}]}}`;
  const vm = (address: string) => `{kind: WorkloadEntry, metadata: {name: vm}, spec: {${address} labels: {app: vm}}}`;
  const byName = 'address: vm.example,';
  const wp = 'istio.io/use-waypoint: wp';
  const mesh = new TestMesh([gateway, web(wp), vm(byName)].join('\n---\n'));
  const said = () => mesh.conditions('WorkloadEntry', 'vm')['WaypointAccepted'];
  assert.equal(said(), 'False AddressIsName');
  const { message } = mesh.index
    .conditions({ kind: 'WorkloadEntry', namespace: 'shop', name: 'vm' })!
    .get('WaypointAccepted')!;
  assert.match(message, /vm\.example.*waypoint shop\/wp.*shop\/web\.shop\.svc\.cluster\.local/);
  mesh.apply(web(''));
  assert.equal(said(), undefined, 'node proxies resolve it');
  mesh.apply(web(wp));
  assert.equal(said(), 'False AddressIsName');
  for (const fine of ['address: 192.0.2.7,', 'address: "unix:///run/x",', 'network: net-2,', '']) {
    mesh.apply(vm(fine));
    assert.equal(said(), undefined, fine);
  }
  mesh.remove('Service', 'shop/web');
  mesh.apply(vm(byName));
  for (const [generation, resolution, expected] of [
    [1, 'DNS', undefined],
    [2, 'STATIC', 'False AddressIsName'],
    [3, 'NONE', undefined],
  ] as const) {
    const selecting = `hosts: [a.example.com], resolution: ${resolution}, workloadSelector: {labels: {app: vm}}, ${ports}`;
    mesh.apply(entry(selecting, `generation: ${generation}, labels: {${wp}}`));
    assert.equal(said(), expected, resolution);
  }
});
