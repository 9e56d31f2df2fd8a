import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service } from '../../common/mesh/types.ts';
import type { MeshSettings } from './settings.ts';
import { TestMesh } from './testing/test-mesh.ts';

const service = (spec: string, metadata = '') =>
  `{kind: Service, metadata: {name: web${metadata && `, ${metadata}`}}, spec: {${spec}}}`;
const namespace = (annotations: string) => `{kind: Namespace, metadata: {name: shop, ${annotations}}}`;
const plain = 'clusterIP: 10.96.0.1, ports: [{port: 80}]';
const close = {
  routingPreference: ['NETWORK', 'REGION', 'ZONE'],
  mode: 'FAILOVER',
  healthPolicy: 'ONLY_HEALTHY',
} as const;
const sameNode = { ...close, routingPreference: ['NETWORK', 'REGION', 'ZONE', 'SUBZONE', 'NODE'] } as const;
const distribution = (value: string) => `annotations: {networking.istio.io/traffic-distribution: ${value}}`;

const rows: readonly [string, string, Partial<Service> | undefined, Partial<MeshSettings>?][] = [
  [
    'a plain one',
    service(plain),
    {
      hostname: 'web.shop.svc.cluster.local',
      addresses: [{ network: '', ip: '10.96.0.1' as never }],
      ports: [{ servicePort: 80, targetPort: 80 }],
      canonical: true,
      visibility: 'PUBLIC',
      ipFamilies: 'AUTOMATIC',
      weightedWaypoints: [],
      subjectAltNames: [],
    },
  ],
  [
    'cluster IPs of both families',
    service('clusterIPs: [10.96.0.1, "fd00::96"], ipFamilies: [IPv4, IPv6], ports: [{port: 80}]'),
    {
      addresses: [
        { network: '', ip: '10.96.0.1' as never },
        { network: '', ip: 'fd00::96' as never },
      ],
      ipFamilies: 'DUAL',
    },
  ],
  ['IPv4 alone', service(`${plain}, ipFamilies: [IPv4]`), { ipFamilies: 'IPV4_ONLY' }],
  ['IPv6 alone', service('clusterIP: "fd00::96", ipFamilies: [IPv6]'), { ipFamilies: 'IPV6_ONLY', ports: [] }],
  ['headless', service('clusterIP: None, clusterIPs: [None], ports: [{port: 80}]'), { addresses: [] }],
  [
    'of type LoadBalancer',
    service(`type: LoadBalancer, ${plain}`),
    { addresses: [{ network: '', ip: '10.96.0.1' as never }] },
  ],
  ['ExternalName', service('type: ExternalName, externalName: x.y'), undefined],
  [
    'its network',
    `${service(plain)}\n---\n{kind: Namespace, metadata: {name: istio-system, labels: {topology.istio.io/network: here}}}`,
    { addresses: [{ network: 'here', ip: '10.96.0.1' as never }] },
  ],
  [
    'named ports and what they speak',
    service(
      'ports: [{name: http-web, port: 80, targetPort: web}, {name: x, appProtocol: kubernetes.io/h2c, port: 81}, {name: grpc, port: 82}, {name: db, port: 3306}, {name: https, port: 443}, {name: grpc-web-x, port: 444}]',
    ),
    {
      ports: [
        { servicePort: 80, targetPort: 0, appProtocol: 'HTTP11' },
        { servicePort: 81, targetPort: 81, appProtocol: 'HTTP2' },
        { servicePort: 82, targetPort: 82, appProtocol: 'GRPC' },
        { servicePort: 3306, targetPort: 3306, appProtocol: 'TCP' },
        { servicePort: 443, targetPort: 443, appProtocol: 'TLS' },
        // The workload API does not know gRPC-Web.
        { servicePort: 444, targetPort: 444 },
      ],
    },
  ],
  [
    'not ready too',
    service(`${plain}, publishNotReadyAddresses: true`),
    { loadBalancing: { routingPreference: [], mode: 'UNSPECIFIED_MODE', healthPolicy: 'ALLOW_ALL' } },
  ],
  [
    'on the same node or not at all',
    service(`${plain}, internalTrafficPolicy: Local, trafficDistribution: PreferClose`),
    { loadBalancing: { routingPreference: ['NODE'], mode: 'STRICT', healthPolicy: 'ONLY_HEALTHY' } },
  ],
  ['close by its spec', service(`${plain}, trafficDistribution: PreferClose`), { loadBalancing: close }],
  ['close by its annotation, in any case', service(plain, distribution('PREFERSAMEZONE')), { loadBalancing: close }],
  [
    'close by its namespace',
    `${service(plain)}\n---\n${namespace(distribution('PreferClose'))}`,
    { loadBalancing: close },
  ],
  [
    'its annotation beats that of its namespace',
    `${service(plain, distribution('PreferSameNode'))}\n---\n${namespace(distribution('PreferClose'))}`,
    { loadBalancing: sameNode },
  ],
  [
    'its annotation beats that of its namespace also with nonsense',
    `${service(plain, distribution('Any'))}\n---\n${namespace(distribution('PreferClose'))}`,
    { loadBalancing: undefined as never },
  ],
  [
    'exported to its namespace',
    service(plain, 'annotations: {networking.istio.io/exportTo: "."}'),
    { visibility: 'NAMESPACE' },
  ],
  ['exported to nobody', service(plain, 'annotations: {networking.istio.io/exportTo: "~"}'), undefined],
  ['exported to its namespace by default', service(plain), { visibility: 'NAMESPACE' }, { exportTo: ['.'] }],
  [
    'exported to all where the default is narrower',
    service(plain, 'annotations: {networking.istio.io/exportTo: "*"}'),
    { visibility: 'PUBLIC' },
    { exportTo: ['.'] },
  ],
];
for (const [name, yaml, expected, settings] of rows) {
  test(`Service: ${name}`, () => {
    const found = new TestMesh(yaml, settings).service('web');
    if (expected === undefined) assert.equal(found, undefined);
    else
      for (const [field, value] of Object.entries(expected))
        assert.deepEqual(found?.[field as keyof Service], value, field);
  });
}

const gateway = `
kind: Gateway
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: wp}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
status: {addresses: [{type: Hostname, value: wp.shop.svc.cluster.local}]}
`;

test('gateways at the edge use the waypoint where the Service or its namespace says so', () => {
  const uses = (service: string, ofNamespace = '{}') => {
    const mesh = new TestMesh(`${gateway}\n---\n{kind: Namespace, metadata: {name: shop, labels: ${ofNamespace}}}`);
    mesh.apply(`{kind: Service, metadata: {name: web, labels: ${service}}, spec: {ports: [{port: 80}]}}`);
    return mesh.service('web')?.ingressUseWaypoint ?? false;
  };
  const label = (value: string) => `{istio.io/use-waypoint: wp, istio.io/ingress-use-waypoint: "${value}"}`;
  assert.deepEqual(
    [
      uses(label('true')),
      uses(label('false')),
      uses(label('maybe')),
      uses('{istio.io/use-waypoint: wp}', '{istio.io/ingress-use-waypoint: "true"}'),
      uses(label('false'), '{istio.io/ingress-use-waypoint: "true"}'),
      uses('{istio.io/ingress-use-waypoint: "true"}'),
    ],
    [true, false, false, true, false, false],
  );
});

test('a Service follows its waypoint as it comes, gets an address, and goes', () => {
  const web =
    '{kind: Service, metadata: {name: web, labels: {istio.io/use-waypoint: wp}}, spec: {ports: [{port: 80}]}}';
  const mesh = new TestMesh(web);
  assert.equal(mesh.conditions('Service', 'web')['istio.io/WaypointBound'], 'False WaypointIsNotReady');
  assert.ok(mesh.service('web')?.waypoint, 'named, so refused');
  mesh.apply(gateway);
  assert.equal(mesh.conditions('Service', 'web')['istio.io/WaypointBound'], 'True WaypointAccepted');
  assert.deepEqual(mesh.inputsOf('shop/web.shop.svc.cluster.local'), ['Service shop/web', 'Gateway shop/wp']);
  const same = mesh.apply(gateway);
  assert.deepEqual(
    [same?.addresses.size ?? 0, same?.authorizations.size ?? 0],
    [0, 0],
    'a new version that says the same',
  );
  mesh.apply(gateway.replace('wp.shop.svc', 'other.shop.svc'));
  const at = mesh.service('web')?.waypoint?.destination;
  assert.equal(at?.kind === 'hostname' && at.hostname, 'other.shop.svc.cluster.local');
  mesh.remove('Gateway', 'shop/wp');
  assert.equal(mesh.conditions('Service', 'web')['istio.io/WaypointBound'], 'False WaypointIsNotReady');

  const lax = new TestMesh(web, { compat: new Set(['no-waypoint']) });
  assert.equal(lax.service('web')?.waypoint, undefined, 'Istio lets it pass');
  assert.equal(lax.conditions('Service', 'web')['istio.io/WaypointBound'], 'False WaypointIsNotReady');
});

test("a GatewayClass says what its waypoints are for and how they take connections, where they don't say it themselves", () => {
  const mesh = new TestMesh(`
kind: GatewayClass
metadata:
  name: ours
  labels: {istio.io/waypoint-for: workload}
  annotations: {ambient.istio.io/waypoint-inbound-binding: PROXY/15088}
spec: {controllerName: istio.io/mesh-controller}
---
${gateway.replace('istio-waypoint', 'ours')}
---
{kind: Pod, metadata: {name: a, labels: {istio.io/use-waypoint: wp}}, spec: {containers: []}, status: {podIP: 10.0.0.1}}
---
{kind: Pod, metadata: {name: wp-1, labels: {gateway.networking.k8s.io/gateway-name: wp}}, spec: {containers: []}, status: {podIP: 10.0.0.2}}
`);
  assert.ok(mesh.workload('a')?.waypoint);
  assert.deepEqual(mesh.workload('wp-1')?.applicationTunnel, { protocol: 'PROXY', port: 15_088 });
  mesh.remove('GatewayClass', 'ours');
  assert.equal(mesh.workload('wp-1')?.applicationTunnel, undefined);
});

test('exported to some namespaces it is a service of each of them; pods and endpoints without a selector belong to all', () => {
  const annotations = 'annotations: {networking.istio.io/exportTo: "a, ., b"}';
  const mesh = new TestMesh(`${service(`${plain}, selector: {app: web}`, annotations)}
---
{kind: Pod, metadata: {name: p, labels: {app: web}}, spec: {}, status: {podIP: 10.0.0.1, phase: Running}}`);
  const host = 'web.shop.svc.cluster.local';
  const seen = ['a', 'b', 'shop'].map((n) => mesh.service(`${n}/${host}`));
  assert.deepEqual(
    seen.map((s) => [s?.namespace, s?.visibility, s?.canonical]),
    [
      ['a', 'NAMESPACE', false],
      ['b', 'NAMESPACE', false],
      ['shop', 'NAMESPACE', true],
    ],
  );
  assert.deepEqual([...mesh.workload('p')!.services.keys()], [`a/${host}`, `b/${host}`, `shop/${host}`]);
  mesh.apply(service(plain, annotations));
  mesh.apply(`
kind: EndpointSlice
metadata: {name: s, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [192.0.2.1]}, {addresses: [10.0.0.1], targetRef: {kind: Pod, name: p}}]`);
  const keys = [`a/${host}`, `b/${host}`, `shop/${host}`];
  assert.deepEqual([...mesh.workload('p')!.services.keys()], keys);
  assert.deepEqual([...mesh.workload('c/discovery.k8s.io/EndpointSlice/shop/s/192.0.2.1')!.services.keys()], keys);
});
