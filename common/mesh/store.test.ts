import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Ip } from '../core/net.ts';
import { fewIps, fewNames, networkAddresses } from '../testing/arbitraries.ts';
import { ip, networkAddress, policy, serves, service, workload } from '../testing/builders.ts';
import { cidrContains } from '../testing/cidr.ts';
import { type MeshBatch, type MeshChanges, MeshStore, policyKey, serviceKey } from './store.ts';
import type { AuthorizationPolicy, Service, Workload } from './types.ts';

/** Keeps lists and scans them: slow, and plain enough to be read against ambient-wire 2.1 and 3.6. */
class NaiveStore {
  workloads: Workload[] = [];
  services: Service[] = [];
  policies: AuthorizationPolicy[] = [];

  apply(b: MeshBatch): void {
    for (const name of b.removedAddresses ?? []) {
      if (this.workloads.some((w) => w.uid === name)) this.workloads = this.workloads.filter((w) => w.uid !== name);
      else if (name.split('/').length <= 2) this.services = this.services.filter((s) => serviceKey(s) !== name);
    }
    for (const a of b.addresses ?? []) {
      if (a.kind === 'workload') {
        const old = this.workloads.find((w) => w.uid === a.uid);
        if (old && JSON.stringify([old, [...old.services]]) === JSON.stringify([a, [...a.services]])) continue;
        this.workloads = [...this.workloads.filter((w) => w.uid !== a.uid), a];
      } else {
        const i = this.services.findIndex((s) => serviceKey(s) === serviceKey(a));
        if (i < 0) this.services.push(a);
        else this.services[i] = a;
      }
    }
    for (const name of b.removedPolicies ?? []) this.policies = this.policies.filter((p) => policyKey(p) !== name);
    for (const p of b.policies ?? [])
      this.policies = [...this.policies.filter((o) => policyKey(o) !== policyKey(p)), p];
  }

  workloadByIp(network: string, address: Ip): Workload | undefined {
    const rank = (w: Workload) => {
      const pod = w.uid.includes('//Pod/');
      const hbone = w.tunnelProtocol === 'HBONE';
      return pod && hbone ? 3 : pod ? 2 : hbone ? 1 : 0;
    };
    const sharing = this.workloads.filter(
      (w) => w.networkMode === 'STANDARD' && w.network === network && w.addresses.includes(address),
    );
    const top = Math.max(...sharing.map(rank));
    return sharing.filter((w) => rank(w) === top).at(-1);
  }

  serviceByVip(network: string, address: Ip, client: string): Service | undefined {
    const visible = this.services.filter((s) => s.visibility === 'PUBLIC' || s.namespace === client);
    const exact = visible.filter((s) =>
      s.addresses.some((a) => a.network === network && a.ip === address && a.length === undefined),
    );
    if (exact.length > 0) return best(exact, (s) => [s.namespace === client, s.canonical]);
    const lengthIn = (s: Service) =>
      Math.max(
        -1,
        ...s.addresses
          .filter((a) => a.network === network && a.length !== undefined)
          .filter((a) => cidrContains({ ip: a.ip, length: a.length! }, address))
          .map((a) => a.length!),
      );
    const wide = visible.filter((s) => lengthIn(s) >= 0);
    return best(wide, (s) => [s.namespace === client, lengthIn(s), s.canonical]);
  }

  serviceByHostname(hostname: string, client: string, preferred: string | undefined): Service | undefined {
    const visible = this.services.filter((s) => s.visibility === 'PUBLIC' || s.namespace === client);
    return best(
      visible.filter((s) => s.hostname === hostname),
      (s) => [s.namespace === client, s.canonical, s.namespace === preferred],
    );
  }

  endpoints(s: Service): string[] {
    return this.workloads
      .filter((w) => w.services.has(serviceKey(s)))
      .filter((w) => s.loadBalancing?.healthPolicy === 'ALLOW_ALL' || w.status === 'HEALTHY')
      .map((w) => w.uid)
      .sort();
  }
}

/** The first of those whose rank is highest, compared item by item. */
function best(list: readonly Service[], rank: (s: Service) => readonly (boolean | number)[]): Service | undefined {
  let found: Service | undefined;
  for (const s of list) {
    if (!found) found = s;
    else {
      const [x, y] = [rank(s).map(Number), rank(found).map(Number)];
      const i = x.findIndex((v, k) => v !== y[k]);
      if (i >= 0 && x[i]! > y[i]!) found = s;
    }
  }
  return found;
}

const hosts = fc.constantFrom('h1', 'h2');
const keys = fc.tuple(fewNames, hosts).map(([ns, host]) => `${ns}/${host}`);

const someWorkload = fc
  .record({
    uid: fc.constantFrom('K//Pod/a/x', 'K//Pod/a/y', 'K//Pod/b/x', 'K/networking.istio.io/WorkloadEntry/a/x', 'a/h1'),
    name: fewNames,
    namespace: fewNames,
    addresses: fc.uniqueArray(fewIps, { maxLength: 2 }),
    network: fc.constantFrom('', 'net-2'),
    hostname: fc.constantFrom('', 'db.example'),
    tunnelProtocol: fc.constantFrom('NONE' as const, 'HBONE' as const),
    networkMode: fc.constantFrom('STANDARD' as const, 'STANDARD' as const, 'HOST_NETWORK' as const),
    status: fc.constantFrom('HEALTHY' as const, 'UNHEALTHY' as const),
    services: fc.array(keys, { maxLength: 2 }).map((list) => new Map(list.map((k) => [k, []]))),
    authorizationPolicies: fc.uniqueArray(fc.constantFrom('a/p', 'b/q', 'c/none'), { maxLength: 2 }),
  })
  .map(workload);

const someService = fc
  .record({
    namespace: fewNames,
    hostname: hosts,
    addresses: fc.array(networkAddresses(fewIps), { maxLength: 2 }),
    canonical: fc.boolean(),
    visibility: fc.constantFrom('PUBLIC' as const, 'NAMESPACE' as const),
    loadBalancing: fc.record({
      routingPreference: fc.constant([]),
      mode: fc.constant('UNSPECIFIED_MODE' as const),
      healthPolicy: fc.constantFrom('ONLY_HEALTHY' as const, 'ALLOW_ALL' as const),
    }),
  })
  .map(service);

const somePolicy = fc
  .record({
    namespace: fewNames,
    name: fc.constantFrom('p', 'q'),
    scope: fc.constantFrom('GLOBAL' as const, 'NAMESPACE' as const, 'WORKLOAD_SELECTOR' as const),
    dryRun: fc.boolean(),
  })
  .map(policy);

const someBatch: fc.Arbitrary<MeshBatch> = fc.record({
  addresses: fc.array(fc.oneof(someWorkload, someService), { maxLength: 4 }),
  removedAddresses: fc.array(
    fc.oneof(
      keys,
      someWorkload.map((w) => w.uid),
      fc.constant('a/b/c'),
    ),
    { maxLength: 2 },
  ),
  policies: fc.array(somePolicy, { maxLength: 2 }),
  removedPolicies: fc.array(somePolicy.map(policyKey), { maxLength: 1 }),
});

test('answers as a naive store does, whatever happened before', () => {
  fc.assert(
    fc.property(
      fc.array(someBatch, { maxLength: 12 }),
      fc.array(fewIps, { minLength: 3, maxLength: 3 }),
      (batches, ips) => {
        const store = new MeshStore();
        const naive = new NaiveStore();
        for (const batch of batches) {
          store.apply(batch);
          naive.apply(batch);
          assert.deepEqual(new Set(store.workloads()), new Set(naive.workloads));
          assert.deepEqual(new Set(store.policies()), new Set(naive.policies));
          for (const network of ['', 'net-2']) {
            for (const address of ips) {
              assert.deepEqual(store.workloadByIp(network, address), naive.workloadByIp(network, address));
              for (const client of ['a', 'b', 'z']) {
                assert.deepEqual(
                  store.serviceByVip(network, address, client),
                  naive.serviceByVip(network, address, client),
                  `VIP ${network}/${address} for ${client}`,
                );
              }
            }
          }
          for (const client of ['a', 'b', 'z']) {
            for (const preferred of [undefined, 'c']) {
              assert.deepEqual(
                store.serviceByHostname('h1', client, preferred),
                naive.serviceByHostname('h1', client, preferred),
              );
            }
          }
          for (const s of naive.services) {
            assert.deepEqual(store.service(serviceKey(s)), s);
            assert.deepEqual(
              store
                .endpoints(s)
                .map((e) => e.workload.uid)
                .sort(),
              naive.endpoints(s),
            );
          }
          const staged = naive.workloads.flatMap((w) => [...w.services.keys()]);
          const known = new Set(naive.services.map(serviceKey));
          assert.deepEqual(new Set(store.stagedServices()), new Set(staged.filter((k) => !known.has(k))));
          for (const w of naive.workloads) {
            const expected = naive.policies.filter(
              (p) =>
                p.scope === 'GLOBAL' ||
                (p.scope === 'NAMESPACE' && p.namespace === w.namespace) ||
                w.authorizationPolicies.includes(policyKey(p)),
            );
            const { policies, missing } = store.policiesFor(w);
            assert.deepEqual(new Set(policies), new Set(expected));
            assert.equal(policies.length, expected.length);
            const arrived = new Set(naive.policies.map(policyKey));
            assert.deepEqual(
              missing,
              w.authorizationPolicies.filter((k) => !arrived.has(k)),
            );
            assert.ok(store.workloadsByName(w.namespace, w.name).includes(store.workload(w.uid)!));
          }
        }
      },
    ),
    { numRuns: 150 },
  );
});

test('announces a batch once, with what it really changed', () => {
  const store = new MeshStore();
  const seen: MeshChanges[] = [];
  const stop = store.onChange((c) => seen.push(c));
  const w = workload();
  const s = service();
  const p = policy();
  store.apply({ addresses: [w, s], policies: [p] });
  store.apply({ addresses: [structuredClone(w), structuredClone(s)], policies: [structuredClone(p)] });
  assert.equal(seen.length, 1);
  assert.deepEqual(seen[0], {
    workloads: new Set([w.uid]),
    services: new Set([serviceKey(s)]),
    policies: new Set(['default/policy']),
  });
  assert.equal(store.workload(w.uid), w, 'what came again unchanged keeps its object');
  store.apply({ removedAddresses: [w.uid, 'no/such'], removedPolicies: ['no/such'] });
  assert.deepEqual(seen[1], { workloads: new Set([w.uid]), services: new Set(), policies: new Set() });
  stop();
  store.apply({ addresses: [w] });
  assert.equal(seen.length, 2);
});

test('endpoints that came before their service are there when it comes', () => {
  const store = new MeshStore();
  const s = service();
  const w = workload({ services: serves(s) });
  store.apply({ addresses: [w] });
  assert.deepEqual(store.endpoints(s), []);
  assert.deepEqual(store.stagedServices(), [serviceKey(s)]);
  store.apply({ addresses: [s] });
  assert.deepEqual(store.endpoints(s), [{ workload: w, ports: [{ servicePort: 80, targetPort: 8080 }] }]);
  assert.deepEqual(store.stagedServices(), []);
});

test('a list that a reader holds does not change under it', () => {
  const store = new MeshStore();
  const s = service();
  const w = workload({ services: serves(s) });
  store.apply({ addresses: [s, w] });
  const before = store.endpoints(s);
  store.apply({ removedAddresses: [w.uid] });
  assert.equal(before.length, 1);
  assert.deepEqual(store.endpoints(s), []);
});

test('a reused address belongs to the latest pod, and to nobody when that is gone', () => {
  const store = new MeshStore();
  const addresses = [ip('10.0.0.7')];
  const old = workload({ name: 'old', addresses });
  const fresh = workload({ name: 'fresh', addresses });
  store.apply({ addresses: [old] });
  store.apply({ addresses: [fresh] });
  assert.equal(store.workloadByIp('', ip('10.0.0.7')), fresh);
  store.apply({ removedAddresses: [old.uid, fresh.uid] });
  assert.equal(store.workloadByIp('', ip('10.0.0.7')), undefined);
});

test('of CIDR VIPs the own namespace wins, then the longer prefix; an exact VIP beats both', () => {
  const store = new MeshStore();
  const cidrs = (namespace: string, ...list: string[]) =>
    service({ namespace, hostname: `${list[0]}`, addresses: list.map(networkAddress) });
  const wide = cidrs('mine', '/10.0.0.0/8');
  const long = cidrs('other', '/10.1.0.0/16');
  const exact = cidrs('other', '/10.1.0.1');
  store.apply({ addresses: [wide, long, exact] });
  assert.equal(store.serviceByVip('', ip('10.1.2.3'), 'mine'), wide);
  assert.equal(store.serviceByVip('', ip('10.1.2.3'), 'third'), long);
  assert.equal(store.serviceByVip('', ip('10.1.0.1'), 'mine'), exact);
  assert.equal(store.serviceByVip('net-2', ip('10.1.2.3'), 'mine'), undefined);
});

test('references by hostname find the service first, then a workload of that namespace', () => {
  const store = new MeshStore();
  const w = workload({ namespace: 'a', hostname: 'db.example' });
  store.apply({ addresses: [w] });
  assert.equal(store.addressByHostname('a', 'db.example'), w);
  assert.equal(store.addressByHostname('b', 'db.example'), undefined);
  const s = service({ namespace: 'a', hostname: 'db.example' });
  store.apply({ addresses: [s] });
  assert.equal(store.addressByHostname('a', 'db.example'), s);
  store.apply({ addresses: [workload({ name: 'nameless' })] });
  assert.equal(store.addressByHostname('default', ''), undefined);
});

test('names are removed as a uid first, and as a service only with one slash', () => {
  const store = new MeshStore();
  const s = service({ namespace: 'a', hostname: 'b' });
  const w = workload({ uid: 'a/b' });
  store.apply({ addresses: [s, w] });
  store.apply({ removedAddresses: ['a/b'] });
  assert.deepEqual([store.workloads().length, store.services().length], [0, 1]);
  store.apply({ removedAddresses: ['a/b'] });
  assert.equal(store.services().length, 0);
  store.apply({ addresses: [service({ namespace: 'a', hostname: 'b/c' })], removedAddresses: [] });
  store.apply({ removedAddresses: ['a/b/c'] });
  assert.equal(store.services().length, 1);
});
