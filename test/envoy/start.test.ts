/** The harness of Envoy itself: it starts on free ports, answers, says why it did not start, and leaves nothing. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Envoy, skipWithoutEnvoy } from '../harness/envoy.ts';

const hcm = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

describe('Envoy', { skip: skipWithoutEnvoy() }, () => {
  it('serves a static listener on a port of its choice, and is gone after', async () => {
    let socket: string;
    let pid: number;
    {
      await using envoy = await Envoy.start(direct('hello'));
      [socket, pid] = [envoy.adminSocket, envoy.pid];
      const answer = await fetch(`http://127.0.0.1:${await envoy.port('main')}/`);
      assert.equal(await answer.text(), 'hello');
      await assert.rejects(envoy.port('other'), /no listener other/);
    }
    assert.equal(existsSync(socket), false);
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  });

  it('says why it did not start', async () => {
    await assert.rejects(Envoy.start({ static_resources: { clusters: [{ name: 'x', nonsense: 1 }] } }), /nonsense/);
  });
});

function direct(text: string) {
  const route = { match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: text } } };
  const config = {
    '@type': `type.googleapis.com/${hcm}`,
    stat_prefix: 'main',
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [route] }] },
    http_filters: [
      {
        name: 'router',
        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
      },
    ],
  };
  const address = { socket_address: { address: '127.0.0.1', port_value: 0 } };
  const filters = [{ name: 'hcm', typed_config: config }];
  return { static_resources: { listeners: [{ name: 'main', address, filter_chains: [{ filters }] }] } };
}
