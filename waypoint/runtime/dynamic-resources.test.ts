import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { stringField } from '../../common/api/struct.ts';
import { LogLevels, type LogSink } from '../../common/core/log.ts';
import { encodeEnvoy, typeUrl } from '../../common/envoy/codec.ts';
import { messageFromJson } from '../../common/envoy/json.ts';
import { FakeXds, resource } from '../../common/testing/fake-xds.ts';
import { until } from '../../common/testing/until.ts';
import { httpListener } from '../testing/rig.ts';
import { readBootstrap } from './bootstrap.ts';
import { runBootstrap } from './run.ts';

const sink: LogSink = { levels: new LogLevels(undefined), format: 'plain', write: () => undefined };
const listenerType = typeUrl('envoy.config.listener.v3.Listener');

function server(port: number, more: object = {}) {
  const endpoint = { address: { socket_address: { address: '127.0.0.1', port_value: port } } };
  const load_assignment = { cluster_name: 'xds', endpoints: [{ lb_endpoints: [{ endpoint }] }] };
  return { name: 'xds', type: 'STATIC', load_assignment, ...more };
}

function bootstrap(parts: { readonly clusters?: readonly object[]; readonly ads?: object; readonly node?: object }) {
  const service = { envoy_grpc: { cluster_name: 'xds' }, initial_metadata: [{ key: 'X-Tenant', value: 'blue' }] };
  return JSON.stringify({
    node: parts.node ?? { id: 'edge-1', cluster: 'edge', metadata: { NAMESPACE: 'shop' } },
    static_resources: { clusters: parts.clusters ?? [server(1)] },
    dynamic_resources: {
      cds_config: { ads: {}, resource_api_version: 'V3' },
      lds_config: { ads: {}, resource_api_version: 'V3' },
      ads_config: { api_type: 'DELTA_GRPC', transport_api_version: 'V3', grpc_services: [service], ...parts.ads },
    },
  });
}

describe('dynamic_resources of a bootstrap file', () => {
  it('come from the server among the static clusters, which is told who asks', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'aquifer-bootstrap-'));
    const xds = await FakeXds.start();
    const file = join(folder, 'envoy.json');
    writeFileSync(file, bootstrap({ clusters: [server(xds.port)] }));
    const running = await runBootstrap(file, sink, () => undefined);
    try {
      const stream = await xds.stream();
      const { node } = await stream.next();
      assert.deepEqual([node!.id, node!.cluster, stringField(node!.metadata, 'NAMESPACE')], ['edge-1', 'edge', 'shop']);
      assert.deepEqual(stream.metadata.get('x-tenant'), ['blue']);
      const route = { match: { prefix: '/' }, direct_response: { status: 204 } };
      const body = encodeEnvoy(messageFromJson(listenerType, httpListener('main', [route])));
      const resources = [resource('main', listenerType, body, '1')];
      stream.send({ typeUrl: listenerType, nonce: '1', resources, removedResources: [] });
      const listener = await until('the listener', () => running.runtime.listeners()[0]?.addresses[0]);
      const port = (listener as unknown as { readonly port: number }).port;
      assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 204);
    } finally {
      await running.stop();
      xds.kill();
      rmSync(folder, { recursive: true });
    }
  });

  it('by TLS need roots, and the name in `sni` counts besides the address', () => {
    const context = (validation: object, more: object = {}) => ({
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
        sni: 'xds.example',
        common_tls_context: { validation_context: validation, ...more },
      },
    });
    const read = (socket: object) => readBootstrap(bootstrap({ clusters: [server(5, { transport_socket: socket })] }));
    assert.deepEqual(read(context({ trusted_ca: { filename: '/roots.pem' } })).dynamic?.server, {
      address: 'https://127.0.0.1:5',
      roots: { kind: 'file', path: '/roots.pem' },
      alternativeName: 'xds.example',
      token: undefined,
      clusterId: '',
      headers: { 'x-tenant': 'blue' },
    });
    assert.throws(() => read(context({})), /Cluster xds: TLS without validation_context\.trusted_ca/);
    const pinned = { trusted_ca: { filename: '/roots.pem' }, verify_certificate_hash: ['00'] };
    assert.throws(() => read(context(pinned)), /verify_certificate_hash/);
    const certificates = { tls_certificates: [{ certificate_chain: { filename: '/c.pem' } }] };
    assert.throws(() => read(context({ trusted_ca: { filename: '/r' } }, certificates)), /a client's certificate/);
  });

  for (const [what, text, message] of [
    ['another form', bootstrap({ ads: { api_type: 'GRPC' } }), /ads_config\.api_type: must be DELTA_GRPC/],
    ['no such cluster', bootstrap({ clusters: [] }), /static_resources have no cluster xds/],
    ['no address', bootstrap({ clusters: [{ name: 'xds' }] }), /one endpoint with a socket_address/],
    ['nobody who asks', bootstrap({ node: { id: 'edge-1' } }), /Bootstrap\.node: .* its cluster/],
    [
      'a file of resources',
      '{"node": {"id": "a", "cluster": "b"}, "dynamic_resources": {"cds_config": {"path": "/x"}}}',
      /cds_config: is not by ads: \{\}/,
    ],
  ] as const) {
    it(`are refused by name: ${what}`, () => {
      assert.throws(() => readBootstrap(text), message);
    });
  }
});
