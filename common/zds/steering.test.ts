import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeSteerAck, decodeSteerPod, encodeSteering } from './steering.ts';
import type { SteerAck, SteerPod } from './types.ts';

const pod: SteerPod = {
  kind: 'steer',
  id: 7,
  uid: 'u-1',
  outbound: { v4: 40001, v6: 40002 },
  dnsUdp: { v4: 40003, v6: 40004 },
  dnsTcp: { v4: 40005, v6: 40006 },
};

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

describe('steering packets', () => {
  test('both kinds survive the way there', () => {
    const port = fc.integer({ min: 1, max: 65_535 });
    const ports = fc.record({ v4: port, v6: port }, { noNullPrototype: true });
    const arbitrary: fc.Arbitrary<SteerPod> = fc.record(
      {
        kind: fc.constant('steer' as const),
        id: fc.nat(),
        uid: fc.string({ minLength: 1 }),
        outbound: ports,
        dnsUdp: ports,
        dnsTcp: ports,
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(arbitrary, (p) => {
        assert.deepEqual(decodeSteerPod(encodeSteering(p)), { kind: 'ok', value: p });
      }),
    );
    const ack: SteerAck = { kind: 'steered', id: 7, error: 'no such pod' };
    assert.deepEqual(decodeSteerAck(encodeSteering(ack)), { kind: 'ok', value: ack });
  });

  const malformed: readonly [string, unknown, RegExp][] = [
    ['an array', [], /not an object/],
    ['an ack', { kind: 'steered', id: 1, error: '' }, /unknown field "error"/],
    ['another kind', { ...pod, kind: 'stear' }, /kind is not "steer"/],
    ['an unknown field', { ...pod, extra: 1 }, /unknown field "extra"/],
    ['a negative id', { ...pod, id: -1 }, /id is not/],
    ['a broken id', { ...pod, id: 1.5 }, /id is not/],
    ['an empty uid', { ...pod, uid: '' }, /uid is not/],
    ['port 0', { ...pod, outbound: { v4: 0, v6: 1 } }, /outbound\.v4 is not a port/],
    ['a port as text', { ...pod, dnsTcp: { v4: 1, v6: '2' } }, /dnsTcp\.v6 is not a port/],
    ['a missing port', { ...pod, dnsUdp: { v4: 1 } }, /dnsUdp\.v6 is not a port/],
    ['missing ports', { ...pod, dnsUdp: undefined }, /dnsUdp is not an object/],
  ];
  for (const [name, value, reason] of malformed) {
    test(`${name} is malformed`, () => {
      const decoded = decodeSteerPod(bytes(value));
      assert.equal(decoded.kind, 'malformed');
      assert.match((decoded as { reason: string }).reason, reason);
    });
  }

  test('what is not JSON, not UTF-8 or too long is malformed', () => {
    for (const packet of [Uint8Array.of(), Uint8Array.of(0x22, 0xff, 0x22), bytes('x'.repeat(5000))]) {
      assert.equal(decodeSteerPod(packet).kind, 'malformed');
      assert.equal(decodeSteerAck(packet).kind, 'malformed');
    }
  });

  test('no bytes make a decoder throw', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((j) => new TextEncoder().encode(j)),
        ),
        (packet) => {
          assert.match(decodeSteerPod(packet).kind, /^(ok|malformed)$/);
          assert.match(decodeSteerAck(packet).kind, /^(ok|malformed)$/);
        },
      ),
    );
  });
});
