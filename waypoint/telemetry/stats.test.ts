import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Stats } from './stats.ts';

test('gauges that are kept elsewhere are read when the values are, and those of one name are added', () => {
  const stats = new Stats();
  stats.counter('cluster.a.b.upstream_cx_total').value = 3;
  let open = 1;
  stats.observe(() => [['cluster.a.b.upstream_cx_active', open]]);
  stats.observe(() => [['cluster.a.b.upstream_cx_active', 2]]);
  assert.equal(
    stats.text(() => true),
    'cluster.a.b.upstream_cx_active: 3\ncluster.a.b.upstream_cx_total: 3\n',
  );
  open = 5;
  assert.match(
    stats.prometheus(),
    /# TYPE envoy_cluster_upstream_cx_active gauge\nenvoy_cluster_upstream_cx_active\{envoy_cluster_name="a\.b"\} 7\n/,
  );
  assert.deepEqual(JSON.parse(stats.json((name) => name.endsWith('active'))), {
    stats: [{ name: 'cluster.a.b.upstream_cx_active', value: 7 }],
  });
});
