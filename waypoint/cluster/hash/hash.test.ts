import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { mt19937 } from './mt19937.ts';
import { murmur2 } from './murmur.ts';
import { xxHash64 } from './xxhash64.ts';

const mask = (1n << 64n) - 1n;

describe('xxHash64', () => {
  test("gives the reference implementation's values", () => {
    const of = (text: string, seed?: bigint) => xxHash64(Buffer.from(text), seed).toString(16);
    assert.equal(of(''), 'ef46db3751d8e999');
    assert.equal(of('a'), 'd24ec4f1a98c6e5b');
    assert.equal(of('abc'), '44bc2cf5ad770999');
    assert.equal(of('foobar'), 'a2aa05ed9085aaf9');
  });

  test('is what the specification says, of any bytes and seed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.bigInt(0n, mask), (data, seed) => {
        assert.equal(xxHash64(data, seed), plain(data, seed));
      }),
      { numRuns: 500 },
    );
  });
});

describe('MurmurHash2', () => {
  test("gives libstdc++'s values", () => {
    // std::hash<std::string> of libstdc++ is this hash with this seed.
    assert.equal(murmur2(Buffer.from('')), 6142509188972423790n);
    assert.equal(murmur2(Buffer.from('a')), 4993892634952068459n);
  });
});

test('the Mersenne Twister gives what the C++ standard demands: the 10,000th number of seed 5489', () => {
  const next = mt19937(5_489);
  let last = 0;
  for (let i = 0; i < 10_000; i++) last = next();
  assert.equal(last, 4_123_659_995);
});

/** The specification line by line, in BigInt. */
function plain(data: Uint8Array, seed: bigint): bigint {
  const [p1, p2, p3, p4, p5] = [
    0x9e3779b185ebca87n,
    0xc2b2ae3d27d4eb4fn,
    0x165667b19e3779f9n,
    0x85ebca77c2b2ae63n,
    0x27d4eb2f165667c5n,
  ];
  const rotl = (x: bigint, n: bigint) => ((x << n) | (x >> (64n - n))) & mask;
  const round = (acc: bigint, lane: bigint) => (rotl((acc + lane * p2) & mask, 31n) * p1) & mask;
  const buffer = Buffer.from(data);
  let at = 0;
  let acc: bigint;
  if (buffer.length >= 32) {
    const lanes = [seed + p1 + p2, seed + p2, seed, seed - p1].map((x) => x & mask);
    for (; at + 32 <= buffer.length; at += 32)
      for (let i = 0; i < 4; i++) lanes[i] = round(lanes[i]!, buffer.readBigUInt64LE(at + i * 8));
    const [a, b, c, d] = lanes as [bigint, bigint, bigint, bigint];
    acc = (rotl(a, 1n) + rotl(b, 7n) + rotl(c, 12n) + rotl(d, 18n)) & mask;
    for (const lane of lanes) acc = ((acc ^ round(0n, lane)) * p1 + p4) & mask;
  } else acc = (seed + p5) & mask;
  acc = (acc + BigInt(buffer.length)) & mask;
  for (; at + 8 <= buffer.length; at += 8)
    acc = (rotl(acc ^ round(0n, buffer.readBigUInt64LE(at)), 27n) * p1 + p4) & mask;
  if (at + 4 <= buffer.length) {
    acc = (rotl(acc ^ ((BigInt(buffer.readUInt32LE(at)) * p1) & mask), 23n) * p2 + p3) & mask;
    at += 4;
  }
  for (; at < buffer.length; at++) acc = (rotl(acc ^ ((BigInt(buffer[at]!) * p5) & mask), 11n) * p1) & mask;
  acc = ((acc ^ (acc >> 33n)) * p2) & mask;
  acc = ((acc ^ (acc >> 29n)) * p3) & mask;
  return acc ^ (acc >> 32n);
}
