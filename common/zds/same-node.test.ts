import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Ip, Port } from '../core/net.ts';
import { anyIp } from '../testing/arbitraries.ts';
import {
  decodeSameNodeNews,
  decodeSameNodeOrder,
  encodeSameNode,
  type SameNodeNews,
  type SameNodeOrder,
} from './same-node.ts';

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const plain = { noNullPrototype: true } as const;
const port = fc.integer({ min: 1, max: 65_535 }) as fc.Arbitrary<Port>;
const uid = fc.string({ minLength: 1 });
const order = { kind: 'grant', source: 'a', destination: 'b', ip: '10.0.0.1', port: 80 };
const flow = {
  kind: 'flow',
  event: 'closed',
  source: 'a',
  clientIp: '10.0.0.1',
  clientPort: 40_000,
  ip: '10.0.0.2',
  port: 80,
  ms: 1.5,
  sent: 1,
  received: 2,
};

describe('packets of the same-node socket', () => {
  test('survive the way there', () => {
    const orders: fc.Arbitrary<SameNodeOrder> = fc.record(
      { kind: fc.constantFrom('grant' as const, 'revoke' as const), source: uid, destination: uid, ip: anyIp, port },
      plain,
    );
    fc.assert(
      fc.property(orders, (o) => assert.deepEqual(decodeSameNodeOrder(encodeSameNode(o)), { kind: 'ok', value: o })),
    );
    const count = fc.nat();
    const news: fc.Arbitrary<SameNodeNews> = fc.oneof(
      fc.record({ kind: fc.constant('eligible' as const), uid, eligible: fc.boolean() }, plain),
      fc.record(
        {
          kind: fc.constant('flow' as const),
          event: fc.constantFrom('opened' as const, 'closed' as const, 'reset' as const, 'failed' as const),
          source: uid,
          clientIp: anyIp as fc.Arbitrary<Ip>,
          clientPort: port,
          ip: anyIp as fc.Arbitrary<Ip>,
          port,
          ms: count,
          sent: count,
          received: count,
        },
        plain,
      ),
    );
    fc.assert(
      fc.property(news, (n) => assert.deepEqual(decodeSameNodeNews(encodeSameNode(n)), { kind: 'ok', value: n })),
    );
  });

  const malformed: readonly (readonly [string, unknown, unknown, RegExp])[] = [
    ['another kind', { ...order, kind: 'give' }, { ...flow, kind: 'flew' }, /kind is neither/],
    ['an unknown field', { ...order, x: 1 }, { ...flow, x: 1 }, /unknown field "x"/],
    ['no UID', { ...order, source: '' }, { ...flow, source: 7 }, /uid is not/],
    ['no address', { ...order, ip: 'here' }, { ...flow, ip: '' }, /ip is not an IP address/],
    ['no port', { ...order, port: 0 }, { ...flow, port: 65_536 }, /port is not a port/],
    [
      'fields of the other',
      { ...order, sent: 1 },
      { kind: 'eligible', uid: 'a', eligible: true, sent: 1 },
      /unknown field/,
    ],
  ];
  for (const [name, wrongOrder, wrongNews, reason] of malformed) {
    test(`${name} is malformed`, () => {
      for (const decoded of [decodeSameNodeOrder(bytes(wrongOrder)), decodeSameNodeNews(bytes(wrongNews))]) {
        assert.match(decoded.kind === 'malformed' ? decoded.reason : 'ok', reason);
      }
    });
  }

  test('counts are numbers from 0, and events are known', () => {
    for (const wrong of [{ sent: -1 }, { received: '1' }, { ms: null }, { event: 'lost' }]) {
      assert.equal(decodeSameNodeNews(bytes({ ...flow, ...wrong })).kind, 'malformed', JSON.stringify(wrong));
    }
    assert.equal(decodeSameNodeNews(bytes({ kind: 'eligible', uid: 'a', eligible: 1 })).kind, 'malformed');
  });

  test('no bytes make a decoder throw', () => {
    const packets = fc.oneof(
      fc.uint8Array(),
      fc.json().map((j) => new TextEncoder().encode(j)),
    );
    fc.assert(
      fc.property(packets, (packet) => {
        assert.match(decodeSameNodeOrder(packet).kind, /^(ok|malformed)$/);
        assert.match(decodeSameNodeNews(packet).kind, /^(ok|malformed)$/);
      }),
    );
  });
});
