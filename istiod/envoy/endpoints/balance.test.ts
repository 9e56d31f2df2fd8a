import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../../../common/core/net.ts';
import type { MeshEndpoint } from '../inputs.ts';
import { waypointProxy } from '../routes/testing/proxy.ts';
import { type Balancing, balanced } from './balance.ts';

const place = (text: string) => {
  const [region = '', zone = '', subzone = ''] = text.split('/');
  return { region, zone, subzone };
};
const proxy = waypointProxy({ locality: place('r1/z1/s1'), node: 'node-1' });
const endpoint = (at: string, more: Partial<MeshEndpoint> = {}): MeshEndpoint => ({
  uid: at,
  address: { kind: 'ip', ip: parseIp('10.0.0.1')! },
  ports: new Map([[80, 80]]),
  labels: {},
  locality: place(at),
  node: 'node-2',
  network: '',
  cluster: 'c',
  weight: 1,
  isHealthy: true,
  isHbone: true,
  namespace: 'shop',
  serviceAccount: 'a',
  trustDomain: 'cluster.local',
  workload: 'w',
  canonical: { name: 'w', revision: 'latest' },
  ...more,
});
const all = ['r1/z1/s1', 'r1/z1/s2', 'r1/z2/s1', 'r2/z1/s1', 'r3/z1/s1'].map((at) => endpoint(at));
const order = (balancing: Balancing, endpoints = all) =>
  Object.fromEntries(
    balanced(endpoints, proxy, balancing).flatMap((g) => g.endpoints.map((e) => [e.uid, [g.priority, g.weight]])),
  );

test('without failover no locality comes before another', () => {
  const localities = order({ kind: 'localities', distribute: [], failover: undefined });
  assert.deepEqual(new Set(Object.values(localities).map(([p]) => p)), new Set([0]));
});

test('with it nearer ones come first, and a region may name the one that takes over', () => {
  const regions = [{ from: 'r1', to: 'r3' }];
  assert.deepEqual(order({ kind: 'localities', distribute: [], failover: { regions, labels: [] } }), {
    'r1/z1/s1': [0, 1],
    'r1/z1/s2': [1, 1],
    'r1/z2/s1': [2, 1],
    'r3/z1/s1': [3, 1],
    'r2/z1/s1': [4, 1],
  });
});

test('shares and failover together: what has no share takes over', () => {
  const distribute = [{ from: 'r1/*', to: { 'r1/z1/*': 80, 'r1/z2/*': 20, 'r2/*': 0 } }];
  assert.deepEqual(order({ kind: 'localities', distribute, failover: { regions: [], labels: [] } }), {
    'r1/z1/s1': [0, 80],
    'r1/z1/s2': [0, 80],
    'r1/z2/s1': [0, 20],
    'r3/z1/s1': [1, 1],
  });
  const alone = order({ kind: 'localities', distribute, failover: undefined });
  assert.equal(alone['r3/z1/s1'], undefined);
});

test('labels in order: who shares the first ones comes first', () => {
  const labels = ['topology.kubernetes.io/region', 'version=v1'];
  const endpoints = [
    endpoint('r1/z9', { labels: { version: 'v1' } }),
    endpoint('r1/z8', { labels: { version: 'v2' } }),
    endpoint('r2/z7', { labels: { version: 'v1' } }),
  ];
  const failover = { regions: [], labels };
  const priorities = order({ kind: 'localities', distribute: [], failover }, endpoints);
  assert.deepEqual(priorities, { 'r1/z9': [0, 1], 'r1/z8': [1, 1], 'r2/z7': [2, 1] });
});

test('traffic distribution: nearer first; strictly so, others get nothing', () => {
  const scopes = ['NETWORK', 'REGION', 'ZONE'] as const;
  assert.deepEqual(order({ kind: 'preferred', scopes, strict: false }, all.slice(1)), {
    'r1/z1/s2': [0, 1],
    'r1/z2/s1': [1, 1],
    'r2/z1/s1': [2, 1],
    'r3/z1/s1': [2, 1],
  });
  const own = endpoint('r1/z1/own', { node: 'node-1' });
  assert.deepEqual(Object.keys(order({ kind: 'preferred', scopes: ['NODE'], strict: true }, [...all, own])), [
    'r1/z1/own',
  ]);
});

test('priorities begin at 0 and have no gaps, weights are above 0', () => {
  const at = fc.constantFrom('r1/z1/s1', 'r1/z1/s2', 'r1/z2/s1', 'r2/z1/s1', 'r3/z3/s3', '');
  const endpoints = fc.array(fc.tuple(at, fc.integer({ min: 1, max: 9 })), { maxLength: 8 });
  const failover = fc.option(fc.record({ regions: fc.constant([{ from: 'r1', to: 'r2' }]), labels: fc.constant([]) }), {
    nil: undefined,
  });
  const distribute = fc.array(
    fc.record({
      from: fc.constantFrom('*', 'r1/z1/s1', 'r2'),
      to: fc.dictionary(at, fc.integer({ min: 0, max: 100 })),
    }),
    { maxLength: 2 },
  );
  fc.assert(
    fc.property(endpoints, failover, distribute, (some, over, shares) => {
      const made = some.map(([where, weight], i) => endpoint(where, { uid: String(i), weight }));
      const groups = balanced(made, proxy, { kind: 'localities', distribute: shares, failover: over });
      const priorities = [...new Set(groups.map((g) => g.priority))].sort();
      assert.deepEqual(
        priorities,
        priorities.map((_, i) => i),
      );
      for (const g of groups) assert.ok(g.weight > 0);
    }),
  );
});
