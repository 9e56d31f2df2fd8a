import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Rig } from '../testing/rig.ts';
import { readBootstrap } from './bootstrap.ts';

const at = (zone: string, ...ports: readonly number[]) => ({
  locality: { zone },
  lb_endpoints: ports.map((port) => ({
    endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
  })),
});
const cluster = (name: string, endpoints: readonly object[], more: object = {}) => ({
  name,
  type: 'STATIC',
  load_assignment: { cluster_name: name, endpoints },
  ...more,
});

describe('zone aware routing', () => {
  it('knows where the proxy is by its bootstrap, and follows the cluster that it is part of', async () => {
    const { local } = readBootstrap(
      'node: {id: a, cluster: b, locality: {zone: z1}}\ncluster_manager: {local_cluster_name: us}',
    );
    assert.deepEqual(local, { cluster: 'us', locality: { region: '', zone: 'z1', subZone: '' } });
    await using rig = new Rig(local);
    const web = cluster('web', [at('z1', 1, 2), at('z2', 3, 4)], {
      common_lb_config: { zone_aware_lb_config: { min_cluster_size: 1 } },
    });
    rig.good('cluster', web);
    const picked = () => {
      const upstream = rig.runtime.clusters().find((c) => c.cluster.name === 'web')!;
      const picks = Array.from({ length: 40 }, () => upstream.pick({ dice: Math }));
      return [...new Set(picks.map((pick) => (pick.kind === 'host' ? pick.host.locality.zone : 'none')))].sort();
    };
    // Nobody has said yet where the others are.
    assert.deepEqual(picked(), ['z1', 'z2']);
    rig.good('cluster', cluster('us', [at('z1', 5), at('z2', 6)]));
    assert.deepEqual(picked(), ['z1']);
    rig.good('cluster', cluster('us', [at('z1', 5)]));
    assert.deepEqual(picked(), ['z1', 'z2']);
  });

  it('refuses by name what else a cluster manager has', () => {
    assert.throws(
      () => readBootstrap('cluster_manager: {outlier_detection: {event_log_path: /x}}'),
      /Bootstrap\.cluster_manager\.outlier_detection: is not supported/,
    );
  });
});
