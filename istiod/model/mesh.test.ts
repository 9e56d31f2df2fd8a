import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeAddress } from '../../common/api/index.ts';
import type { Service as KubeService, Namespace, Node, Pod } from '../../common/kube/kinds/core.ts';
import type { EndpointSlice } from '../../common/kube/kinds/discovery.ts';
import type { Gateway } from '../../common/kube/kinds/gateway-api/gateway.ts';
import type { AuthorizationPolicy, PeerAuthentication } from '../../common/kube/kinds/security.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { AmbientIndex } from './ambient-index.ts';
import { serviceOf } from './service.ts';
import { ownerName, type PodInputs, podWorkload, sliceWorkloads } from './workload.ts';

const settings = {
  clusterId: 'c',
  trustDomain: 'cluster.local',
  domain: 'cluster.local',
  rootNamespace: 'istio-system',
};
let version = 0;
const meta = (name: string, more: object = {}) => ({
  metadata: { name, namespace: 'shop', uid: name, resourceVersion: String(++version), ...more },
});
const pod = (name: string, over: { meta?: object; spec?: object; status?: object } = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  ...meta(name, over.meta),
  spec: { containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 8080 }] }], nodeName: 'n1', ...over.spec },
  status: {
    phase: 'Running',
    podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }],
    conditions: [{ type: 'Ready', status: 'True' }],
    ...over.status,
  },
});
const service = (name: string, spec: object = {}, more: object = {}): KubeService => ({
  apiVersion: 'v1',
  kind: 'Service',
  ...meta(name, more),
  spec: { clusterIP: '10.96.0.1', ports: [{ port: 80 }], ...spec },
});
const none: PodInputs = { node: undefined, selecting: [], slices: [], policies: [] };

const pods: readonly [string, Pod, Record<string, unknown> | undefined][] = [
  ['both families', pod('a'), { addresses: ['10.0.0.1', 'fd00::1'], status: 'HEALTHY', uid: 'c//Pod/shop/a' }],
  [
    'defaults',
    pod('a'),
    {
      serviceAccount: 'default',
      tunnelProtocol: 'NONE',
      workloadName: 'a',
      canonicalRevision: 'latest',
      networkMode: 'STANDARD',
      node: 'n1',
    },
  ],
  ['pending with an address', pod('a', { status: { phase: 'Pending', conditions: [] } }), { status: 'UNHEALTHY' }],
  ['one address', pod('a', { status: { podIPs: undefined, podIP: '10.0.0.9' } }), { addresses: ['10.0.0.9'] }],
  ['no address', pod('a', { status: { podIPs: [] } }), undefined],
  ['succeeded', pod('a', { status: { phase: 'Succeeded' } }), undefined],
  ['failed', pod('a', { status: { phase: 'Failed' } }), undefined],
  ['being deleted', pod('a', { meta: { deletionTimestamp: 'x' } }), { status: 'UNHEALTHY' }],
  [
    'captured',
    pod('a', { meta: { annotations: { 'ambient.istio.io/redirection': 'enabled' } } }),
    { tunnelProtocol: 'HBONE' },
  ],
  [
    'capture pending',
    pod('a', { meta: { annotations: { 'ambient.istio.io/redirection': 'pending' } } }),
    { tunnelProtocol: 'NONE' },
  ],
  [
    'labelled for ambient only',
    pod('a', { meta: { labels: { 'istio.io/dataplane-mode': 'ambient' } } }),
    { tunnelProtocol: 'NONE' },
  ],
  ['host network', pod('a', { spec: { hostNetwork: true } }), { networkMode: 'HOST_NETWORK' }],
  [
    'names by label',
    pod('a', { meta: { labels: { app: 'x', version: 'v2' } } }),
    { canonicalName: 'x', canonicalRevision: 'v2' },
  ],
];
for (const [name, input, expected] of pods) {
  test(`pod: ${name}`, () => {
    const found = podWorkload(input, none, settings);
    if (expected === undefined) assert.equal(found, undefined);
    else assert.deepEqual({ ...found, ...expected }, found);
  });
}

test('owners', () => {
  const owned = (kind: string, name: string, labels = {}) =>
    pod('p', { meta: { labels, ownerReferences: [{ apiVersion: 'v1', kind, name, uid: 'u', controller: true }] } });
  assert.equal(ownerName(owned('ReplicaSet', 'web-5d4f', { 'pod-template-hash': '5d4f' })), 'web');
  assert.equal(ownerName(owned('ReplicaSet', 'own-set')), 'own-set');
  assert.equal(ownerName(owned('Deployment', 'web')), 'web');
  assert.equal(ownerName(owned('Job', 'nightly-29012345')), 'nightly');
  assert.equal(ownerName(owned('StatefulSet', 'db')), 'db');
});

test('ports of a pod: numbers, names, and names that nobody has', () => {
  const web = service('web', {
    ports: [
      { name: 'a', port: 80, targetPort: 'http' },
      { name: 'b', port: 81, targetPort: 9000 },
      { name: 'c', port: 82, targetPort: 'nobody' },
      { name: 'd', port: 53, protocol: 'UDP' },
    ],
  });
  const found = podWorkload(pod('a'), { ...none, selecting: [web, service('x', { type: 'ExternalName' })] }, settings);
  assert.deepEqual(
    [...(found?.services ?? [])],
    [
      [
        'shop/web.shop.svc.cluster.local',
        [
          { servicePort: 80, targetPort: 8080 },
          { servicePort: 81, targetPort: 9000 },
        ],
      ],
    ],
  );
});

const services: readonly [string, KubeService, Record<string, unknown> | undefined][] = [
  [
    'cluster IPs of both families',
    service('a', { clusterIPs: ['10.96.0.1', 'fd00::96'], ipFamilies: ['IPv4', 'IPv6'] }),
    {
      addresses: [
        { network: '', ip: '10.96.0.1' },
        { network: '', ip: 'fd00::96' },
      ],
      ipFamilies: 'DUAL',
    },
  ],
  ['headless', service('a', { clusterIP: 'None' }), { addresses: [] }],
  ['ExternalName', service('a', { type: 'ExternalName', externalName: 'x.y' }), undefined],
  [
    'a named port',
    service('a', { ports: [{ port: 80, targetPort: 'http' }] }),
    { ports: [{ servicePort: 80, targetPort: 0 }] },
  ],
  [
    'a plain port',
    service('a'),
    { ports: [{ servicePort: 80, targetPort: 80 }], canonical: true, loadBalancing: undefined },
  ],
  [
    'not ready too',
    service('a', { publishNotReadyAddresses: true }),
    { loadBalancing: { routingPreference: [], mode: 'UNSPECIFIED_MODE', healthPolicy: 'ALLOW_ALL' } },
  ],
  [
    'local',
    service('a', { internalTrafficPolicy: 'Local', trafficDistribution: 'PreferClose' }),
    { loadBalancing: { routingPreference: ['NODE'], mode: 'STRICT', healthPolicy: 'ONLY_HEALTHY' } },
  ],
  [
    'close',
    service('a', { trafficDistribution: 'PreferClose' }),
    {
      loadBalancing: {
        routingPreference: ['NETWORK', 'REGION', 'ZONE'],
        mode: 'FAILOVER',
        healthPolicy: 'ONLY_HEALTHY',
      },
    },
  ],
  [
    'same node by annotation',
    service('a', {}, { annotations: { 'networking.istio.io/traffic-distribution': 'preferSameNode' } }),
    {
      loadBalancing: {
        routingPreference: ['NETWORK', 'REGION', 'ZONE', 'SUBZONE', 'NODE'],
        mode: 'FAILOVER',
        healthPolicy: 'ONLY_HEALTHY',
      },
    },
  ],
];
for (const [name, input, expected] of services) {
  test(`service: ${name}`, () => {
    const found = serviceOf(input, undefined, settings);
    if (expected === undefined) assert.equal(found, undefined);
    else assert.deepEqual({ loadBalancing: undefined, ...found, ...expected }, { loadBalancing: undefined, ...found });
  });
}

const slice: EndpointSlice = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  ...meta('ext-1', { labels: { 'kubernetes.io/service-name': 'ext' } }),
  addressType: 'IPv4',
  endpoints: [
    { addresses: ['192.0.2.1'], conditions: { ready: false } },
    { addresses: ['10.0.0.1'], targetRef: { kind: 'Pod', name: 'a' } },
  ],
  ports: [{ port: 9000 }],
};

test('endpoints without a pod are plain workloads, those with one belong to the pod', () => {
  const ext = service('ext', { ports: [{ port: 80 }] });
  const [found, ...more] = sliceWorkloads(slice, ext, settings);
  assert.equal(more.length, 0);
  assert.equal(found?.uid, 'c/discovery.k8s.io/EndpointSlice/shop/ext-1/192.0.2.1');
  assert.deepEqual([found?.networkMode, found?.status, found?.tunnelProtocol], ['HOST_NETWORK', 'UNHEALTHY', 'NONE']);
  assert.deepEqual([...(found?.services.values() ?? [])], [[{ servicePort: 80, targetPort: 9000 }]]);
});

class Inputs {
  readonly namespaces = new Map<string, Namespace>();
  readonly nodes = new Map<string, Node>();
  readonly pods = new Map<string, Pod>();
  readonly services = new Map<string, KubeService>();
  readonly slices = new Map<string, EndpointSlice>();
  readonly policies = new Map<string, AuthorizationPolicy>();
  readonly peers = new Map<string, PeerAuthentication>();
  readonly gateways = new Map<string, Gateway>();
}
function put<T extends KubeObject>(to: Map<string, T>, object: T): string {
  const key = `${object.metadata.namespace}/${object.metadata.name}`;
  to.set(key, object);
  return key;
}
const allowPolicy = (name: string, action: 'ALLOW' | 'AUDIT', namespace = 'shop'): AuthorizationPolicy => ({
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  ...meta(name, { namespace }),
  spec: { action, selector: { matchLabels: { app: 'web' } } },
});

test('the index announces what changed, and only that', () => {
  const inputs = new Inputs();
  const index = new AmbientIndex(inputs, settings);
  const labels = { app: 'web' };
  index.podChanged(put(inputs.pods, pod('a', { meta: { labels } })));
  index.podChanged(put(inputs.pods, pod('b', { status: { podIPs: [{ ip: '10.0.0.2' }] } })));
  index.serviceChanged(put(inputs.services, service('web', { selector: labels })), 'shop');
  const first = index.flush();
  assert.deepEqual([...(first?.addresses ?? [])].sort(), [
    'c//Pod/shop/a',
    'c//Pod/shop/b',
    'shop/web.shop.svc.cluster.local',
  ]);
  assert.equal(index.flush(), undefined);
  // A new version of the object that says the same.
  index.podChanged(put(inputs.pods, pod('b', { status: { podIPs: [{ ip: '10.0.0.2' }] } })));
  assert.equal(index.flush(), undefined);
  // The port of the service is a matter of the pods that it selects, too.
  index.serviceChanged(put(inputs.services, service('web', { selector: labels, ports: [{ port: 81 }] })), 'shop');
  assert.deepEqual([...(index.flush()?.addresses ?? [])].sort(), ['c//Pod/shop/a', 'shop/web.shop.svc.cluster.local']);
  inputs.pods.delete('shop/a');
  index.podChanged('shop/a');
  assert.deepEqual([...(index.flush()?.addresses ?? [])], ['c//Pod/shop/a']);
  assert.equal(index.addresses.has('c//Pod/shop/a'), false);
});

test('a workload lists the policies that select it, of its namespace and the root, if they are sent', () => {
  const inputs = new Inputs();
  const index = new AmbientIndex(inputs, settings);
  index.podChanged(put(inputs.pods, pod('a', { meta: { labels: { app: 'web' } } })));
  index.flush();
  for (const p of [
    allowPolicy('p', 'ALLOW'),
    allowPolicy('audit', 'AUDIT'),
    allowPolicy('g', 'ALLOW', 'istio-system'),
    allowPolicy('x', 'ALLOW', 'else'),
  ]) {
    index.policyChanged(put(inputs.policies, p), [p]);
  }
  const change = index.flush();
  assert.deepEqual([...(change?.addresses ?? [])], ['c//Pod/shop/a']);
  assert.deepEqual([...(change?.authorizations ?? [])].sort(), ['else/x', 'istio-system/g', 'shop/p']);
  const inputsOf = index.addresses.get('c//Pod/shop/a')?.inputs.map((i) => `${i.kind} ${i.namespace}/${i.name}`);
  assert.deepEqual(inputsOf, ['Pod shop/a', 'AuthorizationPolicy shop/p', 'AuthorizationPolicy istio-system/g']);
});

test('a workload lists the policy that its PeerAuthentication was made into, and follows all that bear on it', () => {
  const inputs = new Inputs();
  const index = new AmbientIndex(inputs, settings);
  const labels = { app: 'web' };
  index.podChanged(put(inputs.pods, pod('a', { meta: { labels } })));
  index.podChanged(put(inputs.pods, pod('r', { meta: { namespace: 'istio-system' } })));
  index.flush();
  const peer = (name: string, namespace: string, spec: NonNullable<PeerAuthentication['spec']>) => {
    const kube = { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', ...meta(name, { namespace }), spec };
    index.peerChanged(put(inputs.peers, kube), namespace);
    return index.flush();
  };
  const listed = (uid: string) => {
    const bytes = index.addresses.get(`c//Pod/${uid}`)?.bytes;
    const decoded = decodeAddress(bytes ?? new Uint8Array());
    assert.ok(decoded.kind === 'ok' && decoded.value.kind === 'workload');
    for (const p of decoded.value.authorizationPolicies) assert.ok(index.authorizations.has(p), p);
    return decoded.value.authorizationPolicies;
  };
  const strict = 'istio-system/istio_converted_static_strict';
  peer('ports', 'shop', { selector: { matchLabels: labels }, portLevelMtls: { 80: { mode: 'PERMISSIVE' } } });
  assert.deepEqual([...index.authorizations.keys()], [strict]);
  assert.deepEqual(listed('shop/a'), []);

  const change = peer('mesh', 'istio-system', { mtls: { mode: 'STRICT' } });
  assert.deepEqual([...(change?.authorizations ?? [])], ['shop/converted_peer_authentication_ports']);
  assert.deepEqual(listed('shop/a'), ['shop/converted_peer_authentication_ports']);
  assert.deepEqual(listed('istio-system/r'), [strict]);
  const inputsOf = index.addresses.get('c//Pod/shop/a')?.inputs.map((i) => `${i.kind} ${i.namespace}/${i.name}`);
  assert.deepEqual(inputsOf, ['Pod shop/a', 'PeerAuthentication shop/ports', 'PeerAuthentication istio-system/mesh']);

  peer('wide', 'shop', { mtls: { mode: 'DISABLE' } });
  assert.deepEqual(listed('shop/a'), []);
  assert.deepEqual([...index.authorizations.keys()], [strict]);
  for (const [key, { metadata }] of [...inputs.peers]) {
    inputs.peers.delete(key);
    index.peerChanged(key, metadata.namespace ?? '');
  }
  index.flush();
  assert.deepEqual([listed('shop/a'), listed('istio-system/r'), index.authorizations.size], [[], [], 0]);
});

test('resources are found by address, and a reused address names its new owner', () => {
  const inputs = new Inputs();
  const index = new AmbientIndex(inputs, settings);
  index.podChanged(put(inputs.pods, pod('a')));
  index.flush();
  const find = () => index.catalog.find('type.googleapis.com/istio.workload.Address', '/10.0.0.1')?.name;
  assert.equal(find(), 'c//Pod/shop/a');
  inputs.pods.delete('shop/a');
  index.podChanged('shop/a');
  index.podChanged(put(inputs.pods, pod('b')));
  index.flush();
  assert.equal(find(), 'c//Pod/shop/b');
});

test('versions are the same after a restart', () => {
  const versions = [1, 2].map(() => {
    const inputs = new Inputs();
    const index = new AmbientIndex(inputs, settings);
    index.serviceChanged(put(inputs.services, service('web', { selector: {} })), 'shop');
    index.podChanged(put(inputs.pods, pod('a')));
    index.flush();
    return [...index.addresses.values()].map((r) => r.version);
  });
  assert.deepEqual(versions[0], versions[1]);
});
