import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compare, namesIn } from './compare.ts';
import { type ProxyRow, statusOf, subscribedTable, verboseTable } from './table.ts';

const now = 1_000_000;
const sync = (over: object = {}) => ({
  sent: '2',
  acked: '2',
  sentTime: new Date(now - 60_000).toISOString(),
  ...over,
});
const row = (proxy: string, resources: ProxyRow['resources']): ProxyRow => ({
  cluster_id: 'Kubernetes',
  proxy,
  proxy_type: 'ztunnel',
  istio_version: '1',
  istiod: 'istiod-a',
  resources,
});
const type = (name: string) => `type.googleapis.com/${name}`;
const cds = type('envoy.config.cluster.v3.Cluster');
const wds = type('istio.workload.Address');
const rows = [
  row('b.shop', { [wds]: sync(), [type('istio.security.Authorization')]: sync() }),
  row('a.shop', { [cds]: sync({ acked: '1' }) }),
];

test('types by their short names, in order', () => {
  assert.deepEqual(subscribedTable(rows).lines, [
    ['a.shop', 'Kubernetes', 'istiod-a', '1', '1 (CDS)'],
    ['b.shop', 'Kubernetes', 'istiod-a', '1', '2 (WADS,WDS)'],
  ]);
  assert.deepEqual(verboseTable(rows, now).header, [
    'NAME',
    'CLUSTER',
    'CDS',
    'LDS',
    'EDS',
    'RDS',
    'ECDS',
    'WADS',
    'WDS',
    'ISTIOD',
    'VERSION',
  ]);
  assert.deepEqual(verboseTable(rows, now).lines[0]?.slice(2, 4), ['STALE (60s)', 'IGNORED']);
});

test('statuses', () => {
  assert.equal(statusOf(sync(), now), 'SYNCED (60s)');
  assert.equal(statusOf(sync({ sent: '', acked: '' }), now), 'NOT SENT');
  assert.equal(statusOf(sync({ lastError: 'no' }), now), 'ERROR');
});

test('what a proxy has is compared with what was sent', () => {
  const envoy = namesIn({
    configs: [
      { dynamic_active_clusters: [{ cluster: { name: 'a' } }, { cluster: { name: 'c' } }] },
      { dynamic_listeners: [{ name: 'l' }] },
    ],
  });
  const sent = (t: string, ...names: readonly string[]) => ({
    '@type': t,
    waiting: false,
    resources: names.map((name) => ({ name })),
  });
  assert.deepEqual(compare([sent(cds, 'a', 'b'), sent(type('envoy.config.listener.v3.Listener'), 'l')], envoy), {
    lines: ["Clusters Don't Match", '  only in istiod: b', '  only in the proxy: c', 'Listeners Match'],
    same: false,
  });
  const ztunnel = namesIn({ workloads: [{ uid: 'w' }], services: [{ namespace: 's', hostname: 'h' }], policies: [] });
  assert.deepEqual(compare([sent(wds, 'w', 's/h')], ztunnel), { lines: ['Workloads and services Match'], same: true });
});
