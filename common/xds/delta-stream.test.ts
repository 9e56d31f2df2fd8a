import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { credentials, Metadata } from '@grpc/grpc-js';
import { millis } from '../core/brand.ts';
import { silentLogger } from '../core/log.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { until } from '../testing/until.ts';
import { keepDeltaStream } from './delta-stream.ts';

test('a control plane that takes the connection and never answers is given up after 5 s', async () => {
  const clock = new FakeClock();
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.on('error', () => undefined)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const stop = new AbortController();
  const ends: string[] = [];
  let open = 0;
  void keepDeltaStream(
    {
      connect: async () => ({
        target: `127.0.0.1:${port}`,
        credentials: credentials.createInsecure(),
        options: {},
        metadata: new Metadata(),
      }),
      clock,
      log: silentLogger,
      signal: stop.signal,
    },
    {
      opened: () => void open++,
      response: () => assert.fail('nobody answers'),
      closed: () => void open--,
      terminated: (reason) => void ends.push(reason),
    },
  );
  try {
    await until('it is tried', () => open === 1);
    clock.advance(millis(4_999));
    assert.deepEqual(ends, []);
    clock.advance(millis(1));
    await until('it is given up', () => ends.length > 0);
    assert.deepEqual([ends, open], [['ConnectionError'], 0]);
  } finally {
    stop.abort();
    server.close();
    for (const socket of sockets) socket.destroy();
  }
});
