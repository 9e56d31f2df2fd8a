/** What peers that send without end, in small pieces, or read nothing make the waypoint hold. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  flag,
  frame,
  frameType,
  headersFrame,
  settingsFrame,
  windowUpdate,
} from '../../../common/testing/h2-frames.ts';
import { until } from '../../../common/testing/until.ts';
import { longOr } from '../../harness/require.ts';
import { Resident } from '../../harness/resident.ts';
import { get } from './floods.ts';
import { pour } from './pour.ts';
import { World } from './world.ts';

interface Case {
  readonly name: string;
  /** MB. */
  readonly bound: number;
  run(world: World, resident: Resident): Promise<void>;
}

const streams = Array.from({ length: 100 }, (_, i) => 2 * i + 1);
const data = (stream: number, bytes: Uint8Array) => frame(frameType.data, 0, stream, bytes);

/** Four windows of a connection, as Envoy has them by default (24 MiB), may wait for readers; then the connection is cut. */
const window = 24;

const cases: readonly Case[] = [
  ...['/hold', '/h2/hold'].map((path) => ({
    name: `DATA of one byte for ${path}`,
    bound: 5 * window + 48,
    run: (world: World) =>
      send(world, path, [1], longOr(3_000, 50_000), Buffer.concat(repeat(100, data(1, Buffer.of(120))))),
  })),
  ...['/hold', '/h2/hold'].map((path) => ({
    name: `DATA of 100 streams for ${path}`,
    bound: 5 * window + 48,
    run: (world: World) => send(world, path, streams, longOr(12_000, 48_000), Buffer.alloc(16_384)),
  })),
  ...['/hold', '/again/hold', '/h2/hold'].map((path) => ({
    name: `chunks of one byte for ${path}`,
    bound: 48,
    async run(world: World) {
      const socket = await world.socket('plain');
      socket.write(`POST ${path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n`);
      await pour(socket, longOr(5_000, 50_000), () => Buffer.from('1\r\nx\r\n'.repeat(100)), true);
      socket.destroy();
    },
  })),
  ...['/big', '/h2/big'].flatMap((path) => [
    {
      name: `100 answers of ${path} by HTTP/2 that nobody reads`,
      bound: 5 * window + 48,
      async run(world: World, resident: Resident) {
        const peer = await world.http2('plain');
        peer.send(settingsFrame([[4, 0x7fffffff]]), windowUpdate(0, 0x7ffeffff));
        peer.socket.pause();
        peer.send(...streams.map((s) => headersFrame(s, get(path), flag.endHeaders | flag.endStream)));
        await arrived(world, path);
        await resident.still();
        peer.socket.destroy();
      },
    },
    {
      name: `100 answers of ${path} by HTTP/1 that nobody reads`,
      bound: 5 * window + 48,
      async run(world: World, resident: Resident) {
        const sockets = await Promise.all(streams.map(() => world.socket('plain')));
        for (const socket of sockets) socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
        await arrived(world, path);
        await resident.still();
        for (const socket of sockets) socket.destroy();
      },
    },
  ]),
  {
    name: '200 heads of 59,000 bytes that never end',
    bound: 48,
    async run(world, resident) {
      const sockets = await Promise.all(Array.from({ length: 200 }, () => world.socket('plain')));
      for (const socket of sockets) socket.write(`GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(59_000)}`);
      await resident.still();
      for (const socket of sockets) socket.destroy();
    },
  },
  {
    name: 'a head that comes byte by byte',
    bound: 48,
    async run(world, resident) {
      const socket = await world.socket('plain');
      socket.setNoDelay(true);
      for (const byte of `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(10_000)}`) {
        if (!socket.write(byte)) await new Promise((resolve) => socket.once('drain', resolve));
      }
      await resident.still();
      socket.destroy();
    },
  },
];

describe('memory under hostile peers', () => {
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world[Symbol.asyncDispose]());

  for (const { name, bound, run } of cases) {
    it(name, async (t) => {
      const resident = new Resident(world.process.pid);
      // How much the heap swings under calls alone is not what a peer makes it hold.
      await world.neighbours(() => resident.still());
      resident.rebase();
      const { calls } = await world.neighbours(() => run(world, resident));
      const { grown } = resident;
      t.diagnostic(`${calls} calls of neighbours answered, ${grown.toFixed(0)} MB more of ${bound}`);
      assert.ok(grown < bound, `${grown.toFixed(0)} MB more`);
    });
  }
});

function repeat<T>(times: number, what: T): T[] {
  return Array.from({ length: times }, () => what);
}

/** `piece`: frames, or the payload of one for each stream in turn. */
async function send(world: World, path: string, to: readonly number[], parts: number, piece: Buffer): Promise<void> {
  const peer = await world.http2('plain');
  peer.send(...to.map((s) => headersFrame(s, get(path))));
  await arrived(world, path, to.length);
  const part = to.length === 1 ? () => piece : (n: number) => data(to[n % to.length]!, piece);
  await pour(peer.socket, parts, part, true);
  peer.socket.destroy();
}

async function arrived(world: World, path: string, times = streams.length): Promise<void> {
  await until(`${times} requests for ${path}`, () => world.seen.filter((p) => p === path).length >= times);
  world.forget();
}
