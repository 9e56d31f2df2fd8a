/** What access logs say of upstream connections to listeners inside, as those are that go on in tunnels: in Envoy and in ours. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { type EngineSite, Engines, named } from './engines.ts';

const bootstrap = {
  bootstrap_extensions: [
    named('envoy.bootstrap.internal_listener', 'envoy.extensions.bootstrap.internal_listener.v3.InternalListener'),
  ],
};
const ends = [
  'HOST',
  ...['LOCAL', 'REMOTE'].flatMap((e) => [`${e}_ADDRESS`, `${e}_ADDRESS_WITHOUT_PORT`, `${e}_PORT`]),
];
const values = Object.fromEntries([
  ...ends.map((end) => [end, `%UPSTREAM_${end}%`]),
  ['masked', '%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(16)%'],
  ['by expression', '%CEL(upstream.local_address)%'],
]);
const logs = (path: string, kind: string) =>
  [
    { text_format_source: { inline_string: `${kind} ${JSON.stringify(values)}\n` } },
    { json_format: { kind, ...values } },
  ].map((log_format) => named('log', 'envoy.extensions.access_loggers.file.v3.FileAccessLog', { path, log_format }));

function sites(log: string): readonly EngineSite[] {
  const tcp = (name: string, access_log: readonly object[]) => {
    const proxy = { stat_prefix: name, cluster: name, access_log };
    const filters = [named('tcp', 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', proxy)];
    return { filter_chains: [{ filters }] };
  };
  const address = { envoy_internal_address: { server_listener_name: 'inside', endpoint_id: '10.0.0.1:80' } };
  const toInside = (name: string) => ({
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  });
  return [
    { name: 'inside', listener: { internal_listener: {}, ...tcp('inside', []) } },
    { name: 'requests', manager: { access_log: logs(log, 'requests') }, cluster: toInside('requests') },
    {
      name: 'connections',
      listener: tcp('connections', logs(log, 'connections')),
      cluster: toInside('connections'),
    },
  ];
}

describe('upstream connections to listeners inside', { skip: skipWithoutEnvoy() }, () => {
  it('are told of in access logs alike', async () => {
    await using engines = await Engines.start(sites, bootstrap);
    for (const site of ['requests', 'connections']) {
      const answers = await engines.ask(site, '/200');
      assert.deepEqual(
        answers.map((a) => a.status),
        [200, 200],
      );
    }
    const [envoy, ours] = await engines.lines();
    assert.equal(envoy.filter((line) => line.includes('internal_client_address')).length, 4);
    assert.deepEqual(ours, envoy);
  });
});
