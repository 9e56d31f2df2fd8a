import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Namespace, Service } from '../../common/kube/kinds/core.ts';
import type { Gateway } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { waypoint as reference } from '../../common/testing/builders.ts';
import { selectsLabels } from './selector.ts';
import { defaultSettings as settings } from './settings.ts';
import { bindService, bindWorkload, instanceOf, type WaypointScope, waypointOf } from './waypoint.ts';

const meta = (name: string, namespace: string, labels: Record<string, string> = {}, annotations = {}) => ({
  metadata: { name, namespace, uid: name, resourceVersion: '1', labels, annotations },
});
const kind = (k: string) => ({ apiVersion: 'v1', kind: k });

interface GatewayOptions {
  readonly namespace?: string;
  readonly className?: string;
  readonly for?: string;
  readonly addresses?: readonly { readonly type?: string; readonly value: string }[];
  readonly listeners?: Gateway['spec']['listeners'];
  readonly binding?: string;
}

const mesh = { name: 'mesh', port: 15_008, protocol: 'HBONE' };

function gateway(name: string, o: GatewayOptions = {}): Gateway {
  const namespace = o.namespace ?? 'shop';
  const addresses = o.addresses ?? [
    { type: 'IPAddress', value: '10.96.0.9' },
    { type: 'Hostname', value: `${name}.${namespace}.svc.cluster.local` },
  ];
  return {
    ...kind('Gateway'),
    ...meta(
      name,
      namespace,
      o.for === undefined ? {} : { 'istio.io/waypoint-for': o.for },
      o.binding === undefined ? {} : { 'ambient.istio.io/waypoint-inbound-binding': o.binding },
    ),
    spec: { gatewayClassName: o.className ?? 'istio-waypoint', listeners: o.listeners ?? [mesh] },
    status: { addresses },
  };
}

const service = (labels: Record<string, string>, annotations = {}, name = 'web'): Service => ({
  ...kind('Service'),
  ...meta(name, 'shop', labels, annotations),
  spec: { ports: [{ port: 80 }] },
});
const pod = (labels: Record<string, string>) => ({ namespace: 'shop', labels });

function scope(
  gateways: readonly Gateway[],
  namespaceLabels: Record<string, string> = {},
  annotations = {},
): WaypointScope {
  const namespace: Namespace = { ...kind('Namespace'), ...meta('shop', '', namespaceLabels, annotations) };
  return {
    namespace,
    waypoint(id) {
      const gateway = gateways.find((g) => `${g.metadata.namespace}/${g.metadata.name}` === id);
      return gateway && waypointOf(gateway, undefined, settings);
    },
    settings,
  };
}

const use = (name: string) => ({ 'istio.io/use-waypoint': name });
const wp = reference('shop/wp.shop.svc.cluster.local');
const from = (namespaces: object) => [{ ...mesh, allowedRoutes: { namespaces } }] as Gateway['spec']['listeners'];
const elsewhere = { ...use('wp'), 'istio.io/use-waypoint-namespace': 'infra' };
const infra = (listeners: Gateway['spec']['listeners']) => gateway('wp', { namespace: 'infra', listeners });
const infraWp = reference('infra/wp.infra.svc.cluster.local');

const rows: readonly {
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly scope: WaypointScope;
  readonly waypoint?: unknown;
  readonly reason?: string;
}[] = [
  { name: 'no label', labels: {}, scope: scope([gateway('wp')]) },
  { name: 'its own label', labels: use('wp'), scope: scope([gateway('wp')]), waypoint: wp, reason: 'WaypointAccepted' },
  {
    name: 'the label of its namespace',
    labels: {},
    scope: scope([gateway('wp')], use('wp')),
    waypoint: wp,
    reason: 'WaypointAccepted',
  },
  { name: 'opted out', labels: use('none'), scope: scope([gateway('wp')], use('wp')) },
  {
    name: 'its own label beats that of the namespace',
    labels: use('wp'),
    scope: scope([gateway('wp'), gateway('other')], use('other')),
    waypoint: wp,
    reason: 'WaypointAccepted',
  },
  {
    name: 'an address where there is no host name',
    labels: use('wp'),
    scope: scope([gateway('wp', { addresses: [{ value: '10.96.0.9' }] })]),
    waypoint: { destination: { kind: 'address', network: '', ip: '10.96.0.9' }, hboneMtlsPort: 15_008 },
    reason: 'WaypointAccepted',
  },
  {
    name: 'without address yet: named, so refused',
    labels: use('wp'),
    scope: scope([gateway('wp', { addresses: [] })]),
    waypoint: wp,
    reason: 'WaypointIsNotReady',
  },
  { name: 'no such Gateway', labels: use('wp'), scope: scope([]), waypoint: wp, reason: 'WaypointIsNotReady' },
  {
    name: 'a Gateway of another class',
    labels: use('wp'),
    scope: scope([gateway('wp', { className: 'istio' })]),
    waypoint: wp,
    reason: 'WaypointIsNotReady',
  },
  {
    name: 'for workloads, by its own label',
    labels: use('wp'),
    scope: scope([gateway('wp', { for: 'workload' })]),
    reason: 'UnsupportedTrafficType',
  },
  {
    name: 'for workloads, by the namespace',
    labels: {},
    scope: scope([gateway('wp', { for: 'workload' })], use('wp')),
  },
  {
    name: 'for all',
    labels: use('wp'),
    scope: scope([gateway('wp', { for: 'all' })]),
    waypoint: wp,
    reason: 'WaypointAccepted',
  },
  {
    name: 'for none',
    labels: use('wp'),
    scope: scope([gateway('wp', { for: 'none' })]),
    reason: 'UnsupportedTrafficType',
  },
  {
    name: 'of another namespace, not allowed by default',
    labels: elsewhere,
    scope: scope([infra([mesh])]),
    reason: 'AttachmentDenied',
  },
  {
    name: 'of another namespace, all allowed',
    labels: elsewhere,
    scope: scope([infra(from({ from: 'All' }))]),
    waypoint: infraWp,
    reason: 'WaypointAccepted',
  },
  {
    name: 'of another namespace, selected',
    labels: elsewhere,
    scope: scope([infra(from({ from: 'Selector', selector: { matchLabels: { team: 'a' } } }))], { team: 'a' }),
    waypoint: infraWp,
    reason: 'WaypointAccepted',
  },
  {
    name: 'of another namespace, not selected',
    labels: elsewhere,
    scope: scope([infra(from({ from: 'Selector', selector: { matchLabels: { team: 'a' } } }))], { team: 'b' }),
    reason: 'AttachmentDenied',
  },
  {
    name: 'without a listener for HBONE',
    labels: use('wp'),
    scope: scope([gateway('wp', { listeners: [{ ...mesh, protocol: 'HTTP' }] })]),
    waypoint: wp,
    reason: 'WaypointIsNotReady',
  },
  {
    name: 'sandwiched: the listener of the waypoint itself counts',
    labels: elsewhere,
    scope: scope([
      gateway('wp', {
        namespace: 'infra',
        binding: 'PROXY/15088',
        listeners: [
          mesh,
          { name: 'p', port: 15_088, protocol: 'istio.io/PROXY', allowedRoutes: { namespaces: { from: 'All' } } },
        ],
      }),
    ]),
    waypoint: infraWp,
    reason: 'WaypointAccepted',
  },
  {
    name: 'a Service that istiod made for a Gateway',
    labels: { ...use('wp'), 'gateway.istio.io/managed': 'istio.io-mesh-controller' },
    scope: scope([gateway('wp')]),
  },
];

for (const row of rows) {
  test(`a Service and its waypoint: ${row.name}`, () => {
    const found = bindService(service(row.labels), row.scope);
    assert.deepEqual(found.waypoint, row.waypoint);
    assert.equal(found.condition?.reason, row.reason);
    assert.equal(found.condition?.status, row.reason && (row.reason === 'WaypointAccepted' ? 'True' : 'False'));
    assert.deepEqual(found.weighted, []);
  });
}

test('the Service of a waypoint is not behind one', () => {
  assert.equal(bindService(service({}, {}, 'wp'), scope([gateway('wp')], use('wp'))).waypoint, undefined);
});

test('a canary takes its share; where it cannot, the first waypoint takes all and the condition says why', () => {
  const labels = { ...use('wp'), 'istio.io/use-waypoint-canary': 'next' };
  const weight = (w: string) => ({ 'istio.io/use-waypoint-canary-weight': w });
  const both = scope([gateway('wp'), gateway('next')]);
  const next = reference('shop/next.shop.svc.cluster.local');
  assert.deepEqual(bindService(service(labels, weight('20')), both).weighted, [
    { waypoint: wp, weight: 80 },
    { waypoint: next, weight: 20 },
  ]);
  const byNamespace = scope([gateway('wp'), gateway('next')], labels, weight('5'));
  assert.deepEqual(
    bindService(service({}), byNamespace).weighted.map((w) => w.weight),
    [95, 5],
  );
  assert.deepEqual(
    bindService(service(labels), both).weighted.map((w) => w.weight),
    [100, 0],
    'none asked for',
  );
  for (const [what, s, at, message] of [
    ['weight', service(labels, weight('101')), both, /weight "101", expected 0 to 100/],
    ['weight', service(labels, weight('much')), both, /weight "much"/],
    ['same', service({ ...labels, 'istio.io/use-waypoint-canary': 'wp' }, weight('5')), both, /canary is the same/],
    [
      'absent',
      service(labels, weight('5')),
      scope([gateway('wp')]),
      /canary is not used: waypoint shop\/next does not exist/,
    ],
    [
      'not ready',
      service(labels, weight('5')),
      scope([gateway('wp'), gateway('next', { addresses: [] })]),
      /no address yet/,
    ],
  ] as const) {
    const found = bindService(s, at);
    assert.deepEqual([found.waypoint, found.weighted, found.condition?.status], [wp, [], 'True'], what);
    assert.match(found.condition!.message, message);
  }
});

test('a Pod and its waypoint', () => {
  const ready = gateway('wp', { for: 'workload' });
  assert.deepEqual(bindWorkload(pod(use('wp')), scope([ready])).waypoint, wp);
  assert.deepEqual(bindWorkload(pod({}), scope([ready], use('wp'))).waypoint, wp);
  assert.deepEqual(bindWorkload(pod({}), scope([gateway('wp', { for: 'all' })], use('wp'))).waypoint, wp);
  assert.equal(bindWorkload(pod({}), scope([gateway('wp')], use('wp'))).waypoint, undefined, 'for services');
  assert.equal(bindWorkload(pod(use('wp')), scope([gateway('wp')])).condition?.reason, 'UnsupportedTrafficType');
  assert.equal(bindWorkload(pod({}), scope([], use('wp'))).waypoint, undefined, 'nobody knows yet that it is for pods');
  assert.deepEqual(bindWorkload(pod(use('wp')), scope([])).waypoint, wp, 'asked for and not there');
  assert.equal(bindWorkload(pod(use('none')), scope([ready], use('wp'))).waypoint, undefined);
  const instance = { 'gateway.networking.k8s.io/gateway-name': 'wp' };
  assert.equal(bindWorkload(pod(instance), scope([ready], use('wp'))).waypoint, undefined, 'an instance');
});

test('the application tunnel of a sandwiched waypoint', () => {
  const instance = pod({ 'gateway.networking.k8s.io/gateway-name': 'wp' });
  const tunnel = (binding: string, p = instance) => instanceOf(p, scope([gateway('wp', { binding })]))?.tunnel;
  assert.deepEqual(tunnel('PROXY/15088'), { protocol: 'PROXY', port: 15_088 });
  assert.deepEqual(tunnel('PROXY'), { protocol: 'PROXY', port: 0 });
  assert.deepEqual(tunnel('NONE/8080'), { protocol: 'NONE', port: 8080 });
  for (const bad of ['', 'proxy', 'PROXY/', 'PROXY/0', 'PROXY/65536', 'HBONE/1'])
    assert.equal(tunnel(bad), undefined, bad);
  assert.equal(tunnel('PROXY/15088', pod({})), undefined);
});

test('selectors with expressions', () => {
  const selects = (key: string, operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist', values?: string[]) =>
    selectsLabels({ matchExpressions: [{ key, operator, ...(values && { values }) }] }, { a: '1' });
  assert.deepEqual(
    [
      selects('a', 'In', ['1', '2']),
      selects('a', 'In', ['2']),
      selects('b', 'In', ['1']),
      selects('a', 'NotIn', ['1']),
      selects('b', 'NotIn', ['1']),
      selects('a', 'Exists'),
      selects('b', 'Exists'),
      selects('b', 'DoesNotExist'),
      selects('toString', 'Exists'),
    ],
    [true, false, false, false, true, true, false, true, false],
  );
  assert.equal(selectsLabels(undefined, { a: '1' }), false);
  assert.equal(selectsLabels({}, {}), true);
});
