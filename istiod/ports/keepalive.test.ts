import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { ServerCredentials } from '@grpc/grpc-js';
import { parseListenAddress } from '../../common/config/listen-address.ts';
import { millis } from '../../common/core/brand.ts';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { frameType, preface, settingsFrame } from '../../common/testing/h2-frames.ts';
import { openGrpcPort } from './grpc-port.ts';

function typesOf(bytes: Buffer): readonly number[] {
  const types: number[] = [];
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) types.push(bytes.readUInt8(at + 3));
  return types;
}

test('a client is asked for a sign of life, and cut where none comes', async () => {
  const port = await openGrpcPort({
    at: parseListenAddress('127.0.0.1:0')!,
    credentials: ServerCredentials.createInsecure(),
    flag: 'test',
    clock: systemClock,
    log: silentLogger,
    maxAge: undefined,
    keepalive: { interval: millis(20), timeout: millis(20) },
    services: () => undefined,
  });
  const socket = connect(port.port, '127.0.0.1');
  const closed = once(socket, 'close');
  const chunks: Buffer[] = [];
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.write(Buffer.concat([preface, settingsFrame()]));
  try {
    await closed;
    assert.equal(typesOf(Buffer.concat(chunks)).filter((type) => type === frameType.ping).length, 1);
  } finally {
    socket.destroy();
    port.close();
  }
});
