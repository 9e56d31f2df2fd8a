import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MeshError } from '../../../../common/core/errors.ts';
import {
  FrameReader as ChannelReader,
  encodeFrame as encodeChannel,
} from '../../../../common/kube/kubelet/channels.ts';
import { WebSocketConnection } from './connection.ts';
import {
  acceptKey,
  closeCodes,
  encodeClose,
  encodeFrame,
  FrameReader,
  longestPayload,
  WebSocketError,
} from './frames.ts';
import { webSocketProcess } from './process.ts';

/** A frame of a client: masked. */
function fromClient(opcode: number, payload: Uint8Array, final = true, mask = [1, 2, 3, 4]): Buffer {
  const plain = encodeFrame('binary', payload);
  const head = Buffer.from(plain.subarray(0, plain.length - payload.length));
  head[0] = (final ? 0x80 : 0) | opcode;
  head[1]! |= 0x80;
  return Buffer.concat([head, Buffer.from(mask), Buffer.from(payload).map((b, i) => b ^ mask[i & 3]!)]);
}

function read(bytes: Buffer, step: number) {
  const reader = new FrameReader();
  const frames = [];
  for (let at = 0; at < bytes.length; at += step) frames.push(...reader.read(bytes.subarray(at, at + step)));
  return frames;
}

test('the accept key is that of RFC 6455 1.3', () => {
  assert.equal(acceptKey('dGhlIHNhbXBsZSBub25jZQ=='), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
});

test('frames are read as they were written, however their bytes are cut', () => {
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.constantFrom(new Uint8Array(125), new Uint8Array(126), new Uint8Array(65_536)),
  );
  fc.assert(
    fc.property(fc.array(payload, { maxLength: 4 }), fc.integer({ min: 1, max: 5000 }), (payloads, step) => {
      const frames = read(Buffer.concat(payloads.map((p) => fromClient(2, p))), step);
      assert.deepEqual(
        frames.map((f) => f.payload),
        payloads.map((p) => Buffer.from(p)),
      );
    }),
    { numRuns: 50 },
  );
});

test('any bytes are frames, wait for more, or are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      try {
        read(Buffer.from(bytes), 7);
      } catch (e) {
        assert.ok(e instanceof WebSocketError);
      }
    }),
  );
});

test('what a client must not send is refused with the code for it', () => {
  const huge = Buffer.alloc(14);
  huge[0] = 0x82;
  huge[1] = 0xff;
  huge.writeBigUInt64BE(2n ** 62n, 2);
  const code = (bytes: Buffer) => {
    try {
      read(bytes, bytes.length);
      return undefined;
    } catch (e) {
      return (e as WebSocketError).code;
    }
  };
  assert.equal(code(huge), closeCodes.tooBig);
  assert.equal(code(encodeFrame('binary', Buffer.alloc(3))), closeCodes.protocol, 'no mask');
  assert.equal(code(fromClient(3, Buffer.alloc(3))), closeCodes.protocol, 'unknown kind');
  assert.equal(code(fromClient(9, Buffer.alloc(126))), closeCodes.protocol, 'long ping');
  assert.equal(code(fromClient(8, Buffer.alloc(2), false)), closeCodes.protocol, 'cut close');
  const reserved = fromClient(2, Buffer.alloc(1));
  reserved[0]! |= 0x40;
  assert.equal(code(reserved), closeCodes.protocol, 'reserved bit');
  assert.ok(longestPayload >= 64 * 1024);
});

describe('a connection', () => {
  test('joins parts of messages, answers pings in between, and says goodbye', async () => {
    const [server, client] = duplexPair();
    const messages: string[] = [];
    const over = new WebSocketConnection(server).read((m) => void messages.push(m.toString()));
    client.write(Buffer.concat([fromClient(2, Buffer.from('one '), false), fromClient(9, Buffer.from('?'))]));
    client.write(Buffer.concat([fromClient(0, Buffer.from('two')), fromClient(8, Buffer.alloc(0))]));
    await over;
    assert.deepEqual(messages, ['one two']);
    const answers: Buffer[] = [];
    for await (const part of client.iterator({ destroyOnReturn: false })) answers.push(part as Buffer);
    assert.deepEqual(
      Buffer.concat(answers),
      Buffer.concat([encodeFrame('pong', Buffer.from('?')), encodeClose(closeCodes.normal)]),
    );
    client.destroy();
  });

  test('refuses parts out of order', async () => {
    for (const bytes of [
      fromClient(0, Buffer.alloc(1)),
      Buffer.concat([fromClient(2, Buffer.alloc(1), false), fromClient(2, Buffer.alloc(1))]),
    ]) {
      const [server, client] = duplexPair();
      client.write(bytes);
      await assert.rejects(
        new WebSocketConnection(server).read(() => undefined),
        WebSocketError,
      );
      client.destroy();
    }
  });
});

describe('channels of a process', () => {
  test('v5 ends input by 255; v4 has no such channel', async () => {
    const [server, client] = duplexPair();
    const five = webSocketProcess(server, 'v5.channel.k8s.io');
    client.write(Buffer.concat([fromClient(2, Buffer.from('\0typed')), fromClient(2, Buffer.of(255, 0))]));
    const parts: Buffer[] = [];
    for await (const part of five.channels.stdin.iterator({ destroyOnReturn: false })) parts.push(part as Buffer);
    assert.equal(Buffer.concat(parts).toString(), 'typed');
    client.destroy();
    const [other, peer] = duplexPair();
    const four = webSocketProcess(other, 'v4.channel.k8s.io');
    peer.write(fromClient(2, Buffer.of(255, 0)));
    await four.gone;
    assert.ok(four.channels.stdin.destroyed);
    peer.destroy();
  });

  test('a client that writes where it must not is cut', async () => {
    const [server, client] = duplexPair();
    const process = webSocketProcess(server, 'v5.channel.k8s.io');
    client.write(fromClient(2, Buffer.of(1, 65)));
    await process.gone;
    client.destroy();
  });
});

test('frames between server and kubelet are the same however cut, and nonsense is refused', () => {
  const frame = fc.record({ channel: fc.nat(4), bytes: fc.uint8Array({ maxLength: 100 }).map((b) => Buffer.from(b)) });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 6 }), fc.integer({ min: 1, max: 50 }), (frames, step) => {
      const bytes = Buffer.concat(frames.map((f) => encodeChannel(f.channel, f.bytes)));
      const reader = new ChannelReader();
      const found = [];
      for (let at = 0; at < bytes.length; at += step) found.push(...reader.read(bytes.subarray(at, at + step)));
      assert.deepEqual(
        found.map((f) => [f.channel, f.bytes]),
        frames.map((f) => [f.channel, f.bytes]),
      );
    }),
  );
  for (const hex of ['0500000001', '00ffffffff']) {
    assert.throws(() => [...new ChannelReader().read(Buffer.from(hex, 'hex'))], MeshError);
  }
});
