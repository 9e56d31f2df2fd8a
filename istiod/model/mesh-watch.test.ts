import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { type Clock, systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import type { Lookup, NameRecord } from '../../common/dns/system-lookup.ts';
import { configMapKind, namespaceKind, podKind, serviceKind } from '../../common/kube/kinds/core.ts';
import { gatewayKind } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { workloadEntryKind } from '../../common/kube/kinds/istio/workload-entry.ts';
import { authorizationPolicyKind } from '../../common/kube/kinds/security.ts';
import type { Kind, KubeObject } from '../../common/kube/types.ts';
import { ip } from '../../common/testing/builders.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { FakeKube } from '../../common/testing/fake-kube.ts';
import { until } from '../../common/testing/until.ts';
import { faultOf } from '../validation/fault.ts';
import { type MeshWatch, watchMesh } from './mesh-watch.ts';
import { objectKey } from './resource.ts';
import { defaultSettings } from './settings.ts';
import { createSourceMetrics } from './source-metrics.ts';

interface World extends Disposable {
  readonly kube: FakeKube;
  readonly mesh: MeshWatch;
  /** Kind and key of objects whose status may be new. */
  readonly judged: Set<string>;
  readonly warnings: readonly string[];
  /** Objects as they came. */
  readonly told: readonly KubeObject[];
  readonly registry: Registry;
}

async function world(
  configNames: readonly string[] = ['istio'],
  revision = 'default',
  file?: string,
  clock: Clock = systemClock,
  lookup: Lookup = () => Promise.reject(new Error('nothing is looked up')),
): Promise<World> {
  const kube = new FakeKube();
  const stop = new AbortController();
  const judged = new Set<string>();
  const warnings: string[] = [];
  const told: KubeObject[] = [];
  const registry = new Registry();
  await kube.create(namespaceKind, object('Namespace', 'shop', undefined, { metadata: { labels: { mesh: 'yes' } } }));
  const mesh = watchMesh({
    keys: { fetch: () => Promise.reject(new Error('nothing is fetched')), refresh: 1_000 },
    lookup,
    source: kube,
    settings: defaultSettings,
    configPlaces: { names: configNames, file },
    clock,
    revision,
    faultOf,
    log: { ...silentLogger, warn: (text) => void warnings.push(text) },
    signal: stop.signal,
    onChange: () => undefined,
    onObject: (o) => void told.push(o),
    onGeneration: () => undefined,
    metrics: createSourceMetrics(registry, 'here'),
    onFailure: () => undefined,
    onSettings: () => undefined,
    onJudged(objects) {
      for (const o of objects) judged.add(objectKey(o));
    },
  });
  await mesh.synced;
  return { kube, mesh, judged, warnings, told, registry, [Symbol.dispose]: () => stop.abort() };
}

function object(
  kind: string,
  name: string,
  namespace: string | undefined,
  more: { metadata?: object; [field: string]: unknown },
) {
  const { metadata, ...rest } = more;
  const apiVersion = kind === 'AuthorizationPolicy' ? 'security.istio.io/v1' : 'v1';
  return { apiVersion, kind, metadata: { name, ...(namespace && { namespace }), ...metadata }, ...rest };
}

const web = object('Service', 'web', 'shop', { spec: { ports: [{ port: 80 }] } });
const key = 'shop/web.shop.svc.cluster.local';
const seen = (w: World) => w.mesh.index.addresses.has(key);
const config = (mesh: string) => ({ data: { mesh } });

test('namespaces that are not discovered are not there, whenever it is said', async () => {
  using w = await world();
  await w.kube.create(serviceKind, web);
  await until('the Service', () => seen(w));
  await w.kube.create(
    configMapKind,
    object('ConfigMap', 'istio', 'istio-system', config('discoverySelectors: [{matchLabels: {mesh: "no"}}]')),
  );
  await until('it to vanish', () => !seen(w));
  const label = (mesh: string) => w.kube.patch(namespaceKind, { name: 'shop' }, { metadata: { labels: { mesh } } });
  await label('no');
  await until('it to be back', () => seen(w));
  await label('yes');
  await until('it to vanish again', () => !seen(w));
  // A namespace that comes after its objects.
  await w.kube.create(serviceKind, object('Service', 'x', 'late', { spec: { ports: [{ port: 80 }] } }));
  await w.kube.create(namespaceKind, object('Namespace', 'late', undefined, { metadata: { labels: { mesh: 'no' } } }));
  await until('the late one', () => w.mesh.index.addresses.has('late/x.late.svc.cluster.local'));
  await w.kube.delete(configMapKind, { namespace: 'istio-system', name: 'istio' });
  await until('all', () => seen(w));
});

test('MeshConfig is followed; what cannot be read leaves the last good one and is told', async () => {
  using w = await world(['shared', 'istio']);
  await w.kube.create(serviceKind, web);
  await until('the Service', () => seen(w));
  const version = () => w.mesh.index.addresses.get(key)?.version;
  const before = version();
  await w.kube.create(
    configMapKind,
    object('ConfigMap', 'shared', 'istio-system', config('defaultServiceExportTo: ["."]')),
  );
  await until('the narrower default', () => version() !== before);
  await w.kube.create(
    configMapKind,
    object('ConfigMap', 'istio', 'istio-system', config('defaultServiceExportTo: ["*"]')),
  );
  await until('the default again', () => version() === before);
  await w.kube.patch(configMapKind, { namespace: 'istio-system', name: 'istio' }, config('defaultServiceExportTo: {'));
  await until('the problem', () => w.mesh.problems().length === 1);
  assert.equal(version(), before);
  await w.kube.delete(configMapKind, { namespace: 'istio-system', name: 'istio' });
  await until('the shared one', () => version() !== before);
  assert.deepEqual(w.mesh.problems(), []);
});

test('a policy for unknown destinations that nobody heeds is said', async () => {
  using w = await world();
  const mesh = (mode: string) =>
    object('ConfigMap', 'istio', 'istio-system', config(`outboundTrafficPolicy: {mode: ${mode}}`));
  await w.kube.create(configMapKind, mesh('ALLOW_ANY'));
  await w.kube.patch(configMapKind, { namespace: 'istio-system', name: 'istio' }, mesh('REGISTRY_ONLY'));
  await until('the warning', () => w.warnings.some((text) => text.startsWith('outboundTrafficPolicy REGISTRY_ONLY')));
});

test('a file takes the place of the ConfigMap, and is followed', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'aq-mesh-'));
  const file = join(dir, 'mesh');
  try {
    await writeFile(file, 'discoverySelectors: [{matchLabels: {mesh: "no"}}]');
    const clock = new FakeClock();
    using w = await world([], 'default', file, clock);
    await w.kube.create(serviceKind, web);
    await w.kube.create(configMapKind, object('ConfigMap', 'istio', 'istio-system', config('discoverySelectors: []')));
    const later = object('Service', 'x', 'istio-system', { spec: { ports: [{ port: 80 }] } });
    await w.kube.create(serviceKind, later);
    await until('what is there always', () =>
      w.mesh.index.addresses.has('istio-system/x.istio-system.svc.cluster.local'),
    );
    assert.equal(seen(w), false);
    const look = () => clock.advance(5_000);
    await writeFile(file, 'discoverySelectors: 7');
    await until('the complaint', () => {
      look();
      return w.mesh.problems().some((p) => p.name === file);
    });
    assert.equal(seen(w), false);
    await writeFile(file, 'discoverySelectors: [{matchLabels: {mesh: "yes"}}]');
    await until('the Service', () => {
      look();
      return seen(w);
    });
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('objects of another revision are left to it', async () => {
  using w = await world(['istio-blue'], 'blue');
  const kind = authorizationPolicyKind as Kind<KubeObject>;
  const rev = (name: string) => ({ metadata: { labels: { 'istio.io/rev': name } }, spec: {} });
  const there = () => [...w.mesh.index.authorizations.keys()].sort();
  await w.kube.create(kind, object('AuthorizationPolicy', 'theirs', 'shop', rev('green')));
  await w.kube.create(kind, object('AuthorizationPolicy', 'ours', 'shop', rev('blue')));
  await w.kube.create(kind, object('AuthorizationPolicy', 'of-all', 'shop', { spec: {} }));
  await until('ours', () => there().join() === 'shop/of-all,shop/ours');
  const key = { namespace: 'shop', name: 'ours' };
  await w.kube.patch(kind, key, { metadata: { labels: { 'istio.io/rev': 'green' } } });
  await until('it to be theirs', () => there().join() === 'shop/of-all');
  // What is no part of the mesh's configuration says by that label who injects.
  await w.kube.create(serviceKind, { ...web, metadata: { ...web.metadata, labels: { 'istio.io/rev': 'green' } } });
  await until('the Service', () => seen(w));
});

test('an object that is not valid is left out, one that was valid stays as it was, and its status says why', async () => {
  using w = await world();
  const kind = authorizationPolicyKind as Kind<KubeObject>;
  const name = { kind: 'AuthorizationPolicy', namespace: 'shop', name: 'p' };
  const policy = { action: 'DENY', rules: [{ to: [{ operation: { ports: ['80'] } }] }] };
  await w.kube.create(kind, object('AuthorizationPolicy', 'p', 'shop', { spec: policy }));
  await w.kube.create(kind, object('AuthorizationPolicy', 'bad', 'shop', { spec: { action: 'PERHAPS' } }));
  await until('the good one', () => w.mesh.index.authorizations.size === 1);
  const version = w.mesh.index.authorizations.get('shop/p')?.version;
  await w.kube.patch(kind, name, { spec: { rules: [{ to: [{ operation: { ports: 80 } }] }] } });
  await until('the verdict', () => w.mesh.problems().length === 2);
  assert.equal(w.mesh.index.authorizations.get('shop/p')?.version, version);
  const condition = w.mesh.conditionsOf(name).get('Accepted');
  assert.deepEqual([condition?.status, condition?.reason], ['False', 'Invalid']);
  assert.match(condition!.message, /spec\.rules\[0\]\.to\[0\]\.operation\.ports/);
  assert.ok(w.judged.has('AuthorizationPolicy/shop/p'));
  await w.kube.patch(kind, name, { spec: policy });
  await until('it to be valid again', () => w.mesh.problems().length === 1);
  assert.equal(w.mesh.conditionsOf(name).get('Accepted'), undefined);
  await w.kube.delete(kind, { namespace: 'shop', name: 'bad' });
  await until('no problem', () => w.mesh.problems().length === 0);
});

test('what only its status says anew changes nothing but for who writes it', async () => {
  using w = await world();
  const kind = authorizationPolicyKind as Kind<KubeObject>;
  const name = { namespace: 'shop', name: 'p' };
  const spec = { rules: [{ to: [{ operation: { ports: ['80'] } }] }] };
  const kept = () => w.mesh.index.inputs.policies.get('shop/p');
  await w.kube.create(kind, object('AuthorizationPolicy', 'p', 'shop', { metadata: { generation: 1 }, spec }));
  const first = await until('the policy', kept);
  const status = { conditions: [{ type: 'Programmed', status: 'True' }] };
  await w.kube.patch(kind, name, { status }, { subresource: 'status' });
  await until('word of it', () => w.told.some((o) => o.kind === 'AuthorizationPolicy' && o.status !== undefined));
  assert.equal(kept(), first);
  await w.kube.patch(kind, name, { metadata: { labels: { a: 'b' } } });
  await until('another label', () => kept()?.metadata.labels?.['a'] === 'b');
  await w.kube.patch(kind, name, { metadata: { generation: 2 }, spec: { action: 'DENY' } });
  await until('another spec', () => kept()?.spec?.action === 'DENY');
});

test("changes are counted under Istio's names, by what they may change", async () => {
  using w = await world();
  const lines = async (name: string) =>
    (await w.registry.getSingleMetricAsString(name)).split('\n').filter((l) => l.startsWith(`${name}{`));
  const service = { namespace: 'shop', name: 'web' };
  await w.kube.create(serviceKind, web);
  await w.kube.patch(serviceKind, service, { spec: { ports: [{ port: 81 }] } });
  await w.kube.create(podKind, object('Pod', 'web', 'shop', { spec: {} }));
  const policy = object('AuthorizationPolicy', 'p', 'shop', { spec: { action: 'DENY' } });
  await w.kube.create(authorizationPolicyKind, policy);
  await w.kube.delete(serviceKind, service);
  await until('all', async () => (await lines('pilot_inbound_updates')).length === 3);
  assert.deepEqual((await lines('pilot_inbound_updates')).sort(), [
    'pilot_inbound_updates{type="config"} 1',
    'pilot_inbound_updates{type="svc"} 2',
    'pilot_inbound_updates{type="svcdelete"} 1',
  ]);
  assert.deepEqual(await lines('pilot_k8s_cfg_events'), [
    'pilot_k8s_cfg_events{type="AuthorizationPolicy",event="add"} 1',
  ]);
  await until('the pod', async () => (await lines('pilot_k8s_reg_events')).length === 4);
  assert.deepEqual((await lines('pilot_k8s_reg_events')).sort(), [
    'pilot_k8s_reg_events{type="Pods",event="add"} 1',
    ...['add', 'delete', 'update'].map((e) => `pilot_k8s_reg_events{type="Services",event="${e}"} 1`),
  ]);
});

test('the name of a gateway to another network is followed; that it cannot be resolved is a problem of its Gateway', async () => {
  const clock = new FakeClock();
  let answer = () => Promise.reject<readonly NameRecord[]>(new Error('SERVFAIL'));
  using w = await world(['istio'], 'default', undefined, clock, () => answer());
  const { index } = w.mesh;
  const scope = { namespaces: undefined, services: undefined, scope: 'GLOBAL' as const };
  index.configure({ ...index.settings, multiNetwork: true, serviceScopes: [scope] });
  const listeners = [{ name: 'hbone', port: 15_008, protocol: 'HBONE' }];
  const addresses = [{ type: 'Hostname', value: 'ew.example' }];
  const way = object('Gateway', 'ew', 'istio-system', {
    metadata: { labels: { 'topology.istio.io/network': 'net-2' } },
    spec: { gatewayClassName: 'istio-remote', listeners, addresses },
  });
  const far = object('WorkloadEntry', 'far', 'shop', {
    spec: { address: '192.0.2.7', network: 'net-2', labels: { app: 'web' } },
  });
  await w.kube.create(gatewayKind, way);
  await w.kube.create(workloadEntryKind, { ...far, apiVersion: 'networking.istio.io/v1' });
  await w.kube.create(serviceKind, { ...web, spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } });
  await until('the service there', () => [...index.addresses.keys()].some((k) => k.includes('SplitHorizon')));
  const ips = () => {
    const { outcome } = index.envoy.trace((view) => view.endpoints(view.service(key)!).map((e) => e.address));
    return outcome.kind === 'failed' ? undefined : outcome.value.flatMap((a) => (a.kind === 'gateway' ? a.ips : []));
  };
  assert.equal(ips(), undefined, 'no answer yet');
  await until('an answer', () => ips() !== undefined);
  const [problem] = w.mesh.problems();
  assert.deepEqual(
    [problem?.kind, problem?.namespace, problem?.name, problem?.message],
    [
      'Gateway',
      'istio-system',
      'ew',
      'address ew.example cannot be resolved, so Envoys are told of no newer way there: SERVFAIL',
    ],
  );
  answer = () => Promise.resolve([{ ip: ip('192.0.2.9'), ttlSeconds: 60 }]);
  clock.advance(30_000);
  await until('the address', () => ips()?.join() === '192.0.2.9');
  assert.deepEqual(w.mesh.problems(), []);
  await w.kube.delete(gatewayKind, { namespace: 'istio-system', name: 'ew' });
  await until('it to be gone', () => index.inputs.gateways.get('istio-system/ew') === undefined);
  clock.advance(60_000);
  assert.equal(clock.timers, 0, 'nobody wants it');
});
