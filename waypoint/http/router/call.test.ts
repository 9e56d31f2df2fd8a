/** Requests of the proxy's own, against servers of this process. */
import assert from 'node:assert/strict';
import { createServer as createHttp2, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { millis } from '../../../common/core/brand.ts';
import { until } from '../../../common/testing/until.ts';
import type { GrpcAnswer, HttpAnswer, HttpCall } from '../../filters/caller.ts';
import { Headers } from '../../request/headers.ts';
import { Rig } from '../../testing/rig.ts';
import { callerOf } from './call.ts';

const patient = millis(30_000);

function http(rig: Rig, more: Partial<HttpCall> = {}): Promise<HttpAnswer> {
  return new Promise((resolve) => {
    callerOf(rig.runtime.env).http(
      {
        cluster: 'web',
        method: 'GET',
        path: '/check?a',
        authority: 'web.test',
        headers: Headers.of([['x-a', 'b']]),
        body: Buffer.alloc(0),
        timeout: patient,
        most: 1_000,
        ...more,
      },
      resolve,
    );
  });
}

const http2Options = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

async function grpc(
  rig: Rig,
  serve: (stream: ServerHttp2Stream, body: Buffer, headers: Readonly<Record<string, unknown>>) => void,
  message = 'question',
): Promise<GrpcAnswer> {
  const server = createHttp2();
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => undefined);
    stream.on('end', () => serve(stream, Buffer.concat(chunks), headers));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  rig.cluster('grpc', [(server.address() as AddressInfo).port], http2Options);
  try {
    return await new Promise((resolve) => {
      callerOf(rig.runtime.env).grpc(
        {
          cluster: 'grpc',
          path: '/a.B/C',
          metadata: [['x-key', 'k']],
          message: Buffer.from(message),
          timeout: patient,
          most: 100,
        },
        resolve,
      );
    });
  } finally {
    for (const session of sessions) session.destroy();
    server.close();
  }
}

function framed(message: string): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, Buffer.from(message)]);
}

function answer(stream: ServerHttp2Stream, body: Buffer, trailers: Readonly<Record<string, string>>): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ ...trailers }));
  stream.end(body);
}

describe('a request of our own', () => {
  it('is sent as a proxy of the mesh sends it, and answered with headers and body', async () => {
    await using rig = new Rig();
    const port = await rig.upstream((request, response) => {
      request.resume().on('end', () => {
        response.setHeader('x-seen', JSON.stringify([request.method, request.url, request.headers]));
        response.statusCode = 401;
        response.end('no');
      });
    });
    rig.cluster('web', [port]);
    const got = await http(rig, { method: 'POST', body: Buffer.from('body') });
    assert.equal(got.kind, 'answered');
    if (got.kind !== 'answered') return;
    assert.equal(got.status, 401);
    assert.equal(String(got.body), 'no');
    const [method, url, headers] = JSON.parse(got.headers.get('x-seen')!) as [string, string, Record<string, string>];
    assert.deepEqual([method, url], ['POST', '/check?a']);
    assert.equal(headers['host'], 'web.test');
    assert.equal(headers['content-length'], '4');
    assert.equal(headers['x-envoy-internal'], 'true');
    assert.equal(headers['x-forwarded-for'], rig.runtime.env.ownAddress);
    assert.equal(headers['x-a'], 'b');
    const stats = rig.runtime.stats.text(() => true);
    assert.match(stats, /cluster\.web\.internal\.upstream_rq_401: 1\n/);
    assert.match(stats, /cluster\.web\.upstream_rq_active: 0\n/);
  });

  it('fails with its cause: no cluster, no host, nobody there, too long, cut off, late', async () => {
    await using rig = new Rig();
    const cause = async (more: Partial<HttpCall>) => {
      const got = await http(rig, more);
      return got.kind === 'failed' ? got.cause : got.kind;
    };
    assert.equal(await cause({ cluster: 'nowhere' }), 'no-cluster');
    rig.cluster('web', []);
    assert.equal(await cause({}), 'no-host');
    rig.cluster('web', [1]);
    assert.equal(await cause({}), 'connect');
    let cut = 0;
    const port = await rig.upstream((request, response) => {
      if (request.url === '/long') response.end('x'.repeat(1_001));
      else if (request.url === '/cut') request.socket.destroy();
      else cut++;
    });
    rig.cluster('web', [port]);
    assert.equal(await cause({ path: '/long' }), 'too-large');
    assert.equal(await cause({ path: '/cut' }), 'reset');
    assert.equal(await cause({ path: '/late', timeout: millis(1) }), 'timeout');
    assert.ok(cut <= 1);
    assert.match(
      rig.runtime.stats.text(() => true),
      /cluster\.web\.upstream_rq_timeout: 1\n/,
    );
  });

  it('tells nothing once it was cancelled, and gives its connection back', async () => {
    await using rig = new Rig();
    let came = 0;
    let gone = 0;
    const port = await rig.upstream((request) => {
      came++;
      request.socket.once('close', () => gone++);
    });
    rig.cluster('web', [port]);
    const cancel = callerOf(rig.runtime.env).http(
      {
        cluster: 'web',
        method: 'GET',
        path: '/',
        authority: 'a',
        headers: new Headers(),
        body: Buffer.alloc(0),
        timeout: patient,
        most: 1,
      },
      () => assert.fail('told'),
    );
    await until('the request', () => (came > 0 ? true : undefined));
    cancel();
    cancel();
    await until('the end of its connection', () => (gone > 0 ? true : undefined));
    assert.match(
      rig.runtime.stats.text(() => true),
      /cluster\.web\.upstream_rq_active: 0\n/,
    );
  });

  it('is a unary call of gRPC', async () => {
    await using rig = new Rig();
    const seen: unknown[] = [];
    const got = await grpc(rig, (stream, body, headers) => {
      seen.push(headers[':path'], headers['te'], headers['content-type'], headers['grpc-timeout'], headers['x-key']);
      seen.push(body.toString('latin1'));
      answer(stream, framed('answer'), { 'grpc-status': '0' });
    });
    assert.deepEqual(seen, ['/a.B/C', 'trailers', 'application/grpc', '30000m', 'k', '\0\0\0\0\bquestion']);
    assert.equal(got.kind === 'answered' ? String(got.message) : got.kind, 'answer');
  });

  for (const [what, serve, expected] of [
    [
      'a status with its words',
      (s: ServerHttp2Stream) => answer(s, Buffer.alloc(0), { 'grpc-status': '7', 'grpc-message': 'no%20way%C3%A9' }),
      { kind: 'status', code: 7, text: 'no wayé' },
    ],
    [
      'a status in its only headers',
      (s: ServerHttp2Stream) => s.respond({ ':status': 200, 'grpc-status': '14' }, { endStream: true }),
      { kind: 'status', code: 14, text: '' },
    ],
    [
      'a status that is no number',
      (s: ServerHttp2Stream) => answer(s, framed('x'), { 'grpc-status': '0x0' }),
      { kind: 'status', code: 2, text: '' },
    ],
    [
      'an answer that is no gRPC',
      (s: ServerHttp2Stream) => s.respond({ ':status': 503 }, { endStream: true }),
      { kind: 'status', code: 14, text: 'an answer of HTTP status 503 without grpc-status' },
    ],
    [
      'success without a message',
      (s: ServerHttp2Stream) => answer(s, Buffer.alloc(0), { 'grpc-status': '0' }),
      { kind: 'status', code: 13, text: 'an answer without a message' },
    ],
    [
      'two messages',
      (s: ServerHttp2Stream) => answer(s, Buffer.concat([framed('a'), framed('b')]), { 'grpc-status': '0' }),
      { kind: 'status', code: 13, text: 'not one message' },
    ],
    [
      'a compressed message',
      (s: ServerHttp2Stream) => answer(s, Buffer.from([1, 0, 0, 0, 0]), { 'grpc-status': '0' }),
      { kind: 'status', code: 13, text: 'a compressed message, which was not asked for' },
    ],
  ] as const) {
    it(`takes ${what} for what it is`, async () => {
      await using rig = new Rig();
      assert.deepEqual(await grpc(rig, serve), expected);
    });
  }

  it('of gRPC fails where the message is longer than allowed', async () => {
    await using rig = new Rig();
    const got = await grpc(rig, (s) => answer(s, framed('x'.repeat(101)), { 'grpc-status': '0' }));
    assert.equal(got.kind === 'failed' ? got.cause : got.kind, 'too-large');
  });
});
