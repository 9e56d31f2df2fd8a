import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { until } from '../../common/testing/until.ts';
import { xxHash64 } from '../cluster/hash/xxhash64.ts';
import { Rig, staticCluster } from '../testing/rig.ts';

const address = { socket_address: { address: '127.0.0.1', port_value: 0 } };
const ring = { lb_policy: 'RING_HASH' };

function proxy(policy: object) {
  const config = {
    '@type': typeUrl('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
    stat_prefix: 'x',
    cluster: 'web',
    hash_policy: [policy],
  };
  return { name: 'tcp', typed_config: config };
}

const metrics = {
  name: 'istio.stats',
  typed_config: { '@type': 'type.googleapis.com/stats.PluginConfig', reporter: 'SERVER_GATEWAY' },
};

const state = {
  name: 'state',
  typed_config: {
    '@type': typeUrl('envoy.extensions.filters.network.set_filter_state.v3.Config'),
    on_new_connection: [{ object_key: 'who', format_string: { text_format_source: { inline_string: 'somebody' } } }],
  },
};

describe("a TCP proxy's hash policy", () => {
  for (const [policy, text] of [
    [{ source_ip: {} }, '127.0.0.1'],
    [{ filter_state: { key: 'who' } }, 'somebody'],
  ] as const) {
    it(`${Object.keys(policy)[0]} chooses the host`, async () => {
      await using rig = new Rig();
      const serve = () => rig.upstream((request, answer) => answer.end(String(request.socket.localPort)));
      const ports = await Promise.all([serve(), serve(), serve(), serve()]);
      rig.good('cluster', staticCluster('web', ports, ring));
      rig.good('listener', { name: 'a', address, filter_chains: [{ filters: [state, proxy(policy)] }] });
      const port = await rig.port('a');
      const picked = rig.runtime.clusters()[0]!.pick({ dice: Math, hash: xxHash64(Buffer.from(text)) });
      assert.ok(picked.kind === 'host');
      for (let i = 0; i < 5; i++) {
        const answer = await rig.raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
        assert.equal(`127.0.0.1:${answer.slice(-5).trim()}`, picked.host.key);
      }
    });
  }
});

describe('a TCP proxy whose metrics throw', () => {
  it('serves, ends and logs its connections all the same, and counts it', async () => {
    await using rig = new Rig();
    const lines: string[] = [];
    const series = new Proxy({}, { get: () => () => assert.fail('no series can be made') });
    Object.assign(rig.runtime.env, { series, write: (_: string, line: string) => void lines.push(line) });
    const upstream = await rig.upstream((_, answer) => answer.end('hello'));
    rig.good('cluster', staticCluster('web', [upstream]));
    const log = {
      name: 'file',
      typed_config: { '@type': typeUrl('envoy.extensions.access_loggers.file.v3.FileAccessLog'), path: '/x' },
    };
    const told = proxy({ source_ip: {} });
    const filters = [metrics, { ...told, typed_config: { ...told.typed_config, access_log: [log] } }];
    rig.good('listener', { name: 'a', address, filter_chains: [{ filters }] });
    const port = await rig.port('a');
    const answer = await rig.raw(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.match(answer, /hello$/);
    await until('the line', () => lines.length === 1);
    assert.equal(rig.runtime.stats.counter('tcp.x.telemetry_failed').value, 2);
  });
});
