import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { GrpcStream } from './grpc-stream.ts';

async function served(onStream: (stream: ServerHttp2Stream, path: string) => void): Promise<[Http2Server, number]> {
  const server = createServer().listen(0, '127.0.0.1');
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => undefined);
    onStream(stream, headers[':path']!);
  });
  await once(server, 'listening');
  return [server, (server.address() as AddressInfo).port];
}

/** A message, with its head. */
function framed(size: number): Buffer {
  const bytes = Buffer.alloc(5 + size, size % 251);
  bytes[0] = 0;
  bytes.writeUInt32BE(size, 1);
  return bytes;
}

describe('GrpcStream, against the HTTP/2 of Node', () => {
  it('takes messages whole and in order, past its windows, and sends what it is told', async () => {
    const sizes = [0, 1, 70_000, 5, 3_000_000, 400, 2_500_000];
    const [server, port] = await served((stream, path) => {
      assert.equal(path, '/a.B/C');
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      // Each message of four bytes is the size of the answer; small ones come together.
      let asked = Buffer.alloc(0);
      stream.on('data', (chunk: Buffer) => {
        asked = Buffer.concat([asked, chunk]);
        const answers: Buffer[] = [];
        for (; asked.length >= 9; asked = asked.subarray(9)) answers.push(framed(asked.readUInt32BE(5)));
        stream.write(Buffer.concat(answers));
      });
    });
    const got: Buffer[] = [];
    await new Promise<void>((resolve, reject) => {
      const stream = new GrpcStream({
        port,
        path: '/a.B/C',
        onMessage: (message) => {
          got.push(Buffer.from(message));
          if (got.length === sizes.length) resolve(stream.close());
        },
        onEnd: reject,
      });
      for (const size of sizes) {
        const message = Buffer.alloc(4);
        message.writeUInt32BE(size);
        stream.send(message);
      }
    });
    server.close();
    assert.deepEqual(
      got.map((message) => message.length),
      sizes,
    );
    for (const message of got) assert.ok(message.equals(framed(message.length).subarray(5)));
  });

  it('tells once that the server has ended it', async () => {
    const [server, port] = await served((stream) => {
      stream.respond({ ':status': 200, 'grpc-status': '7' }, { endStream: true });
    });
    const ends: string[] = [];
    await new Promise<void>((resolve) => {
      new GrpcStream({
        port,
        path: '/a.B/C',
        onMessage: () => assert.fail('nothing was sent'),
        onEnd: ({ message }) => resolve(void ends.push(message)),
      });
    });
    server.close();
    await once(server, 'close');
    assert.deepEqual(ends, ['the server ended the stream']);
  });
});
