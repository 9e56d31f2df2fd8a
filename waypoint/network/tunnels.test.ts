/** Tunnels to a peer, also to one that is replaced while calls go on. */
import assert from 'node:assert/strict';
import { type IncomingMessage, createServer as plainServer, request } from 'node:http';
import { constants, createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { until } from '../../common/testing/until.ts';
import { Rig, staticCluster } from '../testing/rig.ts';

const options = typeUrl('envoy.extensions.upstreams.http.v3.HttpProtocolOptions');
const http2 = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': options,
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

/** Takes CONNECTs as a node proxy does; an HTTP server is what it leads to. */
class Peer implements AsyncDisposable {
  /** Of each session, how many tunnels it got. */
  readonly got: { readonly session: ServerHttp2Session; tunnels: number }[] = [];
  /** What becomes of the next CONNECTs; afterwards all are accepted. */
  readonly next: ('refuse' | 'forget')[] = [];
  readonly #server: Http2Server = createServer();
  readonly #app = plainServer((_, response) => response.end('ok'));

  async start(): Promise<number> {
    // What is kept open ends when somebody means it to.
    this.#app.keepAliveTimeout = 0;
    this.#server.on('session', (session) => this.got.push({ session, tunnels: 0 }));
    this.#server.on('stream', (stream: ServerHttp2Stream) => this.#connected(stream));
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  #connected(stream: ServerHttp2Stream): void {
    stream.on('error', () => undefined);
    this.got.find(({ session }) => session === stream.session)!.tunnels++;
    const what = this.next.shift();
    if (what === 'refuse') stream.close(constants.NGHTTP2_REFUSED_STREAM);
    if (what !== undefined) return;
    stream.respond({ ':status': 200 });
    this.#app.emit('connection', stream);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { session } of this.got) session.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A listener whose requests go to the peer in a tunnel. */
async function through(rig: Rig, peer: Peer): Promise<number> {
  rig.good('cluster', staticCluster('peer', [await peer.start()], http2));
  const tcp = {
    '@type': typeUrl('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'),
    stat_prefix: 'origin',
    cluster: 'peer',
    tunneling_config: { hostname: 'app:80' },
  };
  rig.good('listener', {
    name: 'origin',
    internal_listener: {},
    filter_chains: [{ filters: [{ name: 'tcp', typed_config: tcp }] }],
  });
  const internal = {
    address: { envoy_internal_address: { server_listener_name: 'origin', endpoint_id: '10.0.0.1:80' } },
  };
  rig.good('cluster', {
    name: 'app',
    type: 'STATIC',
    load_assignment: { cluster_name: 'app', endpoints: [{ lb_endpoints: [{ endpoint: internal }] }] },
  });
  const log = {
    '@type': typeUrl('envoy.extensions.access_loggers.file.v3.FileAccessLog'),
    path: '/dev/null',
    log_format: { text_format_source: { inline_string: '%UPSTREAM_HOST%\n' } },
  };
  const manager = { access_log: [{ name: 'file', typed_config: log }] };
  return rig.http('web', [{ match: { prefix: '/' }, route: { cluster: 'app' } }], manager);
}

function get(port: number): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  request({ port, host: '127.0.0.1' }, (response: IncomingMessage) => {
    response.resume().once('end', () => resolve(response.statusCode));
  })
    .on('error', reject)
    .end();
  return promise;
}

describe('a tunnel', () => {
  it('stands in the access log by its listener and whom it leads to', async () => {
    await using rig = new Rig();
    await using peer = new Peer();
    const port = await through(rig, peer);
    assert.equal(await get(port), 200);
    const [line] = await until('the line', () => (rig.lines.length > 0 ? rig.lines : undefined));
    assert.equal(line, 'envoy://origin/10.0.0.1:80\n');
  });
});

describe('a tunnel through a peer that is replaced', () => {
  it('is asked for again where the peer did not look at it', async () => {
    await using rig = new Rig();
    await using peer = new Peer();
    const port = await through(rig, peer);
    peer.next.push('refuse', 'refuse');
    assert.equal(await get(port), 200);
    assert.deepEqual([peer.got.length, peer.got[0]?.tunnels], [1, 3]);
  });

  it('is not asked for without end', async () => {
    await using rig = new Rig();
    await using peer = new Peer();
    const port = await through(rig, peer);
    peer.next.push(...Array.from({ length: 50 }, () => 'refuse' as const));
    assert.equal(await get(port), 503);
    assert.ok(peer.got[0]!.tunnels < 10, `${peer.got[0]!.tunnels}`);
  });

  it('is asked for elsewhere where the peer leaves without an answer', async () => {
    await using rig = new Rig();
    await using peer = new Peer();
    const port = await through(rig, peer);
    peer.next.push('forget');
    const answered = get(port);
    await until('it has been asked', () => peer.got[0]?.tunnels === 1);
    peer.got[0]!.session.goaway(constants.NGHTTP2_NO_ERROR);
    assert.equal(await answered, 200);
    assert.deepEqual(
      peer.got.map((s) => s.tunnels),
      [1, 1],
    );
  });

  it('carries no further request once the peer says GOAWAY, and ends', async () => {
    await using rig = new Rig();
    await using peer = new Peer();
    const port = await through(rig, peer);
    assert.equal(await get(port), 200);
    assert.equal(await get(port), 200);
    assert.equal(peer.got[0]!.tunnels, 1);
    peer.got[0]!.session.close();
    await until('the old session has ended', () => peer.got[0]!.session.destroyed);
    assert.equal(await get(port), 200);
    assert.deepEqual(
      peer.got.map((s) => s.tunnels),
      [1, 1],
    );
  });
});
