import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeAddress } from '../../common/api/index.ts';
import type { Pod, Service } from '../../common/kube/kinds/core.ts';
import type { Gateway } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { resolveOutbound } from '../../common/mesh/outbound.ts';
import { MeshStore } from '../../common/mesh/store.ts';
import { ip, port, workload } from '../../common/testing/builders.ts';
import { AmbientIndex, type MeshInputs } from './ambient-index.ts';
import { gatewayTo, gatewayWorkloads } from './network.ts';

const settings = {
  clusterId: 'c',
  trustDomain: 'cluster.local',
  domain: 'cluster.local',
  rootNamespace: 'istio-system',
};

function gateway(over: {
  readonly name?: string;
  readonly className?: string;
  readonly network?: string;
  readonly annotations?: Record<string, string>;
  readonly spec?: readonly { readonly type?: string; readonly value: string }[];
  readonly status?: readonly { readonly type?: string; readonly value: string }[];
  readonly protocol?: string;
}): Gateway {
  const { name = 'ew', className = 'istio-remote', network = 'net-2' } = over;
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: {
      name,
      namespace: 'istio-system',
      uid: name,
      resourceVersion: '1',
      labels: network === '' ? {} : { 'topology.istio.io/network': network },
      annotations: over.annotations ?? {},
    },
    spec: {
      gatewayClassName: className,
      listeners: [{ name: 'cross-network', port: 15_008, protocol: over.protocol ?? 'HBONE' }],
      ...(over.spec && { addresses: over.spec }),
    },
    ...(over.status && { status: { addresses: over.status } }),
  };
}

const at = [{ type: 'IPAddress', value: '192.0.2.9' }];
const way = (...gateways: Gateway[]) =>
  gatewayTo('net-2', new Map(gateways.map((g) => [`${g.metadata.namespace}/${g.metadata.name}`, g])))?.reference;
const byIp = { destination: { kind: 'address', network: 'net-2', ip: '192.0.2.9' }, hboneMtlsPort: 15_008 };

test('which Gateway leads to a network', () => {
  assert.deepEqual(way(gateway({ spec: at })), byIp);
  assert.deepEqual(way(gateway({ className: 'istio-east-west', status: [{ value: '192.0.2.9' }] })), byIp);
  assert.deepEqual(way(gateway({ spec: at, status: [{ value: '192.0.2.10' }] }))?.destination, {
    kind: 'address',
    network: 'net-2',
    ip: '192.0.2.10',
  });
  assert.deepEqual(way(gateway({ spec: [{ type: 'Hostname', value: 'ew.example' }] })), {
    destination: { kind: 'hostname', namespace: 'istio-system', hostname: 'ew.example' },
    hboneMtlsPort: 15_008,
  });
  assert.deepEqual(way(gateway({ name: 'b', spec: [{ value: '192.0.2.1' }] }), gateway({ name: 'a', spec: at })), byIp);
  for (const none of [
    gateway({}),
    gateway({ spec: at, network: 'net-3' }),
    gateway({ spec: at, network: '' }),
    gateway({ spec: at, className: 'istio-waypoint' }),
    gateway({ spec: at, protocol: 'TLS' }),
    gateway({ spec: [{ type: 'NamedAddress', value: 'x' }] }),
    gateway({ spec: [{ value: 'nonsense' }] }),
  ]) {
    assert.equal(way(none), undefined, JSON.stringify(none));
  }
});

test('a gateway is announced with the identity that it has to prove', () => {
  const account = { 'gateway.istio.io/service-account': 'ew-sa', 'gateway.istio.io/trust-domain': 'far' };
  const [found] = gatewayWorkloads(gateway({ spec: at, annotations: account }), settings);
  assert.equal(found!.uid, 'NetworkGateway/net-2/192.0.2.9/15008');
  assert.deepEqual(
    [found!.trustDomain, found!.namespace, found!.serviceAccount, found!.network, found!.tunnelProtocol],
    ['far', 'istio-system', 'ew-sa', 'net-2', 'HBONE'],
  );
  assert.equal(gatewayWorkloads(gateway({ spec: at }), settings)[0]!.serviceAccount, 'ew-istio-remote');
});

test('a Service with pods on another network: double HBONE through the gateway, and nothing before that is known', () => {
  const inputs = {
    namespaces: new Map(),
    nodes: new Map(),
    pods: new Map<string, Pod>(),
    services: new Map<string, Service>(),
    slices: new Map(),
    policies: new Map(),
    peers: new Map(),
    gateways: new Map<string, Gateway>(),
  } satisfies MeshInputs;
  const index = new AmbientIndex(inputs, settings);
  const labels = { app: 'web' };
  const meta = (name: string, more: object) => ({ name, namespace: 'shop', uid: name, resourceVersion: '1', ...more });
  inputs.services.set('shop/web', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: meta('web', {}),
    spec: { clusterIP: '10.96.0.1', selector: labels, ports: [{ port: 80 }] },
  });
  index.serviceChanged('shop/web', 'shop');
  index.flush();
  const route = () => {
    const store = new MeshStore();
    const addresses = [...index.addresses.values()].map(({ bytes }) => {
      const decoded = decodeAddress(bytes);
      return decoded.kind === 'ok' ? decoded.value : assert.fail(decoded.reason);
    });
    store.apply({ addresses });
    return resolveOutbound(store, {
      source: workload({ addresses: [ip('10.0.0.9')] }),
      target: { ip: ip('10.96.0.1'), port: port(80) },
      network: '',
      compat: new Set(),
      random: () => 0,
    });
  };
  const far: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: meta('far', { labels: { ...labels, 'topology.istio.io/network': 'net-2' } }),
    spec: { containers: [], serviceAccountName: 'web' },
    status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }], conditions: [{ type: 'Ready', status: 'True' }] },
  };
  inputs.pods.set('shop/far', far);
  index.podChanged('shop/far');
  assert.ok(index.flush()!.addresses.has('shop/web.shop.svc.cluster.local'), 'the service names who may answer there');
  const before = route();
  assert.match(before.kind === 'refused' ? before.reason : '', /on network "net-2" and has no gateway/);

  inputs.gateways.set('istio-system/ew', gateway({ spec: at }));
  index.gatewayChanged('istio-system/ew');
  assert.deepEqual([...index.flush()!.addresses].sort(), ['NetworkGateway/net-2/192.0.2.9/15008', 'c//Pod/shop/far']);
  const through = route();
  assert.ok(through.kind === 'gateway');
  assert.deepEqual(through.dial, { ip: '192.0.2.9', port: 15_008 });
  assert.equal(through.authority, 'web.shop.svc.cluster.local:80');
  assert.deepEqual(
    through.behind.map((i) => i.serviceAccount),
    ['web'],
  );
  assert.deepEqual(
    through.expected.map((i) => i.serviceAccount),
    ['ew-istio-remote'],
  );

  inputs.gateways.clear();
  index.gatewayChanged('istio-system/ew');
  inputs.pods.clear();
  index.podChanged('shop/far');
  index.flush();
  assert.deepEqual([...index.addresses.keys()], ['shop/web.shop.svc.cluster.local']);
  const decoded = decodeAddress([...index.addresses.values()][0]!.bytes);
  assert.deepEqual(decoded.kind === 'ok' && decoded.value.kind === 'service' && decoded.value.subjectAltNames, []);
});
