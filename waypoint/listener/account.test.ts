import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { until } from '../../common/testing/until.ts';
import { Rig } from '../testing/rig.ts';

const log = {
  name: 'x',
  typed_config: {
    '@type': typeUrl('envoy.extensions.access_loggers.stream.v3.StdoutAccessLog'),
    log_format: {
      text_format_source: {
        inline_string:
          '%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% %BYTES_RECEIVED% %DYNAMIC_METADATA(envoy.filters.network.rbac:dry_shadow_engine_result)%',
      },
    },
  },
};
const address = { socket_address: { address: '127.0.0.1', port_value: 0 } };
const tcp = {
  name: 'tcp',
  typed_config: {
    '@type': typeUrl('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
    stat_prefix: 'x',
    cluster: 'nowhere',
  },
};
const nobody = { action: 'ALLOW', policies: {} };

function rbac(more: object) {
  return {
    name: 'rbac',
    typed_config: { '@type': typeUrl('envoy.extensions.filters.network.rbac.v3.RBAC'), stat_prefix: 'x', ...more },
  };
}

async function logged(chain: object): Promise<string> {
  await using rig = new Rig();
  rig.good('listener', { name: 'a', address, filter_chains: [chain], access_log: [log] });
  const socket = connect(await rig.port('a'), '127.0.0.1');
  socket.on('error', () => undefined);
  socket.resume();
  await until('the line', () => rig.lines[0]);
  assert.equal(rig.lines.length, 1);
  return rig.lines[0]!;
}

describe("a listener's access log", () => {
  it('tells of connections that no chain takes', async () => {
    const line = await logged({ filter_chain_match: { server_names: ['other'] }, filters: [tcp] });
    assert.equal(line, 'NR filter_chain_not_found - 0 -');
  });

  it('tells of connections that a filter refuses, and of those that a chain served', async () => {
    assert.equal(
      await logged({ filters: [rbac({ rules: nobody }), tcp] }),
      '- - rbac_access_denied_matched_policy[none] 0 -',
    );
    assert.equal(await logged({ filters: [tcp] }), 'NC - - 0 -');
  });

  it('tells what rules would do that are only tried', async () => {
    const shadow = rbac({ shadow_rules: nobody, shadow_rules_stat_prefix: 'dry_' });
    assert.equal(await logged({ filters: [shadow, tcp] }), 'NC - - 0 denied');
  });
});
