import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseEnvoyDump } from '../proxy-config/dump.ts';
import { parseZtunnelDump } from '../ztunnel-config/dump.ts';
import { policiesOfEnvoy, policiesOfZtunnel, policyRows } from './policies.ts';

test('of a waypoint: HTTP and network filters, in the order in which they are asked', () => {
  const rbac = (action: string, ...names: readonly string[]) => ({
    rules: { action, policies: Object.fromEntries(names.map((n) => [n, {}])) },
  });
  const filters = [
    {
      name: 'envoy.filters.http.rbac',
      typed_config: rbac(
        'ALLOW',
        'ns[shop]-policy[a]-rule[0]',
        'ns[shop]-policy[a]-rule[1]',
        '_anonymous_match_nothing_',
      ),
    },
    { name: 'envoy.filters.http.rbac', typed_config: rbac('DENY', 'ns[shop]-policy[d]-rule[0]') },
  ];
  const chain = {
    filters: [
      { name: 'hcm', typed_config: { http_filters: filters } },
      { name: 'envoy.filters.network.rbac', typed_config: rbac('DENY', 'ns[x]-policy[n]-rule[0]') },
    ],
  };
  const dump = parseEnvoyDump(
    't',
    JSON.stringify({
      configs: [{ dynamic_listeners: [{ active_state: { listener: { filter_chains: [chain, chain] } } }] }],
    }),
  );
  assert.deepEqual(policyRows(policiesOfEnvoy(dump)), [
    ['DENY', 'd.shop', '1'],
    ['DENY', 'n.x', '1'],
    ['ALLOW', 'a.shop', '2'],
  ]);
});

test("of a node's proxy: the workload's own, its namespace's and all", () => {
  const policy = (name: string, namespace: string, scope: string) => ({
    name,
    namespace,
    scope,
    action: 'Allow',
    rules: [[]],
  });
  const dump = parseZtunnelDump(
    't',
    JSON.stringify({
      workloads: [{ uid: 'w', name: 'web', namespace: 'shop', authorizationPolicies: ['shop/own'] }],
      policies: [
        policy('own', 'shop', 'WorkloadSelector'),
        policy('other', 'shop', 'WorkloadSelector'),
        policy('ns', 'shop', 'Namespace'),
        policy('far', 'x', 'Namespace'),
        policy('all', 'istio-system', 'Global'),
      ],
    }),
  );
  const rows = policyRows(policiesOfZtunnel(dump, { name: 'web', namespace: 'shop' }));
  assert.deepEqual(
    rows.map((r) => r[1]),
    ['all.istio-system', 'ns.shop', 'own.shop'],
  );
  assert.equal(policyRows(policiesOfZtunnel(dump, undefined)).length, 5);
});
