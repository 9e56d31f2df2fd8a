import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { millis } from '../../common/core/brand.ts';
import { MeshError } from '../../common/core/errors.ts';
import { silentLogger } from '../../common/core/log.ts';
import {
  type WorkloadEntry,
  workloadEntryKind,
  workloadGroupKind,
} from '../../common/kube/kinds/istio/workload-entry.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { FakeKube } from '../../common/testing/fake-kube.ts';
import { until } from '../../common/testing/until.ts';
import { isUnhealthy, type Machine } from './entry.ts';
import { createMachineMetrics } from './metrics.ts';
import { type Guest, Registrar } from './registrar.ts';

const machine: Machine = {
  group: 'vms',
  namespace: 'shop',
  serviceAccount: 'vm',
  ip: '192.0.2.9',
  network: '',
  isProbed: true,
};
const key = { namespace: 'shop', name: 'vms-192.0.2.9' };
const grace = 10_000;

async function world() {
  const kube = new FakeKube();
  const clock = new FakeClock(Date.parse('2026-01-01T00:00:00Z'));
  const stop = new AbortController();
  const entries = new Map<string, WorkloadEntry>();
  const registry = new Registry();
  const metrics = createMachineMetrics(registry);
  /** auto_registration_NAME_total. */
  const counted = async (name: string) => {
    const metric = await registry.getSingleMetric(`auto_registration_${name}_total`)!.get();
    return metric.values[0]?.value;
  };
  const registrar = (instance: string) =>
    new Registrar({
      source: kube,
      instance,
      grace: millis(grace),
      entries: () => entries,
      metrics,
      clock,
      log: silentLogger,
      signal: stop.signal,
    });
  await kube.create(workloadGroupKind, {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadGroup',
    metadata: { namespace: 'shop', name: 'vms' },
    spec: {
      metadata: { labels: { app: 'vm' }, annotations: { note: 'x' } },
      template: { serviceAccount: 'vm', weight: 3, ports: { http: 8080 } },
    },
  });
  const entry = () => kube.get(workloadEntryKind, key);
  return { kube, clock, entries, registrar, entry, counted, [Symbol.dispose]: () => stop.abort() };
}

const guest = (of = machine): Guest & { readonly refusals: string[] } => {
  const refusals: string[] = [];
  return { machine: of, refusals, refuse: (reason) => refusals.push(reason) };
};
const annotation = (e: WorkloadEntry | undefined, name: string) => e?.metadata.annotations?.[`istio.io/${name}`];

test('a machine that comes gets an entry of its group, which goes a while after it', async () => {
  using w = await world();
  const registrar = w.registrar('a');
  const [one, two] = [guest(), guest()];
  registrar.came(one);
  registrar.came(two);
  const made = await until('the entry', w.entry);
  assert.deepEqual(made.spec, {
    serviceAccount: 'vm',
    weight: 3,
    ports: { http: 8080 },
    address: '192.0.2.9',
    labels: { app: 'vm', 'networking.istio.io/tunnel': 'http' },
  });
  const owner = made.metadata['ownerReferences' as never] as readonly { readonly name: string }[];
  assert.deepEqual([owner[0]?.name, annotation(made, 'autoRegistrationGroup')], ['vms', 'vms']);
  assert.deepEqual([annotation(made, 'workloadController'), made.metadata.annotations?.['note']], ['a', 'x']);
  registrar.went(one);
  registrar.went(one);
  registrar.went(two);
  await until('it to be marked', async () => annotation(await w.entry(), 'disconnectedAt') !== undefined);
  w.clock.advance(grace - 1);
  registrar.came(one);
  await until('it to be connected', async () => annotation(await w.entry(), 'connectedAt') !== undefined);
  w.clock.advance(grace);
  registrar.went(one);
  await until('it to be marked again', async () => annotation(await w.entry(), 'disconnectedAt') !== undefined);
  w.clock.advance(grace);
  await until('it to be gone', async () => (await w.entry()) === undefined);
  for (const [name, count] of Object.entries({ success: 1, updates: 2, unregister: 2, errors: 0 }))
    assert.equal(await w.counted(name), count, name);
  await until('it to be counted', async () => (await w.counted('deletes')) === 1);
});

test('a machine that goes on to another istiod keeps its entry', async () => {
  using w = await world();
  const [a, b] = [w.registrar('a'), w.registrar('b')];
  const [here, there] = [guest(), guest()];
  a.came(here);
  await until('the entry', w.entry);
  b.came(there);
  await until('it to be of the other', async () => annotation(await w.entry(), 'workloadController') === 'b');
  a.went(here);
  w.clock.advance(2 * grace);
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
  assert.equal(annotation(await w.entry(), 'disconnectedAt'), undefined);
});

test('what an istiod that is gone has left goes when nobody renews it', async () => {
  using w = await world();
  w.registrar('gone').came(guest());
  const made = await until('the entry', w.entry);
  const stop = new AbortController();
  const cleaning = w.registrar('next').clean(stop.signal);
  const own = { ...made, metadata: { ...made.metadata, name: 'own', annotations: {} } };
  w.entries.set('shop/own', own);
  w.entries.set('shop/vms-192.0.2.9', {
    ...made,
    metadata: {
      ...made.metadata,
      annotations: { ...made.metadata.annotations, 'istio.io/connectedAt': '2025-01-01T00:00:00Z' },
    },
  });
  await w.kube.patch(workloadEntryKind, key, {
    metadata: { annotations: { 'istio.io/connectedAt': '2025-01-01T00:00:00Z' } },
  });
  await until('it to be gone', async () => {
    w.clock.advance(10 * grace);
    return (await w.entry()) === undefined;
  });
  stop.abort();
  await cleaning;
});

test('without its group, for another account, with a wrong address or in place of an entry that somebody made it is refused', async () => {
  using w = await world();
  const registrar = w.registrar('a');
  const refused = async (of: Partial<Machine>, reason: RegExp) => {
    const g = guest({ ...machine, ...of });
    registrar.came(g);
    assert.match(await until('the refusal', () => g.refusals[0]), reason);
    registrar.went(g);
  };
  await refused({ group: 'none' }, /no WorkloadGroup shop\/none/);
  await refused({ serviceAccount: 'admin' }, /for service account "vm", the machine has admin/);
  await refused({ ip: 'x' }, /"x" is no address/);
  await w.kube.create(workloadEntryKind, {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: { namespace: 'shop', name: 'vms-192.0.2.10' },
    spec: { address: '192.0.2.10', serviceAccount: 'vm' },
  });
  await refused({ ip: '192.0.2.10' }, /somebody made it/);
});

test('health is told in the status, and what is probed counts as unhealthy before', async () => {
  using w = await world();
  const registrar = w.registrar('a');
  const g = guest();
  registrar.came(g);
  assert.ok(isUnhealthy(await until('the entry', w.entry)));
  registrar.health(g, undefined);
  await until('it to be healthy', async () => !isUnhealthy((await w.entry())!));
  w.kube.failPatches(new MeshError('CONFLICT', 'met'));
  registrar.health(g, 'HTTP 500');
  await until('it to be unhealthy', async () => {
    w.clock.advance(1_000);
    return isUnhealthy((await w.entry())!);
  });
  const condition = (await w.entry())?.status?.conditions?.find((c) => c.type === 'Healthy');
  assert.deepEqual([condition?.status, condition?.message], ['False', 'HTTP 500']);
});
