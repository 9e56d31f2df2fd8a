import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { createInformer } from '../../common/kube/informer.ts';
import { type ServiceEntry, serviceEntryKind } from '../../common/kube/kinds/istio/service-entry.ts';
import { FakeKube } from '../../common/testing/fake-kube.ts';
import { until } from '../../common/testing/until.ts';
import { AddressAllocator } from './allocator.ts';
import { type Given, planAddresses } from './plan.ts';

interface Options {
  readonly age?: number;
  readonly hosts?: readonly string[];
  readonly addresses?: readonly string[];
  readonly resolution?: ServiceEntry['spec']['resolution'];
  readonly labels?: Readonly<Record<string, string>>;
  readonly given?: readonly Given[];
}

const entry = (name: string, o: Options = {}): ServiceEntry => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: {
    name,
    namespace: 'shop',
    uid: name,
    resourceVersion: '1',
    creationTimestamp: `2026-01-0${o.age ?? 1}T00:00:00Z`,
    labels: o.labels ?? {},
  },
  spec: {
    hosts: o.hosts ?? [`${name}.example.com`],
    resolution: o.resolution ?? 'DNS',
    ...(o.addresses && { addresses: o.addresses }),
  },
  ...(o.given && { status: { addresses: o.given } }),
});
const at = (host: string, n: number): readonly Given[] => [
  { host, value: `240.240.0.${n}` },
  { host, value: `2001:2::${n.toString(16)}` },
];
const plan = (...entries: ServiceEntry[]) => Object.fromEntries(planAddresses(entries));

test('each host gets one address of each family, and keeps it', () => {
  assert.deepEqual(plan(entry('a', { hosts: ['a.x', 'b.x'] }), entry('b', { age: 2 })), {
    'shop/a': [...at('a.x', 1), ...at('b.x', 2)],
    'shop/b': at('b.example.com', 3),
  });
  assert.deepEqual(plan(entry('a', { given: at('a.example.com', 9) })), {});
  const grown = entry('a', { hosts: ['new.x', 'a.x'], given: at('a.x', 1) });
  assert.deepEqual(plan(grown), { 'shop/a': [...at('new.x', 2), ...at('a.x', 1)] });
  assert.deepEqual(plan(entry('a', { hosts: ['a.x'], given: [...at('a.x', 1), ...at('gone.x', 2)] })), {
    'shop/a': at('a.x', 1),
  });
  assert.deepEqual(plan(entry('a', { given: at('a.example.com', 4).slice(1) })), {
    'shop/a': [{ host: 'a.example.com', value: '240.240.0.1' }, at('a.example.com', 4)[1]!],
  });
});

test('who wants none gets none, and gives back what it had', () => {
  for (const o of [
    { addresses: ['192.0.2.1'] },
    { resolution: 'NONE' as const },
    { labels: { 'networking.istio.io/enable-autoallocate-ip': 'False' } },
    { hosts: ['*.example.com'] },
  ]) {
    assert.deepEqual(plan(entry('a', o)), {}, JSON.stringify(o));
    assert.deepEqual(plan(entry('a', { ...o, given: at('a.example.com', 1) })), { 'shop/a': [] }, JSON.stringify(o));
  }
  assert.deepEqual(plan(entry('a', { hosts: ['*.example.com'], resolution: 'DYNAMIC_DNS' })), {
    'shop/a': at('*.example.com', 1),
  });
});

test('of two with one address the older keeps it; one that a user wrote is left to it', () => {
  const given = at('x', 1);
  const [old, young] = [entry('old', { hosts: ['x'], given }), entry('young', { hosts: ['x'], given, age: 2 })];
  assert.deepEqual(plan(young, old), { 'shop/young': at('x', 2) });
  const user = entry('user', { addresses: ['240.240.0.1'], age: 3 });
  assert.deepEqual(plan(old, user), { 'shop/old': [{ host: 'x', value: '240.240.0.2' }, given[1]!] });
  const foreign = [{ host: 'a.example.com', value: '10.0.0.1' }, at('a.example.com', 1)[1]!];
  assert.deepEqual(plan(entry('a', { given: foreign })), { 'shop/a': at('a.example.com', 1) });
});

test('any entries come to rest: no address twice, nothing taken from who may keep it', () => {
  const host = fc.constantFrom('a', 'b', '*.c');
  const given = fc.array(
    fc.record({ host, value: fc.constantFrom('240.240.0.1', '240.240.0.2', '2001:2::1', '10.0.0.1', 'x') }),
    { maxLength: 3 },
  );
  const options = fc.record({
    age: fc.integer({ min: 1, max: 3 }),
    hosts: fc.array(host, { minLength: 1, maxLength: 3 }),
    given,
  });
  fc.assert(
    fc.property(fc.array(options, { maxLength: 6 }), (all) => {
      const entries = all.map((o, i) => entry(`e${i}`, o));
      const changes = planAddresses(entries);
      const after = entries.map((e) => {
        const addresses = changes.get(`shop/${e.metadata.name}`);
        return addresses ? { ...e, status: { addresses } } : e;
      });
      assert.equal(planAddresses(after).size, 0);
      const values = after.flatMap((e) => (e.status?.addresses ?? []).map((a) => a.value));
      assert.equal(new Set(values).size, values.length);
    }),
  );
});

test('addresses are written into status, again when somebody is faster', async () => {
  const kube = new FakeKube();
  const stop = new AbortController();
  const create = (name: string) => {
    const {
      metadata: { namespace },
      ...rest
    } = entry(name);
    return kube.create(serviceEntryKind, { ...rest, metadata: { name, namespace: namespace! } });
  };
  const informer = createInformer({
    source: kube,
    kind: serviceEntryKind,
    log: silentLogger,
    signal: stop.signal,
    handlers: { added: () => allocator.mark(), modified: () => allocator.mark(), deleted: () => allocator.mark() },
  });
  const allocator = new AddressAllocator({
    source: kube,
    clock: systemClock,
    log: silentLogger,
    entries: () => informer.objects,
  });
  await create('a');
  void allocator.run(stop.signal);
  const of = (name: string) => informer.get({ namespace: 'shop', name })?.status?.addresses;
  await until('the first', () => of('a')?.length === 2);
  await create('b');
  await until('the second', () => of('b')?.[0]?.value === '240.240.0.2');
  assert.deepEqual(of('a'), at('a.example.com', 1));
  stop.abort();
});
