import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { cidrContains } from '../testing/cidr.ts';
import { formatSocketAddr, ipFromBytes, ipToBytes, parseCidr, parseIp, parsePort, parseSocketAddr } from './net.ts';

it('folds every way to write an address into one', () => {
  for (const [text, wanted] of [
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:a00:1', '10.0.0.1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['2001:DB8::0:1', '2001:db8::1'],
    ['::1.2.3.4', '::102:304'],
    ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
  ] as const) {
    assert.equal(parseIp(text), wanted, text);
  }
});

it('refuses what other parsers read as another address', () => {
  for (const text of [
    '',
    '1.2.3',
    '010.0.0.1',
    '::ffff:010.0.0.1',
    '0x7f.0.0.1',
    '127.1',
    '2130706433',
    '1.2.3.4.',
    '256.0.0.1',
    'fe80::1%eth0',
    '::ffff:1.2.3',
    '1::2::3',
    ' 1.2.3.4',
    '1.2.3.4\n',
  ]) {
    assert.equal(parseIp(text), undefined, JSON.stringify(text));
  }
});

const bytes = fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }));

it('reads what it writes', () => {
  fc.assert(
    fc.property(bytes, fc.integer({ min: 0, max: 65_535 }), (b, port) => {
      const ip = ipFromBytes(b)!;
      assert.equal(parseIp(ip), ip);
      assert.equal(ipFromBytes(ipToBytes(ip)), ip);
      const address = { ip, port: parsePort(port)! };
      assert.deepEqual(parseSocketAddr(formatSocketAddr(address)), address);
    }),
  );
  fc.assert(fc.property(fc.string(), (text) => void parseSocketAddr(text)));
});

it('wants brackets around IPv6 and only there', () => {
  for (const text of ['[10.0.0.1]:80', '::1:80', '[::1]', '10.0.0.1', '10.0.0.1:65536', '[::1:80', '::1]:80']) {
    assert.equal(parseSocketAddr(text), undefined, text);
  }
});

it('compares by prefix, never across families', () => {
  const contains = (cidr: string, ip: string) => cidrContains(parseCidr(cidr)!, parseIp(ip)!);
  assert.ok(contains('10.1.2.3/8', '10.255.0.1'));
  assert.ok(!contains('10.0.0.0/9', '10.128.0.0'));
  assert.ok(contains('0.0.0.0/0', '1.2.3.4'));
  assert.ok(!contains('0.0.0.0/0', '::1'));
  assert.ok(contains('fd00::/7', 'fc00::1'));
  assert.ok(contains('10.0.0.1', '10.0.0.1'));
  for (const text of ['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '::/129', '10.0.0.0/08x']) {
    assert.equal(parseCidr(text), undefined, text);
  }
});
