import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MeshError } from '../core/errors.ts';
import {
  type Decoded,
  decodeAck,
  decodeHello,
  decodeRequest,
  encodeAck,
  encodeHello,
  encodeRequest,
  maxZdsPacket,
} from './codec.ts';
import type { ZdsRequest } from './types.ts';

const utf8 = (s: string) => [...Buffer.from(s)];
const hex = (packet: Uint8Array) => Buffer.from(packet).toString('hex');

/** Written by hand from the field numbers of ambient-wire 6.4: tag = number << 3 | 2. */
const golden: { readonly request: ZdsRequest; readonly packet: readonly number[] }[] = [
  {
    request: { kind: 'add', uid: 'u-1', info: { name: 'web', namespace: 'shop', serviceAccount: 'cart' } },
    packet: [
      ...[0x0a, 24], // WorkloadRequest.add = 1
      ...[0x0a, 3, ...utf8('u-1')], // AddWorkload.uid = 1
      ...[0x12, 17], // AddWorkload.workload_info = 2
      ...[0x0a, 3, ...utf8('web')],
      ...[0x12, 4, ...utf8('shop')],
      ...[0x1a, 4, ...utf8('cart')],
    ],
  },
  { request: { kind: 'del', uid: 'u-1' }, packet: [0x12, 5, 0x12, 3, ...utf8('u-1')] },
  { request: { kind: 'snapshotSent' }, packet: [0x1a, 0] },
  { request: { kind: 'keep', uid: 'u-1' }, packet: [0x2a, 5, 0x0a, 3, ...utf8('u-1')] },
];

describe('ZDS packets', () => {
  for (const { request, packet } of golden) {
    test(`${request.kind} has Istio's bytes both ways`, () => {
      assert.equal(hex(encodeRequest(request)), hex(Uint8Array.from(packet)));
      assert.deepEqual(decodeRequest(Uint8Array.from(packet)), { kind: 'ok', value: request });
    });
  }

  test("hello and acks have Istio's bytes both ways", () => {
    assert.equal(hex(encodeHello()), '0801');
    assert.deepEqual(decodeHello(Uint8Array.of(8, 1)), { kind: 'ok', value: { version: 1 } });
    assert.equal(hex(encodeAck({ error: '' })), '0a00');
    assert.equal(hex(encodeAck({ error: 'no' })), '0a040a026e6f');
    assert.deepEqual(decodeAck(Uint8Array.of(0x0a, 0)), { kind: 'ok', value: { error: '' } });
    assert.deepEqual(decodeAck(Uint8Array.of(0x0a, 4, 0x0a, 2, 0x6e, 0x6f)), { kind: 'ok', value: { error: 'no' } });
  });

  const malformed: readonly [string, (packet: Uint8Array) => Decoded<unknown>, readonly number[], RegExp][] = [
    ['empty request', decodeRequest, [], /none of/],
    ['unknown request', decodeRequest, [0x22, 0], /none of/],
    ['add without workload_info', decodeRequest, [0x0a, 3, 0x0a, 1, 0x61], /workload_info/],
    ['del with the uid in field 1', decodeRequest, [0x12, 3, 0x0a, 1, 0x61], /uid is empty/],
    ['keep without uid', decodeRequest, [0x2a, 0], /uid is empty/],
    ['uid that is not UTF-8', decodeRequest, [0x2a, 3, 0x0a, 1, 0xff], /utf-8/],
    ['long uid that is not UTF-8', decodeRequest, [0x2a, 102, 0x0a, 100, ...new Array(100).fill(0xff)], /utf-8/],
    ['truncated request', decodeRequest, [0x2a, 9, 0x0a, 1], /not the expected message/],
    ['hello of another version', decodeHello, [8, 2], /version 2/],
    ['empty hello', decodeHello, [], /version 0/],
    ['empty response', decodeAck, [], /no ack/],
    ['oversized packet', decodeAck, new Array(maxZdsPacket + 1).fill(0), /at most 1024/],
  ];
  for (const [name, read, packet, reason] of malformed) {
    test(`${name} is malformed`, () => {
      const decoded = read(Uint8Array.from(packet));
      assert.equal(decoded.kind, 'malformed');
      assert.match((decoded as { reason: string }).reason, reason);
    });
  }

  const name = fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme-ascii' });
  const plain = { noNullPrototype: true };
  const request: fc.Arbitrary<ZdsRequest> = fc.oneof(
    fc.record(
      {
        kind: fc.constant('add' as const),
        uid: name,
        info: fc.record({ name, namespace: name, serviceAccount: name }, plain),
      },
      plain,
    ),
    fc.record({ kind: fc.constant('keep' as const), uid: name }, plain),
    fc.record({ kind: fc.constant('del' as const), uid: name }, plain),
    fc.constant({ kind: 'snapshotSent' as const }),
  );

  test('every request survives the way there', () => {
    fc.assert(
      fc.property(request, (r) => {
        assert.deepEqual(decodeRequest(encodeRequest(r)), { kind: 'ok', value: r });
      }),
    );
  });

  test('no bytes make a decoder throw, also not those of a damaged packet', () => {
    const damaged = fc
      .tuple(request, fc.nat(), fc.nat(255))
      .map(([r, at, byte]) => encodeRequest(r).with(at % encodeRequest(r).length, byte));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 1100 }), damaged), (packet) => {
        for (const read of [decodeHello, decodeRequest, decodeAck]) {
          assert.match((read as (p: Uint8Array) => Decoded<unknown>)(packet).kind, /^(ok|malformed)$/);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('a request longer than a packet is an error, an error text longer than a packet is cut', () => {
    assert.throws(
      () => encodeRequest({ kind: 'keep', uid: 'x'.repeat(1100) }),
      (e) => e instanceof MeshError && e.code === 'PROTOCOL' && /at most 1024/.test(e.message),
    );
    const packet = encodeAck({ error: 'ü'.repeat(900) });
    assert.ok(packet.length <= maxZdsPacket && packet.length > maxZdsPacket - 8);
    const decoded = decodeAck(packet);
    assert.ok(decoded.kind === 'ok' && /^ü+$/.test(decoded.value.error));
  });
});
