import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';
import { describe, test } from 'node:test';
import { constants, createDeflate } from 'node:zlib';
import fc from 'fast-check';
import { until } from '../../testing/until.ts';
import { dictionary } from './dictionary.ts';
import { encodeData, encodePing, type Frame, FrameReader, SpdyError } from './frames.ts';
import { HeaderPacker, HeaderUnpacker, parseBlock } from './headers.ts';
import { SpdySession, type SpdyStream } from './session.ts';

/** A client as Kubernetes': one zlib stream for all its header blocks. */
class Packer {
  readonly #deflate = createDeflate({ dictionary, flush: constants.Z_SYNC_FLUSH });
  async pack(block: Buffer): Promise<Buffer> {
    const parts: Buffer[] = [];
    const onData = (part: Buffer) => void parts.push(part);
    this.#deflate.on('data', onData);
    await new Promise<void>((resolve) => {
      this.#deflate.write(block);
      this.#deflate.flush(constants.Z_SYNC_FLUSH, () => setImmediate(resolve));
    });
    this.#deflate.off('data', onData);
    return Buffer.concat(parts);
  }
}

function block(headers: Readonly<Record<string, string>>): Buffer {
  const text = (s: string) => {
    const bytes = Buffer.from(s, 'latin1');
    return Buffer.concat([number(bytes.length), bytes]);
  };
  const entries = Object.entries(headers);
  return Buffer.concat([number(entries.length), ...entries.flatMap(([k, v]) => [text(k), text(v)])]);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function control(type: number, flags: number, body: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(0x8003, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt32BE(body.length, 4);
  head[4] = flags;
  return Buffer.concat([head, body]);
}

const synStream = (id: number, packed: Buffer, flags = 0) =>
  control(1, flags, Buffer.concat([number(id), number(0), Buffer.of(0, 0), packed]));

const headersArbitrary = fc.dictionary(
  fc.stringMatching(/^[a-z][a-z-]{0,20}$/),
  fc.string({ maxLength: 40, unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)) }),
  { maxKeys: 8 },
);

describe('header blocks', () => {
  test('are unpacked as they were packed, one after the other', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(headersArbitrary, { minLength: 1, maxLength: 6 }), async (all) => {
        const [packer, unpacker] = [new Packer(), new HeaderUnpacker()];
        for (const headers of all) {
          const found = await unpacker.unpack(await packer.pack(block(headers)));
          assert.deepEqual({ ...Object.fromEntries(found) }, { ...headers });
        }
        unpacker.close();
      }),
      { numRuns: 50 },
    );
  });

  test('of ours are in one zlib stream that the other end can read', async () => {
    const [packer, unpacker] = [new HeaderPacker(), new HeaderUnpacker()];
    for (const headers of [{}, { port: '80', streamtype: 'data' }, {}, { a: 'x'.repeat(60_000) }]) {
      const found = await unpacker.unpack(packer.pack(headers));
      assert.deepEqual(Object.fromEntries(found), headers);
    }
    unpacker.close();
  });

  test('that unpack to more than 64 KiB, or to nothing that makes sense, are refused', async () => {
    const unpacker = new HeaderUnpacker();
    const bomb = await new Packer().pack(block({ a: 'x'.repeat(10_000_000) }));
    assert.ok(bomb.length < 64 * 1024);
    await assert.rejects(unpacker.unpack(bomb), SpdyError);
    await assert.rejects(unpacker.unpack(bomb), SpdyError);
    await assert.rejects(new HeaderUnpacker().unpack(Buffer.from('not zlib at all')), SpdyError);
  });

  test('of any bytes parse or are a SpdyError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          parseBlock(Buffer.from(bytes));
        } catch (e) {
          assert.ok(e instanceof SpdyError);
        }
      }),
    );
  });
});

function readAll(bytes: Buffer, cuts: readonly number[]): { frames: Frame[]; failed: boolean } {
  const reader = new FrameReader();
  const frames: Frame[] = [];
  const borders = [0, ...cuts.map((c) => c % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  try {
    for (const [i, from] of borders.slice(0, -1).entries()) {
      for (const frame of reader.read(bytes.subarray(from, borders[i + 1]!))) {
        const before = frames.at(-1);
        const joins =
          frame.kind === 'data' && before?.kind === 'data' && before.stream === frame.stream && !before.final;
        if (joins) frames[frames.length - 1] = { ...frame, bytes: Buffer.concat([before.bytes, frame.bytes]) };
        else frames.push(frame);
      }
    }
    return { frames, failed: false };
  } catch (e) {
    assert.ok(e instanceof SpdyError);
    return { frames, failed: true };
  }
}

describe('frames', () => {
  test('are the same however their bytes are cut', () => {
    const piece = fc.oneof(
      fc
        .tuple(fc.integer({ min: 1, max: 9 }), fc.uint8Array({ maxLength: 40 }))
        .map(([id, b]) => encodeData(id, b, true)),
      fc.integer({ min: 0, max: 0xffffffff }).map(encodePing),
      fc.uint8Array({ minLength: 0, maxLength: 30 }).map((b) => Buffer.from(b)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 8 }), (pieces, cuts) => {
        const bytes = Buffer.concat(pieces);
        assert.deepEqual(readAll(bytes, cuts), readAll(bytes, []));
      }),
    );
  });

  test('that are too long, of another version or cut short are refused', () => {
    for (const bytes of [
      Buffer.from('80020006000000040000', 'hex'),
      control(1, 0, Buffer.alloc(20_000)),
      control(1, 0, Buffer.alloc(5)),
      control(77, 0, Buffer.alloc(8)),
      encodeData(0, Buffer.alloc(1), false),
    ]) {
      assert.equal(readAll(bytes, []).failed, true, bytes.toString('hex', 0, 16));
    }
  });
});

function wire(): { server: Duplex; client: { in: Duplex; out: Duplex } } {
  const [server, client] = duplexPair();
  return { server, client: { in: client, out: client } };
}

describe('a session', () => {
  test('answers streams and pings, carries data both ways, and ends with the client', async () => {
    const { server, client } = wire();
    const opened: SpdyStream[] = [];
    const session = new SpdySession(server, (stream) => opened.push(stream));
    const over = session.read();
    const packer = new Packer();
    client.out.write(synStream(1, await packer.pack(block({ streamType: 'data' }))));
    client.out.write(encodeData(1, Buffer.from('hello'), true));
    client.out.write(encodePing(5));
    await once(client.in, 'readable');
    while (opened.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const { headers, channel } = opened[0]!;
    assert.equal(headers.get('streamtype'), 'data');
    const chunks: Buffer[] = [];
    for await (const chunk of channel.iterator({ destroyOnReturn: false })) chunks.push(chunk as Buffer);
    assert.equal(Buffer.concat(chunks).toString(), 'hello');
    channel.end('bye');
    await once(channel, 'finish');
    client.out.end();
    await over;
    let hex = '';
    for (let part = client.in.read() as Buffer | null; part !== null; part = client.in.read() as Buffer | null) {
      hex += part.toString('hex');
    }
    assert.ok(hex.startsWith('80030002'), 'SYN_REPLY');
    assert.ok(hex.includes('800300060000000400000005'), 'PING');
    assert.ok(hex.includes('0000000100000003627965'), 'data');
    assert.ok(hex.includes('0000000101000000'), 'FIN');
  });

  test('refuses streams out of order, data of no stream, and any nonsense, and all its streams end', async () => {
    const packed = () => new Packer().pack(block({}));
    for (const bytes of [
      synStream(2, await packed()),
      Buffer.concat([synStream(3, await packed()), synStream(1, await packed())]),
      encodeData(7, Buffer.from('x'), false),
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      synStream(1, Buffer.from('nonsense')),
      control(2, 0, Buffer.alloc(8)),
    ]) {
      const { server, client } = wire();
      const opened: SpdyStream[] = [];
      const session = new SpdySession(server, (stream) => opened.push(stream));
      client.out.end(bytes);
      await assert.rejects(
        session.read(),
        (e: Error) => e instanceof SpdyError || /closed|Premature/.test(e.message),
        bytes.toString('latin1'),
      );
      for (const { channel } of opened) assert.ok(channel.destroyed);
    }
  });

  test('a stream that nobody reads holds up the connection, and no memory', async () => {
    const { server, client } = wire();
    const opened: SpdyStream[] = [];
    const session = new SpdySession(server, (stream) => opened.push(stream));
    session.read().catch(() => undefined);
    client.out.write(synStream(1, await new Packer().pack(block({}))));
    let taken = 0;
    for (let i = 0; i < 1000; i++) {
      if (client.out.write(encodeData(1, Buffer.alloc(16_384), false))) taken++;
      await new Promise((resolve) => setImmediate(resolve));
      if (client.out.writableNeedDrain) break;
    }
    assert.ok(taken < 100, `${taken} frames of 16 KiB were taken`);
    const { channel } = await until('the stream is open', () => opened[0]);
    channel.destroy();
    server.destroy();
  });
});
