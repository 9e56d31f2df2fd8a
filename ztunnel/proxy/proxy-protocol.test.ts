import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Ip, type Port, parseIp } from '../../common/core/net.ts';
import { anyIp } from '../../common/testing/arbitraries.ts';
import { proxyHeader } from './proxy-protocol.ts';

/** Written from the specification alone, over strings of hexadecimal digits, so that it shares nothing with the encoder. */
function decode(header: Buffer) {
  const hex = header.toString('hex');
  const m = /^0d0a0d0a000d0a515549540a21(1|2)1([0-9a-f]{4})(.*)$/.exec(hex);
  assert.ok(m, `no header of version 2: ${hex}`);
  const [, family, length, body] = m;
  assert.equal(body!.length, 2 * Number.parseInt(length!, 16), 'its length is what follows');
  const digits = family === '1' ? 8 : 32;
  const address = (at: number) => {
    const text = body!.slice(at, at + digits);
    const parts = family === '1' ? text.match(/../g)!.map((b) => Number.parseInt(b, 16)) : text.match(/..../g)!;
    return parseIp(parts.join(family === '1' ? '.' : ':'))!;
  };
  const port = (at: number) => Number.parseInt(body!.slice(at, at + 4), 16);
  const tlvs: [number, string][] = [];
  for (let at = 2 * digits + 8; at < body!.length; ) {
    const size = 2 * Number.parseInt(body!.slice(at + 2, at + 6), 16);
    const value = body!.slice(at + 6, at + 6 + size);
    assert.equal(value.length, size, 'a TLV is whole');
    tlvs.push([Number.parseInt(body!.slice(at, at + 2), 16), Buffer.from(value, 'hex').toString()]);
    at += 6 + size;
  }
  return {
    family: family === '1' ? 4 : 6,
    source: { ip: address(0), port: port(2 * digits) },
    destination: { ip: address(digits), port: port(2 * digits + 4) },
    tlvs,
  };
}

test('to the byte, as the specification draws it', () => {
  const header = proxyHeader({
    source: { ip: '10.1.0.1' as Ip, port: 0x1234 as Port },
    destination: { ip: '10.96.0.7' as Ip, port: 80 as Port },
    spiffe: 'spiffe://a/ns/b/sa/c',
  });
  assert.equal(
    header.toString('hex'),
    `0d0a0d0a000d0a515549540a2111${'0023'}0a0100010a60000712340050d00014${Buffer.from('spiffe://a/ns/b/sa/c').toString('hex')}`,
  );
});

test('whatever is put in comes out of a decoder', () => {
  const port = fc.integer({ min: 0, max: 65_535 });
  const spiffe = fc.option(fc.string({ maxLength: 2_048, unit: 'binary-ascii' }), { nil: undefined });
  fc.assert(
    fc.property(anyIp, anyIp, port, port, spiffe, (from, to, fromPort, toPort, id) => {
      const source = { ip: from, port: fromPort as Port };
      const destination = { ip: to, port: toPort as Port };
      const decoded = decode(proxyHeader({ source, destination, spiffe: id }));
      assert.equal(decoded.family, from.includes(':') || to.includes(':') ? 6 : 4);
      assert.deepEqual(decoded.source, source);
      assert.deepEqual(decoded.destination, destination);
      assert.deepEqual(decoded.tlvs, id === undefined ? [] : [[0xd0, id]]);
    }),
  );
});
