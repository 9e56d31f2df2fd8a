import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeEnvoy, encodeEnvoy, type Typed, type TypedObject } from './codec.ts';
import { shownEnvoy } from './shown.ts';

const cluster = {
  '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  name: 'a',
  type: 'EDS',
  connect_timeout: { seconds: 1, nanos: 500_000_000 },
  circuit_breakers: { thresholds: [{ max_connections: { value: 7 }, track_remaining: true }] },
  metadata: {
    filter_metadata: {
      istio: {
        fields: { config: { stringValue: '/apis/x' }, deep: { structValue: { fields: { on: { boolValue: true } } } } },
      },
    },
  },
  transport_socket: {
    name: 'tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      sni: 'web',
      common_tls_context: { validation_context: { trusted_ca: { inline_bytes: Buffer.from('PEM') } } },
    },
  },
};

test("resources are shown in protobuf's JSON, through any depth of Any", () => {
  const decoded = decodeEnvoy(cluster['@type'], encodeEnvoy(cluster as Typed));
  assert.ok(decoded.kind === 'ok');
  assert.deepEqual(shownEnvoy(decoded.value), {
    ...cluster,
    connect_timeout: '1.5s',
    circuit_breakers: { thresholds: [{ max_connections: 7, track_remaining: true }] },
    metadata: { filter_metadata: { istio: { config: '/apis/x', deep: { on: true } } } },
    transport_socket: {
      name: 'tls',
      typed_config: {
        '@type': cluster.transport_socket.typed_config['@type'],
        sni: 'web',
        common_tls_context: { validation_context: { trusted_ca: { inline_bytes: 'UEVN' } } },
      },
    },
  });
});

test('a type that is not known stays as it is', () => {
  const unknown: TypedObject = { '@type': 'type.googleapis.com/x.Y', value: Buffer.from('a') };
  assert.deepEqual(shownEnvoy(unknown), { '@type': 'type.googleapis.com/x.Y', value: 'YQ==' });
});
