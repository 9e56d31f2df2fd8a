import assert from 'node:assert/strict';
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { attemptGrpc, servingStatus } from './grpc.ts';

async function asked(
  answer: (stream: ServerHttp2Stream, request: Buffer) => void,
  service = '',
  timeout = 5_000,
): Promise<string | undefined> {
  const server: Http2Server = createServer();
  server.on('stream', (stream) => {
    const parts: Buffer[] = [];
    stream.on('error', () => undefined);
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('end', () => answer(stream as ServerHttp2Stream, Buffer.concat(parts)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await attemptGrpc({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, service }, timeout);
  } finally {
    server.close();
  }
}

function health(status: readonly number[], code = '0') {
  return (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': code }));
    stream.end(Buffer.from([0, 0, 0, 0, status.length, ...status]));
  };
}

test('SERVING is success, all else says what it is', async () => {
  assert.equal(await asked(health([8, 1])), undefined);
  assert.equal(await asked(health([8, 2])), 'service unhealthy (responded with "NOT_SERVING")');
  assert.equal(await asked(health([])), 'service unhealthy (responded with "UNKNOWN")');
  assert.equal(await asked(health([8, 1], '12')), 'grpc-status 12');
  assert.equal(
    await asked((s) => s.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true })),
    'grpc-status 5',
  );
});

test('the service is named as protobuf has it', async () => {
  let request: Buffer = Buffer.alloc(0);
  await asked((stream, got) => {
    request = got;
    health([8, 1])(stream);
  }, 'shop');
  assert.deepEqual([...request], [0, 0, 0, 0, 6, 10, 4, ...Buffer.from('shop')]);
});

test('who speaks something else, or nothing, fails', async () => {
  const server = createTcpServer((socket) => socket.on('error', () => undefined).end('HTTP/1.1 200 OK\r\n\r\n'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  assert.notEqual(await attemptGrpc({ host: '127.0.0.1', port, service: '' }, 2_000), undefined);
  server.close();
  assert.match((await attemptGrpc({ host: '127.0.0.1', port, service: '' }, 2_000)) ?? '', /ECONNREFUSED/);
  assert.equal(await asked(() => undefined, '', 50), 'no answer within 50 ms');
});

test('any bytes are a status or none', () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => Number.isInteger(servingStatus(Buffer.from(bytes)))));
});
