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
const viewOf = (rules: readonly DestinationRule[], policies: readonly object[] = []) => {
  const facts = { rootNamespace: 'istio-system', destinationRuleExportTo: ['*'] };
  return { facts, destinationRules: () => rules, trafficPolicies: () => policies } as unknown as MeshView;
};
const service = { hostname: host, namespace: 'shop' } as MeshService;
const limitSeen = (rules: readonly DestinationRule[], from: string, labels?: Readonly<Record<string, string>>) => {
  return policyOf(rulesFor(viewOf(rules), service, from, labels), 80).connectionPool?.tcp?.maxConnections;
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

test('an XBackendTrafficPolicy bounds retries where no rule does, on all ports', () => {
  const policy = (retryConstraint?: object) => ({ spec: { targetRefs: [], retryConstraint } });
  const seen = (rules: readonly DestinationRule[], ...policies: readonly object[]) =>
    policyOf(rulesFor(viewOf(rules, policies), service, 'shop', undefined), 81).retryBudget;
  const given = policy({ budget: { percent: 0 }, minRetryRate: { count: 1, interval: '1s' } });
  assert.deepEqual(seen([], policy(), given, policy({})), { percent: 0, minRetryConcurrency: 1 });
  assert.deepEqual(seen([], policy({})), { percent: 20, minRetryConcurrency: 10 });
  const port = { portLevelSettings: [{ port: { number: 81 }, ...limit(2) }] };
  assert.deepEqual(seen([rule('p', 'shop', { host, trafficPolicy: port })], given)?.percent, 0);
  const own = rule('o', 'shop', { host, trafficPolicy: { retryBudget: { percent: 50 } } });
  assert.deepEqual(seen([own], given), { percent: 50 });
  assert.equal(seen([], policy()), undefined);
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
