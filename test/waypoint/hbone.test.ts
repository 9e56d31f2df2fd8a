/** The three listeners of a waypoint as istiod makes them (ambient-wire 10): HBONE in, decided inside, HBONE out. */
import assert from 'node:assert/strict';
import {
  connect as connectHttp2,
  createServer as createHttp2,
  createSecureServer,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { typeUrl } from '../../common/envoy/codec.ts';
import { createFakeCa, type FakeCa } from '../../common/testing/fake-ca.ts';
import { httpFilter, Rig, router } from '../../waypoint/testing/rig.ts';

const identity = (serviceAccount: string) => ({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount });
const vip = '10.9.8.7';

async function secrets(rig: Rig, ca: FakeCa): Promise<void> {
  const own = await ca.issue(identity('waypoint'));
  rig.good('secret', {
    name: 'default',
    tls_certificate: {
      certificate_chain: { inline_string: own.chain.join('\n') },
      private_key: { inline_string: own.privateKey },
    },
  });
  rig.good('secret', { name: 'ROOTCA', validation_context: { trusted_ca: { inline_string: ca.root } } });
}

const tlsContext = {
  tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
  alpn_protocols: ['h2'],
  tls_certificate_sds_secret_configs: [{ name: 'default', sds_config: { ads: {} } }],
  combined_validation_context: {
    default_validation_context: {
      match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { prefix: 'spiffe://cluster.local/' } }],
    },
    validation_context_sds_secret_config: { name: 'ROOTCA', sds_config: { ads: {} } },
  },
};

const state = (key: string, text: string) => ({
  object_key: key,
  format_string: { text_format_source: { inline_string: text } },
  shared_with_upstream: 'ONCE',
});

const http2Options = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': typeUrl('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
    explicit_http_config: { http2_protocol_options: { allow_connect: true } },
  },
};

const internalUpstream = (metadata: readonly string[] = []) => ({
  name: 'internal_upstream',
  typed_config: {
    '@type': typeUrl('envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport'),
    passthrough_metadata: metadata.map((name) => ({ kind: { host: {} }, name })),
    transport_socket: {
      name: 'raw',
      typed_config: { '@type': typeUrl('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer') },
    },
  },
});

function internalEndpoint(listener: string, metadata?: object) {
  return {
    endpoint: { address: { envoy_internal_address: { server_listener_name: listener, endpoint_id: 'x' } } },
    ...(metadata && { metadata: { filter_metadata: metadata } }),
  };
}

async function waypoint(rig: Rig, pod: string, ztunnelPort: number, protocol?: object): Promise<number> {
  rig.good('cluster', {
    name: 'main_internal',
    type: 'STATIC',
    load_assignment: {
      cluster_name: 'main_internal',
      endpoints: [{ lb_endpoints: [internalEndpoint('main_internal')] }],
    },
    transport_socket: internalUpstream(),
  });
  rig.good('cluster', {
    name: 'inbound-vip|80|http|web',
    type: 'EDS',
    eds_cluster_config: { eds_config: { ads: {} } },
    transport_socket: internalUpstream(['envoy.filters.listener.original_dst']),
    ...(protocol && { typed_extension_protocol_options: protocol }),
  });
  rig.good('assignment', {
    cluster_name: 'inbound-vip|80|http|web',
    endpoints: [
      {
        lb_endpoints: [
          internalEndpoint('connect_originate', { 'envoy.filters.listener.original_dst': { local: pod } }),
        ],
      },
    ],
  });
  rig.good('cluster', {
    name: 'connect_originate',
    type: 'ORIGINAL_DST',
    lb_policy: 'CLUSTER_PROVIDED',
    original_dst_lb_config: { upstream_port_override: ztunnelPort },
    typed_extension_protocol_options: http2Options,
    transport_socket: {
      name: 'tls',
      typed_config: {
        '@type': typeUrl('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
        common_tls_context: tlsContext,
      },
    },
  });
  rig.good('listener', {
    name: 'main_internal',
    internal_listener: {},
    listener_filters: [
      {
        name: 'original_dst',
        typed_config: { '@type': typeUrl('envoy.extensions.filters.listener.original_dst.v3.OriginalDst') },
      },
      {
        name: 'http_inspector',
        typed_config: { '@type': typeUrl('envoy.extensions.filters.listener.http_inspector.v3.HttpInspector') },
      },
    ],
    filter_chains: [
      {
        name: 'web',
        filters: [
          httpFilter([{ match: { prefix: '/' }, route: { cluster: 'inbound-vip|80|http|web' } }], {
            http_filters: [
              {
                name: 'envoy.filters.http.rbac',
                typed_config: {
                  '@type': typeUrl('envoy.extensions.filters.http.rbac.v3.RBAC'),
                  rules: {
                    action: 'DENY',
                    policies: {
                      secret: {
                        permissions: [{ url_path: { path: { prefix: '/secret' } } }],
                        principals: [
                          {
                            filter_state: {
                              key: 'io.istio.peer_principal',
                              string_match: { exact: 'spiffe://cluster.local/ns/shop/sa/client' },
                            },
                          },
                        ],
                      },
                    },
                  },
                },
              },
              router,
            ],
          }),
        ],
      },
    ],
    filter_chain_matcher: {
      matcher_tree: {
        input: {
          name: 'ip',
          typed_config: { '@type': typeUrl('envoy.extensions.matching.common_inputs.network.v3.DestinationIPInput') },
        },
        custom_match: {
          name: 'ip',
          typed_config: {
            '@type': typeUrl('xds.type.matcher.v3.IPMatcher'),
            range_matchers: [
              {
                ranges: [{ address_prefix: vip, prefix_len: 32 }],
                on_match: {
                  action: {
                    name: 'web',
                    typed_config: { '@type': typeUrl('google.protobuf.StringValue'), value: 'web' },
                  },
                },
              },
            ],
          },
        },
      },
    },
  });
  rig.good('listener', {
    name: 'connect_originate',
    internal_listener: {},
    listener_filters: [
      {
        name: 'original_dst',
        typed_config: { '@type': typeUrl('envoy.extensions.filters.listener.original_dst.v3.OriginalDst') },
      },
    ],
    filter_chains: [
      {
        filters: [
          {
            name: 'tcp',
            typed_config: {
              '@type': typeUrl('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
              stat_prefix: 'connect_originate',
              cluster: 'connect_originate',
              tunneling_config: { hostname: '%DOWNSTREAM_LOCAL_ADDRESS%' },
            },
          },
        ],
      },
    ],
  });
  rig.good('listener', {
    name: 'connect_terminate',
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [
      {
        name: 'default',
        transport_socket: {
          name: 'tls',
          typed_config: {
            '@type': typeUrl('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
            common_tls_context: tlsContext,
            require_client_certificate: true,
          },
        },
        filters: [
          httpFilter(
            [
              {
                match: { connect_matcher: {} },
                route: {
                  upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }],
                  cluster: 'main_internal',
                },
              },
            ],
            {
              stat_prefix: 'connect_terminate',
              upgrade_configs: [{ upgrade_type: 'CONNECT' }],
              http2_protocol_options: { allow_connect: true },
              stream_idle_timeout: '0s',
              http_filters: [
                {
                  name: 'state',
                  typed_config: {
                    '@type': typeUrl('envoy.extensions.filters.http.set_filter_state.v3.Config'),
                    on_request_headers: [
                      state('envoy.filters.listener.original_dst.local_ip', '%REQ(:AUTHORITY)%'),
                      state('envoy.filters.listener.original_dst.remote_ip', '%DOWNSTREAM_REMOTE_ADDRESS%'),
                      state('io.istio.peer_principal', '%DOWNSTREAM_PEER_URI_SAN%'),
                    ],
                  },
                },
                router,
              ],
            },
          ),
        ],
      },
    ],
  });
  return rig.port('connect_terminate');
}

/** A ztunnel of the destination: takes HBONE and dials the app. */
async function ztunnel(ca: FakeCa, app: number, seen: string[]): Promise<{ port: number; close: () => void }> {
  const own = await ca.issue(identity('web'));
  const server = createSecureServer({
    key: own.privateKey,
    cert: own.chain.join('\n'),
    ca: ca.root,
    requestCert: true,
    rejectUnauthorized: true,
  });
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    seen.push(`${headers[':method']} ${headers[':authority']}`);
    const socket = connectTcp({ port: app, host: '127.0.0.1', allowHalfOpen: true });
    stream.respond({ ':status': 200 });
    stream.on('error', () => socket.destroy());
    socket.on('error', () => stream.close());
    stream.pipe(socket);
    socket.pipe(stream);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const sessions: { destroy(): void }[] = [];
  server.on('session', (session) => sessions.push(session));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}

/** What comes back through a tunnel for these bytes, until `enough`. */
async function through(
  ca: FakeCa,
  who: string,
  port: number,
  authority: string,
  bytes: string,
  enough: RegExp,
): Promise<string> {
  const own = await ca.issue(identity(who));
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    key: own.privateKey,
    cert: own.chain.join('\n'),
    ca: ca.root,
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  });
  const session = connectHttp2('https://waypoint', { createConnection: () => socket });
  session.on('error', () => undefined);
  const stream = session.request({ ':method': 'CONNECT', ':authority': authority }, { endStream: false });
  let text = '';
  stream.on('response', (headers) => {
    text += `[${headers[':status']}]`;
  });
  stream.on('error', () => undefined);
  await new Promise<void>((resolve) => {
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (enough.test(text)) resolve();
    });
    stream.on('close', () => resolve());
    socket.on('close', () => resolve());
    stream.write(bytes);
  });
  session.destroy();
  return text;
}

describe('a waypoint of three listeners', () => {
  it('takes HBONE, decides about the requests inside by who sent them, and goes on by HBONE to the pod', async () => {
    await using rig = new Rig();
    const ca = await createFakeCa();
    await secrets(rig, ca);
    const app = await rig.upstream((request, response) => {
      response.setHeader('x-path', request.url!);
      response.end('from the app');
    });
    const seen: string[] = [];
    const node = await ztunnel(ca, app, seen);
    const port = await waypoint(rig, `127.0.0.1:${app}`, node.port);
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: web\r\n\r\n`;
    const answer = await through(ca, 'client', port, `${vip}:80`, get('/open'), /app$/);
    assert.match(answer, /^\[200\]HTTP\/1\.1 200 OK\r\n.*x-path: \/open\r\n/s);
    assert.deepEqual(seen, [`CONNECT 127.0.0.1:${app}`]);
    assert.match(await through(ca, 'client', port, `${vip}:80`, get('/secret'), /denied$/), /HTTP\/1\.1 403 Forbidden/);
    assert.match(await through(ca, 'other', port, `${vip}:80`, get('/secret'), /app$/), /HTTP\/1\.1 200 OK/);
    node.close();
  });

  it('carries HTTP/2 in the tunnel, both ways', async () => {
    await using rig = new Rig();
    const ca = await createFakeCa();
    await secrets(rig, ca);
    const app = createHttp2();
    app.on('stream', (stream: ServerHttp2Stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end('second');
    });
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
    const appPort = (app.address() as AddressInfo).port;
    const node = await ztunnel(ca, appPort, []);
    const port = await waypoint(rig, `127.0.0.1:${appPort}`, node.port, http2Options);
    const own = await ca.issue(identity('client'));
    const socket = connectTls({
      host: '127.0.0.1',
      port,
      key: own.privateKey,
      cert: own.chain.join('\n'),
      ca: ca.root,
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    });
    const outer = connectHttp2('https://waypoint', { createConnection: () => socket });
    const tunnel = outer.request({ ':method': 'CONNECT', ':authority': `${vip}:80` }, { endStream: false });
    const inner = connectHttp2('http://web', { createConnection: () => tunnel });
    const stream = inner.request({ ':method': 'POST', ':path': '/x', te: 'trailers' });
    let text = '';
    let status = '';
    inner.on('error', (e) => {
      text += String(e);
    });
    stream.on('error', (e) => {
      text += String(e);
    });
    stream.on('data', (chunk: Buffer) => {
      text += String(chunk);
    });
    stream.on('trailers', (headers) => {
      status = String(headers['grpc-status']);
    });
    stream.end('message');
    await new Promise((resolve) => stream.once('close', resolve));
    assert.deepEqual([text, status], ['second', '0']);
    outer.destroy();
    node.close();
    app.close();
  });

  it('serves nobody whose certificate is of another authority, and no address that no chain takes', async () => {
    await using rig = new Rig();
    const ca = await createFakeCa();
    const foreign = await createFakeCa();
    await secrets(rig, ca);
    const port = await waypoint(rig, '127.0.0.1:1', 1);
    assert.equal(await through({ ...foreign, root: ca.root }, 'client', port, `${vip}:80`, 'GET', /x/), '');
    const unmatched = await through(ca, 'client', port, '10.1.1.1:80', 'GET / HTTP/1.1\r\nhost: a\r\n\r\n', /HTTP/);
    assert.doesNotMatch(unmatched, /HTTP\/1/);
  });
});
