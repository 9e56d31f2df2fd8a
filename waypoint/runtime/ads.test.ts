import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { encodeEnvoy, typeUrl } from '../../common/envoy/codec.ts';
import { messageFromJson } from '../../common/envoy/json.ts';
import { FakeXds, resource } from '../../common/testing/fake-xds.ts';
import { until } from '../../common/testing/until.ts';
import { controlPlaneConnection } from '../../common/xds/connect.ts';
import { httpListener, Rig, staticCluster } from '../testing/rig.ts';
import { startAds } from './ads.ts';

const types = {
  cluster: typeUrl('envoy.config.cluster.v3.Cluster'),
  assignment: typeUrl('envoy.config.endpoint.v3.ClusterLoadAssignment'),
  listener: typeUrl('envoy.config.listener.v3.Listener'),
  route: typeUrl('envoy.config.route.v3.RouteConfiguration'),
};

function response(
  kind: keyof typeof types,
  nonce: string,
  bodies: readonly object[],
  removedResources: readonly string[] = [],
) {
  const resources = bodies.map((body) => {
    const { name, cluster_name: cluster } = body as { readonly name?: string; readonly cluster_name?: string };
    return resource((name ?? cluster)!, types[kind], encodeEnvoy(messageFromJson(types[kind], body)), `v-${nonce}`);
  });
  return { typeUrl: types[kind], nonce, resources, removedResources };
}

const rds = { rds: { route_config_name: 'table', config_source: { ads: {} } } };
const table = {
  name: 'table',
  virtual_hosts: [
    { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, direct_response: { status: 204 } }] },
  ],
};

async function started() {
  const rig = new Rig();
  const server = await FakeXds.start();
  const end = new AbortController();
  const ads = startAds({
    connect: () =>
      controlPlaneConnection({
        address: server.address,
        roots: { kind: 'system' },
        token: undefined,
        clusterId: 'Kubernetes',
      }),
    node: { id: 'waypoint~1', cluster: '', metadata: null },
    runtime: rig.runtime,
    ownSecret: (name) => name === 'default',
    clock: systemClock,
    log: silentLogger,
    signal: end.signal,
  });
  const stop = async () => {
    end.abort();
    server.kill();
    await rig[Symbol.asyncDispose]();
  };
  return { rig, server, ads, stop };
}

describe('ADS', () => {
  it('asks for what the resources name, and serves once it is there', async () => {
    const { rig, server, ads, stop } = await started();
    const stream = await server.stream();
    assert.equal((await stream.next()).node?.id, 'waypoint~1');
    assert.equal((await stream.next()).typeUrl, types.listener);
    assert.deepEqual(ads.pending(), ['clusters', 'listeners']);
    stream.send(
      response('cluster', '1', [{ name: 'web', type: 'EDS', eds_cluster_config: { eds_config: { ads: {} } } }]),
    );
    const ack = await stream.next();
    assert.deepEqual([ack.responseNonce, ack.errorDetail], ['1', null]);
    assert.deepEqual((await stream.next()).resourceNamesSubscribe, ['web']);
    stream.send(response('listener', '2', [httpListener('main', [], rds)]));
    assert.equal((await stream.next()).responseNonce, '2');
    assert.deepEqual((await stream.next()).resourceNamesSubscribe, ['table']);
    assert.deepEqual(rig.runtime.listeners(), []);
    stream.send(response('route', '3', [table]));
    stream.send(response('assignment', '4', [{ cluster_name: 'web' }]));
    await rig.port('main');
    await until('readiness', () => rig.runtime.pending().length === 0 && ads.pending().length === 0);
    stream.send(response('listener', '5', [], ['main']));
    await until('its end', () => rig.runtime.listeners().length === 0);
    await stop();
  });

  it('NACKs by resource and field, uses the rest, and keeps the last good one', async () => {
    const { rig, server, stop } = await started();
    const stream = await server.stream();
    await stream.next();
    await stream.next();
    stream.send(
      response('cluster', '1', [
        staticCluster('web', [1]),
        staticCluster('bad', [1], { dns_resolvers: [], use_tcp_for_dns_lookups: true }),
      ]),
    );
    const nack = await stream.next();
    assert.match(nack.errorDetail!.message, /^bad: Cluster\.use_tcp_for_dns_lookups: is not supported/);
    assert.deepEqual(
      rig.runtime.clusters().map((c) => c.cluster.name),
      ['web'],
    );
    stream.send(response('cluster', '2', [staticCluster('web', [2], { use_tcp_for_dns_lookups: true })]));
    assert.ok((await stream.next()).errorDetail);
    assert.equal(rig.runtime.clusters()[0]!.hosts()[0]!.key, '127.0.0.1:1');
    await stop();
  });

  it('says after a break what it has', async () => {
    const { rig, server, stop } = await started();
    const stream = await server.stream();
    stream.send(response('cluster', '1', [staticCluster('web', [1])]));
    await until('the cluster', () => rig.runtime.clusters().length === 1);
    stream.end();
    const next = await server.stream();
    assert.deepEqual((await next.next()).initialResourceVersions, { web: 'v-1' });
    await stop();
  });
});
