import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, credentials, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import fc from 'fast-check';
import { parseListenAddress } from '../../common/config/listen-address.ts';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { frameOf, messageInFrame } from './frame.ts';
import { openGrpcPort } from './grpc-port.ts';

test('a message made in a frame has its head before it', () => {
  const message = messageInFrame(300);
  message.fill(7);
  const whole = frameOf(message)!;
  assert.deepEqual([...whole.subarray(0, 5)], [0, 0, 0, 1, 44]);
  assert.deepEqual(whole.subarray(5), message);
  assert.equal(whole.buffer, message.buffer);
});

test('other bytes are no frame', () => {
  assert.equal(frameOf(Buffer.alloc(300)), undefined);
  assert.equal(frameOf(messageInFrame(300).subarray(1)), undefined);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 5, maxLength: 64 }), (bytes) => {
      const own = Buffer.from(new Uint8Array(bytes).buffer).subarray(5);
      const isHead = bytes[0] === 0 && Buffer.from(bytes).readUInt32BE(1) === own.length;
      assert.equal(frameOf(own) !== undefined, isHead);
    }),
  );
});

test('a frame reaches the client without being written anew', async () => {
  const answer = messageInFrame(100_000);
  answer.fill(3);
  const path = '/test.Test/Get';
  const ready = (bytes: Buffer) => bytes;
  const method = {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: ready,
    requestDeserialize: ready,
  };
  const port = await openGrpcPort({
    at: parseListenAddress('127.0.0.1:0')!,
    credentials: ServerCredentials.createInsecure(),
    flag: 'test',
    clock: systemClock,
    log: silentLogger,
    maxAge: undefined,
    services: (server) =>
      server.addService(
        {
          Get: {
            ...method,
            responseDeserialize: ready,
            responseSerialize: () => assert.fail('it is serialized'),
          },
        },
        { Get: (_: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(null, answer) },
      ),
  });
  const client = new Client(`127.0.0.1:${port.port}`, credentials.createInsecure());
  try {
    const got = await new Promise<Buffer | undefined>((resolve, reject) =>
      client.makeUnaryRequest(path, ready, ready, Buffer.alloc(0), (e, v) => (e ? reject(e) : resolve(v))),
    );
    assert.deepEqual(got, answer);
  } finally {
    client.close();
    port.close();
  }
});
