import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AddressRange } from './address-range.ts';
import { Pool } from './pool.ts';

const cidr = (ip: string, length: number) => new AddressRange({ ip: ip as never, length });

describe('AddressRange', () => {
  test('addresses and their numbers', () => {
    const v4 = cidr('10.96.0.0', 16);
    assert.equal(v4.addressOf(258), '10.96.1.2');
    assert.equal(v4.offsetOf('10.96.1.2'), 258);
    assert.equal(v4.offsetOf('10.97.0.1'), undefined);
    assert.equal(v4.offsetOf('fd00:10:96::1'), undefined);
    const v6 = cidr('fd00:10:96::', 112);
    assert.equal(v6.addressOf(0xabcd), 'fd00:10:96::abcd');
    assert.equal(v6.offsetOf('fd00:10:96:0:0:0:0:abcd'), 0xabcd);
  });

  test('parts of a range', () => {
    const v4 = cidr('10.244.0.0', 16);
    assert.equal(v4.subnet(3, 24), '10.244.3.0/24');
    assert.equal(v4.subnet(256, 24), undefined);
    assert.equal(v4.indexOfSubnet('10.244.3.0/24'), 3);
    assert.equal(v4.indexOfSubnet('10.245.3.0/24'), undefined);
    const v6 = cidr('fd00:10:244::', 48);
    assert.equal(v6.subnet(3, 64), 'fd00:10:244:3::/64');
    assert.equal(v6.indexOfSubnet('fd00:10:244:3::/64'), 3);
  });
});

describe('Pool', () => {
  const range = { first: 1, last: 5, dynamicFrom: 3 };

  test('each number has one holder, and the low ones go last', () => {
    const pool = new Pool(range);
    const taken = ['a', 'b', 'c', 'd', 'e'].map((h) => pool.take(h, 0));
    assert.deepEqual([...taken.slice(0, 3)].sort(), [3, 4, 5]);
    assert.deepEqual(taken.slice(3), [1, 2]);
    assert.equal(pool.take('f', 0), undefined);
  });

  test('a reservation ends after a minute unless an object has it; the same holder gets the same number', () => {
    const pool = new Pool(range);
    const n = pool.take('a', 0)!;
    assert.equal(pool.take('a', 10), n);
    assert.notEqual(pool.take('a', 10, new Set([n])), n);
    assert.equal(pool.claim(n, 'b', 10), false);
    assert.equal(pool.claim(n, 'b', 70_001), true);
    pool.hold(n, 'b');
    assert.equal(pool.claim(n, 'a', 1_000_000), false);
    pool.release(n, 'a');
    assert.equal(pool.claim(n, 'a', 1_000_000), false);
    pool.release(n, 'b');
    assert.equal(pool.claim(n, 'a', 1_000_000), true);
  });
});
