/** Peers that send or read slowly, or stop: each time-out that is configured ends what it is about, and nothing else. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type Frame, flag, frame, frameType, headersFrame, type RawPeer } from '../../../common/testing/h2-frames.ts';
import { until } from '../../../common/testing/until.ts';
import { big } from './backends.ts';
import { get } from './floods.ts';
import { closed, World } from './world.ts';

interface Case {
  readonly name: string;
  readonly listener: string;
  readonly first: string;
  /** Sent every 50 ms. */
  readonly drop: string;
  /** What is answered before the connection ends; empty: nothing. */
  readonly answer: RegExp;
}

const body = 'POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n';
const chunks = 'POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';

const cases: readonly Case[] = [
  {
    name: 'a request line that comes in drops',
    listener: 'request_headers_timeout',
    first: 'GET /',
    drop: 'a',
    answer: /^$/,
  },
  {
    name: 'headers that come in drops',
    listener: 'request_headers_timeout',
    first: 'GET / HTTP/1.1\r\nHost: a\r\n',
    drop: 'x: y\r\n',
    answer: /^$/,
  },
  {
    name: 'the head of a second request in drops',
    listener: 'request_headers_timeout',
    first: 'GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n',
    drop: 'x: y\r\n',
    answer: /^HTTP\/1\.1 200 /,
  },
  { name: 'a body in drops', listener: 'request_timeout', first: body, drop: 'x', answer: /^HTTP\/1\.1 408 / },
  {
    name: 'chunks in drops',
    listener: 'request_timeout',
    first: chunks,
    drop: '1\r\nx\r\n',
    answer: /^HTTP\/1\.1 408 /,
  },
  {
    name: 'a size of a chunk in drops',
    listener: 'request_timeout',
    first: `${chunks}1;`,
    drop: 'x',
    answer: /^HTTP\/1\.1 408 /,
  },
  {
    name: 'trailers in drops',
    listener: 'request_timeout',
    first: `${chunks}0\r\n`,
    drop: 'x: y\r\n',
    answer: /^HTTP\/1\.1 408 /,
  },
  { name: 'a body that stops', listener: 'stream_idle_timeout', first: body, drop: '', answer: /^HTTP\/1\.1 408 / },
  {
    name: 'an answer that does not come',
    listener: 'stream_idle_timeout',
    first: 'GET /hold HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    drop: '',
    answer: /^HTTP\/1\.1 504 /,
  },
];

describe('slow peers', () => {
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world[Symbol.asyncDispose]());

  for (const { name, listener, first, drop, answer } of cases) {
    it(`${listener} ends ${name}`, async () => {
      const socket = await world.socket(listener);
      const { result } = await world.neighbours(() => trickle(socket, first, drop));
      assert.match(result, answer);
    });
  }

  it('request_timeout ends a body in drops by HTTP/2, and not the connection', async () => {
    const peer = await world.http2('request_timeout');
    peer.send(headersFrame(1, get('/slow')));
    const timer = setInterval(() => peer.send(frame(frameType.data, 0, 1, Buffer.of(120))), 50);
    try {
      await world.neighbours(() => answered(peer, 1));
    } finally {
      clearInterval(timer);
    }
    peer.send(headersFrame(3, get('/after'), flag.endHeaders | flag.endStream));
    await answered(peer, 3);
    peer.socket.destroy();
  });

  it('stream_idle_timeout ends an answer that nobody reads', async () => {
    const socket = await world.socket('stream_idle_timeout');
    socket.pause();
    const stat = async (name: string) => {
      const text = await world.process.admin(`/stats?filter=stream_idle_timeout.${name}`);
      return Number(/: (\d+)$/m.exec(text)?.[1] ?? 0);
    };
    const before = await stat('downstream_rq_total');
    socket.write('GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await until('the request', async () => (await stat('downstream_rq_total')) > before);
    await until('its end', async () => (await stat('downstream_rq_active')) === 0);
    let bytes = 0;
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
    socket.resume();
    await closed(socket);
    assert.ok(bytes < big.length, `${bytes} bytes look complete`);
  });

  it('half of a preface, and half of TLS, hold nobody up', async () => {
    const sockets = await Promise.all(
      Array.from({ length: 100 }, (_, i) => world.socket(i % 2 === 0 ? 'plain' : 'hbone')),
    );
    for (const [i, socket] of sockets.entries())
      socket.write(i % 2 === 0 ? 'PRI * HT' : Buffer.from('16030100', 'hex'));
    await world.neighbours(async () => {
      const peer = await world.http2('hbone');
      peer.socket.destroy();
    });
    for (const socket of sockets) socket.destroy();
  });
});

/** Until the stream is over. */
function answered(peer: RawPeer, stream: number): Promise<unknown> {
  const last = (f: Frame) =>
    f.stream === stream && (f.type === frameType.rstStream || (f.flags & flag.endStream) !== 0);
  return until(`the end of stream ${stream}`, () => peer.frames.some(last));
}

/** What came until the connection's end. */
async function trickle(socket: Socket, first: string, drop: string): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1', 0, 100);
  });
  socket.write(first);
  const timer = setInterval(() => socket.write(drop), 50);
  await closed(socket);
  clearInterval(timer);
  return text;
}
