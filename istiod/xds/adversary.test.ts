/** Peers that mean harm, by raw frames: they are refused or cut, memory is bounded, others go on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { test } from 'node:test';
import { Client, type ClientDuplexStream, credentials, Metadata, status } from '@grpc/grpc-js';
import {
  addressTypeUrl,
  deltaAdsService,
  deltaRequestMessage,
  type Encodable,
  type PbDeltaRequest,
  type PbDeltaResponse,
} from '../../common/api/index.ts';
import { millis } from '../../common/core/brand.ts';
import { until } from '../../common/testing/until.ts';
import type { GrpcPort } from '../ports/grpc-port.ts';
import { startXdsBed } from '../testing/xds-bed.ts';
import type { XdsServer } from './xds-server.ts';

const method = deltaAdsService.DeltaAggregatedResources;
const node = { id: 'ztunnel~10.0.0.1~zt.istio-system~x' };

interface Bed {
  readonly port: GrpcPort;
  readonly xds: XdsServer;
  /** Changes a resource of so many bytes. */
  change(name: string, size: number): void;
  /** A peer that behaves; resolves with its number of responses so far. */
  good(): Promise<{ readonly responses: () => number }>;
  raw(): Promise<{ readonly session: ClientHttp2Session; readonly open: () => ClientHttp2Stream }>;
}

async function withBed(
  body: (bed: Bed) => Promise<void>,
  { authenticated = false, ackTimeout = 400 }: { readonly authenticated?: boolean; readonly ackTimeout?: number } = {},
): Promise<void> {
  const istiod = await startXdsBed({
    authenticated,
    ackTimeout,
    limits: { connections: 20, time: millis(500) },
  });
  const { port, xds } = istiod;
  const ends: (() => void)[] = [];
  let version = 0;
  const bed: Bed = {
    port,
    xds,
    change(name, size) {
      const bytes = Buffer.alloc(size, ++version & 255);
      bytes[0] = 0x12;
      istiod.set({
        type: addressTypeUrl,
        name,
        version: String(version),
        bytes,
        aliases: [],
        node: '',
        services: [],
        inputs: [],
      });
    },
    async good() {
      const client = new Client(`127.0.0.1:${port.port}`, credentials.createInsecure(), {
        'grpc.use_local_subchannel_pool': 1,
        'grpc.max_receive_message_length': -1,
      });
      ends.push(() => client.close());
      const metadata = new Metadata();
      metadata.set('authorization', 'Bearer good');
      const stream: ClientDuplexStream<Encodable<PbDeltaRequest>, PbDeltaResponse> = client.makeBidiStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        metadata,
      );
      let responses = 0;
      stream.on('error', () => undefined);
      stream.on('data', (r: PbDeltaResponse) => {
        responses++;
        stream.write({ typeUrl: r.typeUrl, responseNonce: r.nonce });
      });
      stream.write({
        node: { ...node, metadata: { fields: { NAMESPACE: { stringValue: 'istio-system' } } } },
        typeUrl: addressTypeUrl,
      });
      await until('its first response', () => responses === 1);
      return { responses: () => responses };
    },
    async raw() {
      const session = connect(`http://127.0.0.1:${port.port}`);
      session.on('error', () => undefined);
      ends.push(() => session.destroy());
      await once(session, 'connect');
      const open = () => {
        const stream = session.request({
          ':method': 'POST',
          ':path': method.path,
          'content-type': 'application/grpc',
          te: 'trailers',
        });
        stream.on('error', () => undefined);
        return stream;
      };
      return { session, open };
    },
  };
  try {
    await body(bed);
  } finally {
    for (const end of ends) end();
    istiod.stop();
  }
}

function closing(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve) => session.once('close', () => resolve()));
}

function framed(body: Buffer, flag = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

function request(r: Encodable<PbDeltaRequest>): Buffer {
  return framed(deltaRequestMessage.encode(r));
}

/** The next change reaches the peer that behaves. */
async function unharmed(bed: Bed, good: { readonly responses: () => number }): Promise<void> {
  const before = good.responses();
  bed.change('after', 10);
  await until('the next change', () => good.responses() > before);
}

async function grpcStatus(stream: ClientHttp2Stream): Promise<number> {
  return new Promise((resolve) => {
    const read = (headers: object) => {
      const code = (headers as Record<string, unknown>)['grpc-status'];
      if (code !== undefined) resolve(Number(code));
    };
    stream.on('response', read);
    stream.on('trailers', read);
    stream.on('close', () => resolve(-1));
    stream.resume();
  });
}

test('who never answers is cut with a status', () =>
  withBed(async (bed) => {
    bed.change('a', 10);
    const good = await bed.good();
    const { open } = await bed.raw();
    const stream = open();
    stream.write(request({ node, typeUrl: addressTypeUrl }));
    assert.equal(await grpcStatus(stream), status.DEADLINE_EXCEEDED);
    await unharmed(bed, good);
    assert.equal(bed.xds.clients.size, 1);
  }));

test('who asks for nothing is cut too', () =>
  withBed(
    async (bed) => {
      const { open } = await bed.raw();
      assert.equal(await grpcStatus(open()), status.DEADLINE_EXCEEDED);
    },
    // Long before the limit of connections, which says nothing.
    { ackTimeout: 20 },
  ));

test('who never reads loses its connection, and holds no memory that grows', () =>
  withBed(
    async (bed) => {
      for (let i = 0; i < 50; i++) bed.change(`big-${i}`, 100_000);
      const good = await bed.good();
      const { session, open } = await bed.raw();
      const stream = open();
      stream.pause();
      const closed = closing(session);
      stream.write(request({ node, typeUrl: addressTypeUrl }));
      await until('it is served', () => bed.xds.clients.size === 2);
      for (let i = 0; i < 200; i++) bed.change(`big-${i % 50}`, 100_000);
      await closed;
      await until('it is forgotten', () => bed.xds.clients.size === 1);
      await unharmed(bed, good);
    },
    // Time enough for one that reads, in the same process.
    { ackTimeout: 2_000 },
  ));

test('messages that are too large, too deep, compressed or nonsense end the call alone', () =>
  withBed(async (bed) => {
    const good = await bed.good();
    // Each around the last: by hand, since no encoder goes so deep.
    let deep = Buffer.from([0x1a, 1, 0x78]);
    for (let i = 0; i < 2_000; i++) deep = Buffer.concat([Buffer.from([0x32]), lengthOf(deep), deep]);
    const cases: readonly (readonly [string, Buffer])[] = [
      ['larger than the limit, by its head', Buffer.from([0, 0x7f, 0xff, 0xff, 0xff])],
      ['deep', framed(Buffer.concat([Buffer.from([0x0a]), lengthOf(deep), deep]))],
      ['nonsense', framed(Buffer.from('ffffffffffffffffffff', 'hex'))],
      ['compressed though nothing was agreed', framed(Buffer.from([1, 2, 3]), 1)],
      ['a type that nobody has', request({ node, typeUrl: 'x'.repeat(10_000) })],
      ['a node that is none', request({ node: { id: 'sidecar~a~b~c' }, typeUrl: addressTypeUrl })],
    ];
    for (const [name, bytes] of cases) {
      const { open } = await bed.raw();
      const stream = open();
      stream.write(bytes);
      const code = await grpcStatus(stream);
      assert.ok(code > 0 || code === -1, name);
    }
    await unharmed(bed, good);
  }));

function lengthOf(bytes: Buffer): Buffer {
  const out: number[] = [];
  let rest = bytes.length;
  for (; rest > 127; rest >>>= 7) out.push((rest & 127) | 128);
  return Buffer.from([...out, rest]);
}

test('a client that asks for more names than anybody needs is refused', () =>
  withBed(
    async (bed) => {
      const { open } = await bed.raw();
      const stream = open();
      // Who has said nothing sensible yet may not send so much.
      stream.write(request({ node, typeUrl: addressTypeUrl, resourceNamesSubscribe: ['/10.0'] }));
      await once(stream, 'data');
      const names = Array.from({ length: 100_001 }, (_, i) => `/10.${i}`);
      stream.write(request({ typeUrl: addressTypeUrl, resourceNamesSubscribe: names }));
      assert.equal(await grpcStatus(stream), status.RESOURCE_EXHAUSTED);
    },
    // It owes an answer to the first response, and a busy machine takes long to make so many names.
    { ackTimeout: 60_000 },
  ));

test('a NACK with a message as large as can be costs little', () =>
  withBed(
    async (bed) => {
      for (let i = 0; i < 2_000; i++) bed.change(`r-${i}`, 10);
      const { open } = await bed.raw();
      const stream = open();
      stream.write(request({ node, typeUrl: addressTypeUrl }));
      const [first] = (await once(stream, 'data')) as [Buffer];
      assert.ok(first.length > 0);
      const message = 'r-1: x; '.repeat(1_000_000);
      stream.write(request({ typeUrl: addressTypeUrl, responseNonce: '1', errorDetail: { message } }));
      const good = await bed.good();
      await unharmed(bed, good);
    },
    { ackTimeout: 60_000 },
  ));

test('a flood of streams that are reset ends the connection that makes it', () =>
  withBed(async (bed) => {
    const good = await bed.good();
    const { session, open } = await bed.raw();
    const closed = closing(session);
    let over = false;
    closed.then(() => {
      over = true;
    });
    for (let i = 0; i < 20_000 && !over && !session.destroyed && !session.closed; i++) {
      open().close(constants.NGHTTP2_CANCEL);
      if (i % 100 === 99) await new Promise(setImmediate);
    }
    await closed;
    await unharmed(bed, good);
  }));

test('connections that say nothing, or have no token, are few and short; who has one stays', () =>
  withBed(
    async (bed) => {
      const good = await bed.good();
      const silent: Socket[] = [];
      for (let i = 0; i < 100; i++) {
        const socket = connectTcp(bed.port.port, '127.0.0.1');
        socket.on('error', () => undefined);
        await once(socket, 'connect');
        silent.push(socket);
      }
      await until('most are closed', () => bed.port.connections <= 21);
      await until('all are closed', () => bed.port.connections === 1);
      for (const socket of silent) socket.destroy();
      const { session, open } = await bed.raw();
      const closed = closing(session);
      for (let i = 0; i < 6; i++) assert.equal(await grpcStatus(open()), status.UNAUTHENTICATED);
      await closed;
      await unharmed(bed, good);
    },
    { authenticated: true, ackTimeout: 60_000 },
  ));

test('a body without end before any token is cut', () =>
  withBed(
    async (bed) => {
      const { session, open } = await bed.raw();
      const closed = closing(session);
      const stream = open();
      const chunk = Buffer.alloc(16_384);
      const pump = () => {
        while (!stream.destroyed && stream.write(chunk));
      };
      stream.on('drain', pump);
      pump();
      await closed;
      assert.equal(bed.xds.clients.size, 0);
    },
    { authenticated: true },
  ));
