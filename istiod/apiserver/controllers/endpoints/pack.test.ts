import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Node, Pod, Service } from '../../../../common/kube/kinds/core.ts';
import type { EndpointSlice } from '../../../../common/kube/kinds/discovery.ts';
import { pack, sliceLimit } from './pack.ts';
import { type Group, groupsOf } from './pods.ts';
import { mirrored, subsetsOf } from './subsets.ts';

const endpoint = (n: number, ready = true) => ({
  addresses: [`10.0.${n >> 8}.${n & 255}`],
  conditions: { ready },
  targetRef: { uid: `u${n}` },
});
const group = (ns: readonly number[], ready = true): Group => ({
  family: 'IPv4',
  ports: [{ name: '', port: 80, protocol: 'TCP' }],
  endpoints: ns.map((n) => endpoint(n, ready)),
});

let made = 0;
const asSlice = (g: Group): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: `s${made++}`, uid: '', resourceVersion: '' },
  addressType: g.family,
  ports: [...g.ports],
  endpoints: [...g.endpoints],
});
function applied(existing: readonly EndpointSlice[], groups: readonly Group[]): readonly EndpointSlice[] {
  const { create, update, remove } = pack(existing, groups);
  const kept = existing.filter((s) => !remove.includes(s));
  const changed = kept.map((s) => ({
    ...s,
    endpoints: update.find((u) => u.slice === s)?.endpoints ?? s.endpoints ?? [],
  }));
  return [...changed, ...create.map(asSlice)];
}

describe('pack', () => {
  test('whatever changes: each endpoint once, no slice above the limit, and then nothing more to do', () => {
    const sets = fc.uniqueArray(fc.integer({ min: 0, max: 400 }), { maxLength: 300, size: 'max' });
    fc.assert(
      fc.property(fc.array(fc.tuple(sets, fc.boolean()), { minLength: 1, maxLength: 5 }), (steps) => {
        let slices: readonly EndpointSlice[] = [];
        for (const [ns, ready] of steps) {
          slices = applied(slices, [group(ns, ready)]);
          const all = slices.flatMap((s) => s.endpoints ?? []);
          assert.deepEqual(all.map((e) => e.targetRef!.uid).sort(), ns.map((n) => `u${n}`).sort());
          assert.ok(all.every((e) => e.conditions?.ready === ready));
          assert.ok(slices.every((s) => (s.endpoints ?? []).length <= sliceLimit));
          assert.ok(slices.length >= 1);
          assert.deepEqual(pack(slices, [group(ns, ready)]), { create: [], update: [], remove: [] });
        }
      }),
      { numRuns: 50 },
    );
  });

  test('a change of one endpoint touches one slice', () => {
    const ns = Array.from({ length: 250 }, (_, i) => i);
    const slices = applied([], [group(ns)]);
    assert.equal(slices.length, 3);
    const { create, update, remove } = pack(slices, [group(ns.filter((n) => n !== 120))]);
    assert.deepEqual([create.length, update.length, remove.length], [0, 1, 0]);
  });
});

const service = (spec: object): Service =>
  ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop', uid: 's', resourceVersion: '1' },
    spec: {
      selector: { app: 'web' },
      ipFamilies: ['IPv4', 'IPv6'],
      ports: [{ name: 'http', port: 80, targetPort: 'web' }],
      ...spec,
    },
  }) as Service;
const pod = (
  name: string,
  over: { ready?: boolean; ending?: boolean; phase?: string; port?: string; spec?: object } = {},
): Pod =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'shop',
      uid: name,
      resourceVersion: '1',
      ...(over.ending ? { deletionTimestamp: 'now' } : {}),
    },
    spec: {
      nodeName: 'n',
      containers: [{ name: 'c', ports: [{ name: over.port ?? 'web', containerPort: 8080 }] }],
      ...over.spec,
    },
    status: {
      phase: over.phase ?? 'Running',
      podIPs: [{ ip: '10.244.1.2' }, { ip: 'fd00::2' }],
      conditions: [{ type: 'Ready', status: over.ready === false ? 'False' : 'True' }],
    },
  }) as Pod;
const node = () => ({ metadata: { labels: { 'topology.kubernetes.io/zone': 'z1' } } }) as unknown as Node;

describe('groupsOf', () => {
  test('both families, named ports, zone and node', () => {
    const groups = groupsOf(service({}), [pod('a')], node);
    assert.deepEqual(
      groups.map((g) => [g.family, g.endpoints[0]!.addresses[0], g.ports]),
      [
        ['IPv4', '10.244.1.2', [{ name: 'http', port: 8080, protocol: 'TCP' }]],
        ['IPv6', 'fd00::2', [{ name: 'http', port: 8080, protocol: 'TCP' }]],
      ],
    );
    const { zone, nodeName, targetRef } = groups[0]!.endpoints[0]!;
    assert.deepEqual([zone, nodeName, targetRef!.name], ['z1', 'n', 'a']);
  });

  test('ready, serving and terminating', () => {
    const rows = [
      [{}, { ready: true, serving: true, terminating: false }],
      [{ ready: false }, { ready: false, serving: false, terminating: false }],
      [{ ending: true }, { ready: false, serving: true, terminating: true }],
    ] as const;
    for (const [over, expected] of rows) {
      assert.deepEqual(groupsOf(service({}), [pod('a', over)], node)[0]!.endpoints[0]!.conditions, expected);
    }
    const published = groupsOf(service({ publishNotReadyAddresses: true }), [pod('a', { ready: false })], node);
    assert.equal(published[0]!.endpoints[0]!.conditions!.ready, true);
    assert.deepEqual(groupsOf(service({}), [pod('a', { phase: 'Succeeded' })], node)[0]!.endpoints, []);
  });

  test('pods whose port of that name is another one are another group; host names are of the own subdomain', () => {
    const other = pod('b', { port: 'other' });
    assert.equal(groupsOf(service({ ipFamilies: ['IPv4'] }), [pod('a'), other], node).length, 2);
    const named = pod('a', { spec: { hostname: 'db-0', subdomain: 'web' } });
    assert.equal(groupsOf(service({}), [named], node)[0]!.endpoints[0]!.hostname, 'db-0');
  });
});

test('the older Endpoints, and slices from those of a user', () => {
  const { subsets } = subsetsOf(service({}), [pod('a'), pod('b', { ready: false }), pod('c', { ending: true })]);
  assert.deepEqual(
    subsets[0]!.addresses!.map((a) => a.targetRef!['name']),
    ['a'],
  );
  assert.deepEqual(
    subsets[0]!.notReadyAddresses!.map((a) => a.targetRef!['name']),
    ['b'],
  );
  assert.deepEqual(subsets[0]!.ports, [{ name: 'http', port: 8080, protocol: 'TCP' }]);
  const user = {
    subsets: [{ addresses: [{ ip: '192.0.2.1' }, { ip: '2001:db8::1' }], ports: [{ port: 80, protocol: 'TCP' }] }],
  };
  assert.deepEqual(
    mirrored(user as never).map((g) => [g.family, g.endpoints[0]!.addresses[0], g.ports[0]!.name]),
    [
      ['IPv4', '192.0.2.1', ''],
      ['IPv6', '2001:db8::1', ''],
    ],
  );
});
