import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DestinationRule } from '../../../common/kube/kinds/istio/destination-rule.ts';
import type { MeshService, MeshView } from '../inputs.ts';
import { policyOf, rulesFor } from './rules.ts';

const rule = (name: string, namespace: string, spec: DestinationRule['spec']): DestinationRule => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'DestinationRule',
  metadata: { name, namespace, uid: name, resourceVersion: '1' },
  spec,
});
const host = 'web.shop.svc.cluster.local';
const limit = (maxConnections: number) => ({ connectionPool: { tcp: { maxConnections } } });
const limitSeen = (rules: readonly DestinationRule[], from: string, labels?: Readonly<Record<string, string>>) => {
  const facts = { rootNamespace: 'istio-system', destinationRuleExportTo: ['*'] };
  const view = { facts, destinationRules: () => rules } as unknown as MeshView;
  const service = { hostname: host, namespace: 'shop' } as MeshService;
  return policyOf(rulesFor(view, service, from, labels), 80).connectionPool?.tcp?.maxConnections;
};

test("the client's namespace comes before the service's, and that before the root", () => {
  const root = rule('r', 'istio-system', { host, trafficPolicy: limit(1) });
  const own = rule('o', 'shop', { host, trafficPolicy: limit(2) });
  const client = rule('c', 'away', { host, trafficPolicy: limit(3) });
  assert.equal(limitSeen([root], 'away'), 1);
  assert.equal(limitSeen([root, own], 'away'), 2);
  assert.equal(limitSeen([root, own, client], 'away'), 3);
  assert.equal(limitSeen([root, own, client], 'shop'), 2);
});

test('a host in full comes before a wildcard; what is not exported, or is for other workloads, does not count', () => {
  const wild = rule('w', 'shop', { host: '*.svc.cluster.local', trafficPolicy: limit(1) });
  const full = rule('f', 'shop', { host: 'web', trafficPolicy: limit(2) });
  assert.equal(limitSeen([wild, full], 'shop'), 2);
  assert.equal(limitSeen([rule('x', 'shop', { host, exportTo: ['.'], trafficPolicy: limit(3) })], 'away'), undefined);
  const some = rule('s', 'shop', { host, workloadSelector: { matchLabels: { a: 'b' } }, trafficPolicy: limit(4) });
  assert.equal(limitSeen([some], 'shop'), undefined);
  assert.equal(limitSeen([some], 'shop', { a: 'b' }), 4);
});

test('a port takes nothing from the policy above it, a subset part by part', () => {
  const policy = {
    ...limit(1),
    outlierDetection: { interval: '1s' },
    portLevelSettings: [{ port: { number: 81 }, ...limit(2) }],
  };
  const rules = { policy, subsets: [] };
  assert.deepEqual(policyOf(rules, 81), limit(2));
  assert.deepEqual(policyOf(rules, 80, { name: 'v1', trafficPolicy: limit(3) }), {
    ...limit(3),
    outlierDetection: { interval: '1s' },
  });
});
