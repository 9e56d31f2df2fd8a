/** DNS over TCP with clients that hurry, dawdle or send no DNS. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { millis } from '../../common/core/brand.ts';
import { silentLogger } from '../../common/core/log.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { until } from '../../common/testing/until.ts';
import { dupFd } from '../../native/index.ts';
import type { DnsAnswerer } from '../../ztunnel/dns/answer.ts';
import { framed, MessageReader } from '../../ztunnel/dns/forward.ts';
import { serveDnsTcp } from '../../ztunnel/dns/server.ts';
import { descriptorOf } from '../../ztunnel/proxy/accept.ts';
import { skipUnless } from '../harness/require.ts';

/** Answers each message with itself, once it is let; a message of less than 12 bytes has no answer. */
async function serving() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const fd = dupFd(descriptorOf(listener as never)!);
  listener.close();
  const clock = new FakeClock();
  const state = { held: [] as (() => void)[], hold: false, open: 0, most: 0 };
  const answerer = {
    async answer(bytes: Buffer) {
      state.open++;
      state.most = Math.max(state.most, state.open);
      if (state.hold) await new Promise<void>((resolve) => state.held.push(resolve));
      await null;
      state.open--;
      return bytes.length < 12 ? undefined : bytes;
    },
  } as unknown as DnsAnswerer;
  const server = serveDnsTcp(fd, { answerer, clock, log: silentLogger, admits: () => true });
  const sockets: Socket[] = [];
  const client = () => {
    const socket = connect(port, '127.0.0.1')
      .setNoDelay()
      .on('error', () => undefined);
    sockets.push(socket);
    const reader = new MessageReader();
    const got: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => got.push(...reader.push(chunk)));
    return { socket, got };
  };
  const close = () => {
    for (const socket of sockets) socket.destroy();
    server.stop();
  };
  return { client, clock, state, close };
}

const message = (n: number) => Buffer.from(`message ${String(n).padStart(6, '0')}`);
/** Another client is served. */
async function neighbour(served: Awaited<ReturnType<typeof serving>>): Promise<void> {
  const { socket, got } = served.client();
  socket.write(framed(message(0)));
  await until("the neighbour's answer", () => got.length === 1);
}

test('DNS over TCP', { skip: skipUnless('addon') }, async (t) => {
  await t.test('2,000 queries in one stream are all answered, 32 at a time', async () => {
    const served = await serving();
    const { socket, got } = served.client();
    socket.end(Buffer.concat(Array.from({ length: 2_000 }, (_, i) => framed(message(i)))));
    await until('all answers', () => got.length === 2_000);
    assert.deepEqual(new Set(got.map(String)).size, 2_000);
    await until('the end', () => socket.closed);
    assert.ok(served.state.most <= 32, `${served.state.most} at once`);
    served.close();
  });

  await t.test('a client that sends byte by byte is let go after 10 s without a whole message', async () => {
    const served = await serving();
    const { socket, got } = served.client();
    socket.write(framed(message(1)));
    await until('the answer', () => got.length === 1);
    for (const byte of framed(message(2)).subarray(0, 9)) {
      socket.write(Buffer.of(byte));
      // Whoever is served after it shows that it has arrived.
      await neighbour(served);
      served.clock.advance(millis(1_000));
    }
    assert.equal(socket.closed, false);
    served.clock.advance(millis(1_000));
    await until('the end', () => socket.closed);
    await neighbour(served);
    served.close();
  });

  await t.test('a client that takes no answers is asked for no more', async () => {
    const served = await serving();
    const { socket } = served.client();
    socket.pause();
    const large = framed(Buffer.alloc(60_000, 1));
    let sent = 0;
    const send = () => {
      while (sent < 2_000 && socket.write(large)) sent++;
    };
    socket.on('drain', send);
    send();
    await neighbour(served);
    for (let before = -1; before !== sent; ) {
      before = sent;
      for (let i = 0; i < 20; i++) await neighbour(served);
    }
    assert.ok(sent < 1_000, `${sent} messages of 60 kB were taken`);
    await neighbour(served);
    served.close();
  });

  for (const [what, bytes] of [
    ['HTTP', Buffer.from(`GET / HTTP/1.1\r\n${'x'.repeat(100_000)}`)],
    ['a message of no length', Buffer.alloc(70_000)],
    ['a header that is cut', framed(Buffer.alloc(11))],
  ] as const) {
    await t.test(`${what} ends its connection and no other`, async () => {
      const served = await serving();
      const { socket } = served.client();
      socket.write(bytes);
      if (what === 'HTTP') {
        await neighbour(served);
        served.clock.advance(millis(10_000));
      }
      await until('the end', () => socket.closed);
      await neighbour(served);
      served.close();
    });
  }
});
