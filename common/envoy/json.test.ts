import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeEnvoy, encodeEnvoy, typeUrl } from './codec.ts';
import { messageFromJson } from './json.ts';

const url = typeUrl('envoy.config.cluster.v3.Cluster');
const read = (json: object) => decodeEnvoy(url, encodeEnvoy(messageFromJson(url, json)));

describe("proto3's JSON", () => {
  it('becomes what the wire would have brought', () => {
    const json = {
      name: 'a',
      connectTimeout: '0.25s',
      type: 'STATIC',
      circuit_breakers: { thresholds: [{ max_connections: 7 }] },
      metadata: { filter_metadata: { x: { list: [1, 'b', true, null], deep: { y: 2 } } } },
      typed_extension_protocol_options: {
        o: {
          '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
          explicit_http_config: { http2_protocol_options: {} },
        },
        t: { '@type': 'type.googleapis.com/google.protobuf.StringValue', value: 'v' },
      },
      transport_socket: { name: 'x', typed_config: { '@type': url, name: 'inner', connect_timeout: '3s' } },
    };
    const decoded = read(json);
    assert.ok(decoded.kind === 'ok');
    const got = decoded.value as Record<string, unknown>;
    assert.deepEqual(got['connect_timeout'], { nanos: 250_000_000 });
    assert.deepEqual(got['circuit_breakers'], { thresholds: [{ max_connections: { value: 7 } }] });
    const options = got['typed_extension_protocol_options'] as Record<string, object>;
    assert.deepEqual(options['t'], { '@type': typeUrl('google.protobuf.StringValue'), value: 'v' });
    assert.deepEqual(got['transport_socket'], {
      name: 'x',
      typed_config: { '@type': url, name: 'inner', connect_timeout: { seconds: 3 } },
    });
  });

  it('is refused by its place', () => {
    const refused: readonly (readonly [object, RegExp])[] = [
      [{ nmae: 'a' }, /Cluster\.nmae: .* no such field/],
      [{ connect_timeout: '5' }, /Cluster\.connect_timeout: expected a duration/],
      [{ name: 5 }, /Cluster\.name: expected text/],
      [{ circuit_breakers: { thresholds: {} } }, /thresholds: expected a list/],
      [
        { circuit_breakers: { thresholds: [{ max_connections: 'x' }] } },
        /thresholds\[0\]\.max_connections: expected a num/,
      ],
      [{ type: 'SOME' }, /type: SOME is no/],
      [{ transport_socket: { typed_config: { '@type': 'x/y' } } }, /"x\/y" is no message/],
    ];
    for (const [json, reason] of refused) assert.throws(() => read(json), reason);
  });
});
