/** What a waypoint is served, and what of it is served again when something changes. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { ip } from '../../../common/testing/builders.ts';
import { until } from '../../../common/testing/until.ts';
import { clusterTypeUrl, endpointTypeUrl, listenerTypeUrl, routeTypeUrl } from '../../envoy/types.ts';
import { lookupOfGateway } from '../../model/gateway-names.ts';
import { EnvoyClient, startEnvoyBed, waypointNode } from '../../testing/envoy-bed.ts';
import { podYaml, waypointYaml } from '../../testing/manifests.ts';
import { TestCredentials } from '../../testing/test-credentials.ts';

const service = (name: string, ip: number, waypoint: string, port = '{name: http, port: 80, targetPort: 8080}') => `
kind: Service
metadata: {name: ${name}, labels: {istio.io/use-waypoint: ${waypoint}}}
spec: {clusterIP: 10.96.0.${ip}, selector: {app: ${name}}, ports: [${port}]}
`;
const pod = (name: string, app: string, ip: number, captured = true) =>
  podYaml({ name, app, ip: `10.244.1.${ip}`, captured });
const mesh = [
  waypointYaml(),
  waypointYaml({ name: 'other' }),
  service('web', 1, 'waypoint'),
  service('far', 2, 'other'),
  service('mixed', 3, 'waypoint', '{name: any, port: 7000}'),
  pod('web-1', 'web', 1),
  pod('web-2', 'web', 2, false),
  pod('far-1', 'far', 3),
].join('---');

const web = 'inbound-vip|80|http|web.shop.svc.cluster.local';

test('a waypoint is told of the services behind it, and of no others', async () => {
  using bed = await startEnvoyBed(mesh);
  using client = await new EnvoyClient(bed.port).settled();
  assert.deepEqual(client.names(listenerTypeUrl), ['connect_originate', 'connect_terminate', 'main_internal']);
  const mixed = (kind: string) => `inbound-vip|7000|${kind}|mixed.shop.svc.cluster.local`;
  assert.deepEqual(client.names(clusterTypeUrl), [
    'connect_originate',
    'encap',
    mixed('http'),
    mixed('tcp'),
    web,
    'main_internal',
  ]);
  assert.deepEqual(client.names(endpointTypeUrl), [mixed('http'), mixed('tcp'), web]);
  assert.deepEqual(client.names(routeTypeUrl), [mixed('http'), web]);
});

test('an endpoint that takes HBONE is behind the internal listener, any other is dialled plainly', async () => {
  using bed = await startEnvoyBed(mesh);
  using client = await new EnvoyClient(bed.port).settled();
  const { endpoints } = client.get(endpointTypeUrl, web) as unknown as {
    readonly endpoints: readonly {
      readonly lb_endpoints: readonly { readonly endpoint: { readonly address: object } }[];
    }[];
  };
  assert.deepEqual(
    endpoints[0]?.lb_endpoints.map((e) => e.endpoint.address),
    [
      { envoy_internal_address: { server_listener_name: 'connect_originate', endpoint_id: '10.244.1.1:8080' } },
      { socket_address: { address: '10.244.1.2', port_value: 8080 } },
    ],
  );
});

test('a changed endpoint is one resource, and one that is behind another waypoint is none', async () => {
  using bed = await startEnvoyBed(mesh);
  using client = await new EnvoyClient(bed.port).settled();
  const before = client.responses.length;
  bed.apply(pod('far-2', 'far', 8));
  bed.apply(pod('web-3', 'web', 9));
  await until('the endpoint', () => JSON.stringify(client.get(endpointTypeUrl, web)).includes('10.244.1.9'));
  const after = client.responses.slice(before);
  assert.deepEqual(
    after.map((r) => [r.typeUrl, r.resources.map((x) => x.name)]),
    [[endpointTypeUrl, [web]]],
  );
});

test('a changed route is one resource, and nothing else is made anew', async () => {
  using bed = await startEnvoyBed(mesh);
  using client = await new EnvoyClient(bed.port).settled();
  const route = (name: string) => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{group: "", kind: Service, name: web}]
  rules: [{filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-route, value: ${name}}]}}], backendRefs: [{name: web, port: 80}]}]
`;
  const has = (name: string) => () => JSON.stringify(client.get(routeTypeUrl, web)).includes(`"${name}"`);
  bed.apply(route('first'));
  await until('the route', has('first'));
  const before = client.responses.length;
  const made = mock.method(bed.mesh.index.envoy, 'trace');
  bed.apply(route('second'));
  await until('its change', has('second'));
  assert.deepEqual(
    client.responses.slice(before).map((r) => [r.typeUrl, r.resources.map((x) => x.name)]),
    [[routeTypeUrl, [web]]],
  );
  assert.equal(made.mock.callCount(), 1);
});

test('a name that has no answer yet is asked for again soon, and then less and less', async () => {
  using bed = await startEnvoyBed(`${mesh}---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, labels: {istio.io/use-waypoint: waypoint}}
spec: {hosts: [db.example.com], addresses: [240.0.0.1], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
`);
  using client = await new EnvoyClient(bed.port).settled();
  const cluster = client.get(clusterTypeUrl, 'inbound-vip|80|http|db.example.com');
  assert.deepEqual(cluster?.['dns_failure_refresh_rate'], {
    base_interval: { seconds: 1 },
    max_interval: { seconds: 60 },
  });
});

test('a cluster that changes comes with its endpoints again: an Envoy waits for them', async () => {
  using bed = await startEnvoyBed(mesh);
  using client = await new EnvoyClient(bed.port).settled();
  const before = client.responses.length;
  bed.apply(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec: {host: web, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
`);
  await until('the cluster and its endpoints', () => client.responses.length === before + 2);
  assert.deepEqual(
    client.responses.slice(before).map((r) => [r.typeUrl, r.resources.map((x) => x.name)]),
    [
      [clusterTypeUrl, [web]],
      [endpointTypeUrl, [web]],
    ],
  );
});

const balancer = (host: string, simple: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${host}}
spec: {host: ${host}, trafficPolicy: {loadBalancer: {simple: ${simple}}}}
`;

test('clusters that change faster than an Envoy confirms them, there and back, never leave it waiting for endpoints', async () => {
  using bed = await startEnvoyBed(mesh);
  using client = await new EnvoyClient(bed.port).settled();
  const policy = () => client.get(clusterTypeUrl, web)?.['lb_policy'];
  for (const simple of ['RANDOM', 'LEAST_REQUEST', 'RANDOM', 'LEAST_REQUEST', 'RANDOM'])
    bed.apply(balancer('web', simple));
  await until('the last one', () => policy() === 'RANDOM');
  // What comes next shows that nothing is stuck.
  bed.apply(balancer('web', 'LEAST_REQUEST'));
  await until('the next one', () => policy() === 'LEAST_REQUEST');
});

test('a cluster without endpoints that changes is told again that there are none: an Envoy waits for that word', async () => {
  using bed = await startEnvoyBed(mesh);
  using client = await new EnvoyClient(bed.port).settled();
  const subsets = (...names: readonly string[]) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec:
  host: web
  subsets: [${names.map((n) => `{name: ${n}, labels: {version: none}}`).join(', ')}]
`;
  bed.apply(subsets('a', 'b'));
  bed.apply(subsets('a'));
  bed.apply(balancer('web', 'RANDOM'));
  await until('the last one', () => client.get(clusterTypeUrl, web)?.['lb_policy'] === 'RANDOM');
  bed.apply(balancer('web', 'LEAST_REQUEST'));
  await until('the next one', () => client.get(clusterTypeUrl, web)?.['lb_policy'] === 'LEAST_REQUEST');
});

test('a service that comes brings its cluster before the listener; one that goes takes it after', async () => {
  using bed = await startEnvoyBed(mesh);
  using client = await new EnvoyClient(bed.port).settled();
  const late = 'inbound-vip|80|http|late.shop.svc.cluster.local';
  const types = (from: number) => client.responses.slice(from).map((r) => r.typeUrl);
  let before = client.responses.length;
  bed.apply(service('late', 9, 'waypoint'));
  await until('its routes', () => client.get(routeTypeUrl, late) !== undefined);
  assert.deepEqual(types(before), [clusterTypeUrl, endpointTypeUrl, listenerTypeUrl, routeTypeUrl]);
  before = client.responses.length;
  bed.remove('Service', 'shop/late');
  await until('its cluster is gone', () => client.get(clusterTypeUrl, late) === undefined);
  const order = types(before);
  assert.ok(order.indexOf(listenerTypeUrl) < order.indexOf(clusterTypeUrl), order.join());
});

test('equal proxies share what is made; another waypoint has its own', async () => {
  using bed = await startEnvoyBed(mesh);
  using a = await new EnvoyClient(bed.port).settled();
  using b = await new EnvoyClient(bed.port).settled();
  using other = await new EnvoyClient(bed.port, waypointNode('other')).settled();
  const nonces = (c: EnvoyClient) => c.responses.filter((r) => r.typeUrl === listenerTypeUrl).map((r) => r.nonce);
  bed.apply(service('late', 9, 'waypoint'));
  await until('both have it', () => [a, b].every((c) => c.names(routeTypeUrl).length === 3));
  assert.equal(nonces(a).at(-1), nonces(b).at(-1));
  assert.deepEqual(other.names(routeTypeUrl), ['inbound-vip|80|http|far.shop.svc.cluster.local']);
});

test('a waypoint that does not say which one it is gets nothing', async () => {
  using bed = await startEnvoyBed(mesh);
  using _ = new EnvoyClient(bed.port, waypointNode('waypoint', { LABELS: {} }));
  await until('it is refused', () => bed.xds.clients.size === 0);
});

const farNetwork = (address: string) => `
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: net-1}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: far, namespace: istio-system, labels: {topology.istio.io/network: net-2}}
spec: {gatewayClassName: istio-remote, listeners: [{name: hbone, port: 15008, protocol: HBONE}], addresses: [${address}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web}
spec: {address: 192.0.2.7, network: net-2, labels: {app: web}, ports: {http: 8080}}
---
${service('web', 1, 'waypoint').replace('{istio', '{istio.io/global: "true", istio')}`;
const serviceScopes = [{ namespaces: undefined, services: undefined, scope: 'GLOBAL' as const }];

test('what another network has is behind its gateway, and nowhere without split horizons', async () => {
  const far = farNetwork('{type: IPAddress, value: 192.0.2.9}');
  for (const multiNetwork of [false, true]) {
    using bed = await startEnvoyBed(`${mesh}---${far}`, { settings: { multiNetwork, serviceScopes } });
    using client = await new EnvoyClient(bed.port).settled();
    const text = JSON.stringify(client.get(endpointTypeUrl, web));
    assert.equal(text.includes('inner_connect_originate'), multiNetwork);
    assert.equal(text.includes('"web.shop.svc.cluster.local:80"'), multiNetwork);
    assert.equal(client.names(listenerTypeUrl).includes('outer_connect_originate'), multiNetwork);
    assert.ok(!text.includes('192.0.2.7'));
  }
});

test('a gateway that is known by name is an endpoint for each address of it, which share what is behind, as the name has them now', async () => {
  const credentials = new TestCredentials();
  credentials.isPending = true;
  const far = farNetwork('{type: Hostname, value: ew.example}');
  using bed = await startEnvoyBed(`${mesh}---${far}`, { settings: { multiNetwork: true, serviceScopes }, credentials });
  using client = new EnvoyClient(bed.port);
  const says = async (ips: readonly string[], expected: readonly string[]) => {
    credentials.isPending = false;
    credentials.gateways.set('ew.example', ips.map(ip));
    bed.looked(lookupOfGateway('ew.example'));
    await until(expected.join(), () => told(client, web).join() === expected.join());
  };
  // The node says that it has IPv4 alone.
  await says(
    ['192.0.2.1', '192.0.2.2', '2001:db8::1'],
    ['10.244.1.1:8080 2', '10.244.1.2 2', '192.0.2.1:15008 1', '192.0.2.2:15008 1'],
  );
  await says(['192.0.2.3'], ['10.244.1.1:8080 1', '10.244.1.2 1', '192.0.2.3:15008 1']);
  await says([], ['10.244.1.1:8080 1', '10.244.1.2 1']);
});

test('a subset has the gateways that stand for endpoints with its labels, with their weight, as labels come and go', async () => {
  const far = farNetwork('{type: IPAddress, value: 192.0.2.9}');
  const entry = (name: string, version: string, weight = 1) => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}}
spec: {address: 192.0.2.8, network: net-2, weight: ${weight}, labels: {app: web, version: ${version}}, ports: {http: 8080}}
`;
  const rule = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec: {host: web, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec: {hosts: [web], http: [{route: [{destination: {host: web, subset: v1}}]}]}
`;
  const objects = [mesh, far, rule, entry('a', 'v1', 3), entry('b', 'v1', 2), entry('c', 'v2')].join('---');
  using bed = await startEnvoyBed(objects, { settings: { multiNetwork: true, serviceScopes } });
  using client = await new EnvoyClient(bed.port).settled();
  const subset = web.replace('http|', 'http/v1|');
  assert.deepEqual(told(client, web).slice(-1), ['192.0.2.9:15008 7']);
  assert.deepEqual(told(client, subset), ['192.0.2.9:15008 5']);
  const becomes = (expected: readonly string[]) =>
    until(expected.join(), () => told(client, subset).join() === expected.join());
  bed.apply(entry('c', 'v1'));
  await becomes(['192.0.2.9:15008 6']);
  bed.remove('WorkloadEntry', 'shop/a');
  await becomes(['192.0.2.9:15008 3']);
  bed.apply(`${entry('b', 'v2')}---${entry('c', 'v2')}`);
  await becomes([]);
});

/** `address weight` of each endpoint of a cluster. */
function told(client: EnvoyClient, cluster: string): readonly string[] {
  const found = client.get(endpointTypeUrl, cluster) as unknown as Assignment | undefined;
  return (found?.endpoints ?? []).flatMap(({ lb_endpoints: all }) =>
    all.map(({ endpoint: { address: a }, load_balancing_weight: w }) => {
      return `${a.envoy_internal_address?.endpoint_id ?? a.socket_address?.address} ${w.value}`;
    }),
  );
}

interface Assignment {
  readonly endpoints?: readonly {
    readonly lb_endpoints: readonly {
      readonly endpoint: {
        readonly address: {
          readonly envoy_internal_address?: { readonly endpoint_id: string };
          readonly socket_address?: { readonly address: string };
        };
      };
      readonly load_balancing_weight: { readonly value: number };
    }[];
  }[];
}
