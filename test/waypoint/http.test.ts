/** What the waypoint does with requests, from a client's socket to a server's. */
import assert from 'node:assert/strict';
import { request as ask, type IncomingHttpHeaders } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { Rig } from '../../waypoint/testing/rig.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function call(port: number, path = '/', options: Record<string, unknown> = {}, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = ask({ host: '127.0.0.1', port, path, agent: false, ...options }, (response) => {
      let text = '';
      response.setEncoding('latin1');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

const toWeb = { match: { prefix: '/' }, route: { cluster: 'web' } };

describe('the waypoint, with HTTP', () => {
  it('forwards a request and its answer, and says so once in its account', async () => {
    await using rig = new Rig();
    const web = await rig.upstream((request, response) => {
      response.setHeader('x-seen', JSON.stringify(request.headers));
      request.pipe(response);
    });
    rig.cluster('web', [web]);
    const port = await rig.http('main', [toWeb], {
      access_log: [
        {
          name: 'file',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog',
            path: '/dev/null',
            log_format: {
              text_format_source: {
                inline_string:
                  '%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER%\n',
              },
            },
          },
        },
      ],
    });
    const answer = await call(port, '/a?b', { method: 'POST', headers: { 'x-y': 'z' } }, 'text');
    assert.equal(answer.status, 200);
    assert.equal(answer.body, 'text');
    assert.equal(answer.headers.server, 'envoy');
    assert.ok(answer.headers['x-envoy-upstream-service-time']);
    const seen = JSON.parse(String(answer.headers['x-seen'])) as IncomingHttpHeaders;
    assert.equal(seen['x-y'], 'z');
    assert.equal(seen['x-forwarded-proto'], 'http');
    assert.match(String(seen['x-request-id']), /^[0-9a-f-]{36}$/);
    assert.deepEqual(rig.lines, ['POST /a?b 200 - 4 4 web\n']);
    const stats = rig.runtime.stats.text(() => true);
    assert.match(stats, /http\.test\.downstream_rq_2xx: 1\n/);
    assert.match(stats, /cluster\.web\.upstream_rq_200: 1\n/);
    assert.match(
      rig.runtime.stats.prometheus(),
      /envoy_cluster_upstream_rq_xx\{envoy_cluster_name="web",envoy_response_code_class="2"\} 1/,
    );
  });

  it('keeps what a filter adds to one request from the next on its connection', async () => {
    await using rig = new Rig();
    rig.cluster('web', [await rig.upstream((_request, response) => response.end())]);
    const type = 'type.googleapis.com/envoy.extensions.filters';
    const rule = {
      object_key: 'seen',
      factory_key: 'envoy.string',
      format_string: { text_format_source: { inline_string: '%REQ(x-y)%' }, omit_empty_values: true },
      skip_if_empty: true,
    };
    const seen = { header: { key: 'x-seen', value: '%FILTER_STATE(seen:PLAIN)%' } };
    const port = await rig.http('main', [{ ...toWeb, response_headers_to_add: [seen] }], {
      http_filters: [
        {
          name: 'state',
          typed_config: { '@type': `${type}.http.set_filter_state.v3.Config`, on_request_headers: [rule] },
        },
        { name: 'router', typed_config: { '@type': `${type}.http.router.v3.Router` } },
      ],
    });
    const first = 'GET / HTTP/1.1\r\nhost: a\r\nx-y: z\r\n\r\n';
    const second = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
    const answers = await rig.raw(port, first + second);
    assert.equal(answers.match(/^HTTP\/1\.1 200/gm)?.length, 2, answers);
    assert.deepEqual(answers.match(/^x-seen: .*(?=\r)/gm), ['x-seen: z'], answers);
  });

  it('bridges HTTP/2 with trailers to HTTP/2, and to HTTP/1.1', async () => {
    await using rig = new Rig();
    const second = createHttp2();
    second.on('stream', (stream: ServerHttp2Stream, headers) => {
      stream.respond(
        { ':status': 200, 'x-path': headers[':path'], 'content-type': 'application/grpc' },
        { waitForTrailers: true },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.pipe(stream);
    });
    await new Promise<void>((resolve) => second.listen(0, '127.0.0.1', resolve));
    const first = await rig.upstream((request, response) => request.pipe(response));
    rig.cluster('grpc', [(second.address() as AddressInfo).port], {
      typed_extension_protocol_options: {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
          '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
          explicit_http_config: { http2_protocol_options: {} },
        },
      },
    });
    rig.cluster('web', [first]);
    const port = await rig.http('main', [{ match: { prefix: '/grpc' }, route: { cluster: 'grpc' } }, toWeb]);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    for (const [path, trailers] of [
      ['/grpc/x', '0'],
      ['/plain', undefined],
    ] as const) {
      const stream = session.request({ ':method': 'POST', ':path': path, te: 'trailers' });
      let status: number | undefined;
      let body = '';
      let got: string | undefined;
      stream.on('response', (headers) => {
        status = headers[':status'];
      });
      stream.on('trailers', (headers) => {
        got = String(headers['grpc-status']);
      });
      stream.setEncoding('latin1');
      stream.on('data', (chunk: string) => {
        body += chunk;
      });
      stream.end('message');
      await new Promise((resolve) => stream.once('close', resolve));
      assert.deepEqual([status, body, got], [200, 'message', trailers]);
    }
    session.close();
    second.close();
  });

  it('tries again where the route says so, with the body that it had', async () => {
    await using rig = new Rig();
    const bodies: string[] = [];
    const web = await rig.upstream((request, response) => {
      let body = '';
      request.on('data', (chunk) => {
        body += String(chunk);
      });
      request.on('end', () => {
        bodies.push(body);
        if (bodies.length < 3) response.writeHead(503).end('no');
        else response.end('yes');
      });
    });
    rig.cluster('web', [web]);
    const retry = { retry_on: '5xx', num_retries: 3, retry_back_off: { base_interval: '0.001s' } };
    const port = await rig.http('main', [{ match: { prefix: '/' }, route: { cluster: 'web', retry_policy: retry } }]);
    const answer = await call(port, '/', { method: 'POST' }, 'again');
    assert.equal(answer.body, 'yes');
    assert.deepEqual(bodies, ['again', 'again', 'again']);
    assert.match(
      rig.runtime.stats.text(() => true),
      /cluster\.web\.upstream_rq_retry: 2\n/,
    );
  });

  it('sends a copy to the mirror, body and all, and answers without it', async () => {
    await using rig = new Rig();
    const copies: string[] = [];
    const web = await rig.upstream((request, response) => request.pipe(response));
    const mirror = await rig.upstream((request, response) => {
      let body = '';
      request.on('data', (chunk) => {
        body += String(chunk);
      });
      request.on('end', () => {
        copies.push(`${request.headers.host} ${body}`);
        response.destroy();
      });
    });
    rig.cluster('web', [web]);
    rig.cluster('mirror', [mirror]);
    const port = await rig.http('main', [
      { match: { prefix: '/' }, route: { cluster: 'web', request_mirror_policies: [{ cluster: 'mirror' }] } },
    ]);
    const answer = await call(port, '/', { method: 'POST', headers: { host: 'web:80' } }, 'twice');
    assert.equal(answer.body, 'twice');
    await until('the copy', () => copies.join() === 'web-shadow:80 twice');
  });

  it("answers by itself in Envoy's words where there is no way on", async () => {
    await using rig = new Rig();
    rig.cluster('gone', [1]);
    rig.cluster('empty', []);
    const slow = await rig.upstream(() => undefined);
    rig.cluster('slow', [slow]);
    const port = await rig.http('main', [
      { match: { prefix: '/gone' }, route: { cluster: 'gone' } },
      { match: { prefix: '/empty' }, route: { cluster: 'empty' } },
      { match: { prefix: '/unknown' }, route: { cluster: 'unknown' } },
      { match: { prefix: '/slow' }, route: { cluster: 'slow', timeout: '0.05s' } },
      { match: { prefix: '/old' }, redirect: { path_redirect: '/new' } },
      { match: { prefix: '/said' }, direct_response: { status: 418, body: { inline_string: 'tea' } } },
    ]);
    const answers = [];
    for (const path of ['/gone', '/empty', '/unknown', '/slow', '/old', '/said', '/none']) {
      const { status, body, headers } = await call(port, path, { headers: { host: 'web' } });
      answers.push([status, headers.location ?? body]);
    }
    assert.deepEqual(answers, [
      [
        503,
        'upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: delayed connect error: Connection refused',
      ],
      [503, 'no healthy upstream'],
      [503, ''],
      [504, 'upstream request timeout'],
      [301, 'http://web/new'],
      [418, 'tea'],
      [404, ''],
    ]);
  });

  it('joins both directions of a WebSocket, and refuses upgrades that nobody allowed', async () => {
    await using rig = new Rig();
    const web = await rig.upstream(
      () => undefined,
      (_request, socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello ');
        socket.pipe(socket);
      },
    );
    rig.cluster('web', [web]);
    const port = await rig.http('main', [toWeb], { upgrade_configs: [{ upgrade_type: 'websocket' }] });
    const closed = await rig.http('closed', [toWeb]);
    const head = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n';
    assert.match(await rig.raw(closed, head), /^HTTP\/1\.1 403 /);
    const answer = await rig.raw(port, `${head}early`, /hello early$/);
    assert.match(answer, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    assert.match(answer, /connection: upgrade\r\nupgrade: websocket\r\n\r\nhello early$/);
  });

  it('takes a new route table without losing a request, and keeps the last good one', async () => {
    await using rig = new Rig();
    const one = await rig.upstream((_request, response) => response.end('one'));
    const two = await rig.upstream((_request, response) => response.end('two'));
    rig.cluster('one', [one]);
    rig.cluster('two', [two]);
    const table = (cluster: string, more = {}) => ({
      name: 'table',
      virtual_hosts: [
        { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster, ...more } }] },
      ],
    });
    rig.good('listener', {
      name: 'main',
      address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
      filter_chains: [
        {
          filters: [
            {
              name: 'hcm',
              typed_config: {
                '@type':
                  'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                stat_prefix: 'test',
                rds: { route_config_name: 'table', config_source: { ads: {} } },
                http_filters: [
                  {
                    name: 'router',
                    typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                  },
                ],
              },
            },
          ],
        },
      ],
    });
    await until('the clusters', () => rig.runtime.pending().join() === 'listener main (route table)');
    rig.good('route', table('one'));
    const port = await rig.port('main');
    let failed = 0;
    let stop = false;
    const load = (async () => {
      while (!stop) {
        const { status } = await call(port);
        if (status !== 200) failed++;
      }
    })();
    for (let i = 0; i < 20; i++) {
      rig.good('route', table(i % 2 === 0 ? 'two' : 'one'));
      await call(port);
    }
    rig.good('route', table('two'));
    assert.equal((await call(port)).body, 'two');
    const bad = rig.apply('route', table('one', { rate_limits: [{}] }));
    assert.ok(bad.kind === 'rejected' && /rate_limits/.test(bad.reason), JSON.stringify(bad));
    assert.equal((await call(port)).body, 'two');
    stop = true;
    await load;
    assert.equal(failed, 0);
  });

  it('names each field that it does not honour', async () => {
    await using rig = new Rig();
    const refused = (manager: object, listener: object = {}) => {
      const applied = rig.apply('listener', {
        name: 'bad',
        address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
        filter_chains: [
          {
            filters: [
              {
                name: 'hcm',
                typed_config: {
                  '@type':
                    'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                  stat_prefix: 'x',
                  route_config: {},
                  http_filters: [
                    {
                      name: 'router',
                      typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                    },
                  ],
                  ...manager,
                },
              },
            ],
          },
        ],
        ...listener,
      });
      return applied.kind === 'rejected' ? applied.reason : 'accepted';
    };
    assert.match(
      refused({ strip_any_host_port: true, original_ip_detection_extensions: [{ name: 'x' }] }),
      /original_ip_detection_extensions: is not supported/,
    );
    assert.match(
      refused({
        http_filters: [
          {
            name: 'lua',
            typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig' },
          },
        ],
      }),
      /HTTP filter lua of type .*FilterConfig is not supported/,
    );
    assert.match(refused({}, { socket_options: [{ level: 1 }] }), /Listener\.socket_options: is not supported/);
    assert.equal(refused({}), 'accepted');
  });

  it('lets requests end when it is closed', async () => {
    await using rig = new Rig();
    let finish: (() => void) | undefined;
    const web = await rig.upstream((_request, response) => {
      finish = () => response.end('late');
    });
    rig.cluster('web', [web]);
    const port = await rig.http('main', [toWeb]);
    const answer = call(port, '/', { headers: { connection: 'keep-alive' } });
    await until('the request', () => finish);
    const closed = rig.runtime.close(5_000);
    // It drains in the next turn, so that no codec is told from within its own call.
    await new Promise(setImmediate);
    finish!();
    const { body, headers } = await answer;
    assert.equal(body, 'late');
    assert.equal(headers.connection, 'close');
    await closed;
  });
});
