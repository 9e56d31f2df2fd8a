/**
 * XXH64 (xxHash specification 0.1.1, "XXH64 algorithm description"). In halves of 32 bits: BigInt takes ten times as long, and a
 * ring of a thousand clusters is a million hashes.
 */

/** Halves of the last result of `multiply`, `xxHash64Into`. */
let high = 0;
let low = 0;

const prime1 = [0x9e3779b1, 0x85ebca87] as const;
const prime2 = [0xc2b2ae3d, 0x27d4eb4f] as const;
const prime3 = [0x165667b1, 0x9e3779f9] as const;
const prime4 = [0x85ebca77, 0xc2b2ae63] as const;
const prime5 = [0x27d4eb2f, 0x165667c5] as const;

export interface Halves {
  readonly high: number;
  readonly low: number;
}

/** Unsigned. */
export function xxHash64(data: Uint8Array, seed = 0n): bigint {
  const { high: h, low: l } = xxHash64Halves(data, Number(seed >> 32n), Number(seed & 0xffff_ffffn));
  return (BigInt(h) << 32n) | BigInt(l);
}

/** The same with each half an unsigned number of 32 bits. */
export function xxHash64Halves(data: Uint8Array, seedHigh = 0, seedLow = 0, length = data.length): Halves {
  const view = new DataView(data.buffer, data.byteOffset, length);
  let at = 0;
  if (length >= 32) at = stripes(view, length, seedHigh, seedLow);
  else add(seedHigh, seedLow, prime5[0], prime5[1]);
  add(high, low, 0, length);
  at = tail(view, at, length);
  avalanche();
  return { high, low };
}

function stripes(view: DataView, length: number, seedHigh: number, seedLow: number): number {
  const lanes = new Uint32Array(8);
  add(prime1[0], prime1[1], prime2[0], prime2[1]);
  add(high, low, seedHigh, seedLow);
  keep(lanes, 0);
  add(prime2[0], prime2[1], seedHigh, seedLow);
  keep(lanes, 1);
  lanes[4] = seedHigh;
  lanes[5] = seedLow;
  // Minus one prime: plus its complement.
  add(seedHigh, seedLow, ~prime1[0], ~prime1[1]);
  add(high, low, 0, 1);
  keep(lanes, 3);
  let at = 0;
  for (; at + 32 <= length; at += 32) {
    for (let lane = 0; lane < 4; lane++) {
      const where = at + lane * 8;
      round(lanes[lane * 2]!, lanes[lane * 2 + 1]!, view.getUint32(where + 4, true), view.getUint32(where, true));
      keep(lanes, lane);
    }
  }
  const turns = [1, 7, 12, 18];
  let sumHigh = 0;
  let sumLow = 0;
  for (let lane = 0; lane < 4; lane++) {
    rotate(lanes[lane * 2]!, lanes[lane * 2 + 1]!, turns[lane]!);
    add(high, low, sumHigh, sumLow);
    sumHigh = high;
    sumLow = low;
  }
  for (let lane = 0; lane < 4; lane++) {
    const [h, l] = [high, low];
    round(0, 0, lanes[lane * 2]!, lanes[lane * 2 + 1]!);
    multiply((h ^ high) >>> 0, (l ^ low) >>> 0, prime1[0], prime1[1]);
    add(high, low, prime4[0], prime4[1]);
  }
  return at;
}

function tail(view: DataView, start: number, length: number): number {
  let at = start;
  for (; at + 8 <= length; at += 8) {
    const [h, l] = [high, low];
    round(0, 0, view.getUint32(at + 4, true), view.getUint32(at, true));
    rotate((h ^ high) >>> 0, (l ^ low) >>> 0, 27);
    multiply(high, low, prime1[0], prime1[1]);
    add(high, low, prime4[0], prime4[1]);
  }
  if (at + 4 <= length) {
    const [h, l] = [high, low];
    multiply(0, view.getUint32(at, true), prime1[0], prime1[1]);
    rotate((h ^ high) >>> 0, (l ^ low) >>> 0, 23);
    multiply(high, low, prime2[0], prime2[1]);
    add(high, low, prime3[0], prime3[1]);
    at += 4;
  }
  for (; at < length; at++) {
    const [h, l] = [high, low];
    multiply(0, view.getUint8(at), prime5[0], prime5[1]);
    rotate((h ^ high) >>> 0, (l ^ low) >>> 0, 11);
    multiply(high, low, prime1[0], prime1[1]);
  }
  return at;
}

function avalanche(): void {
  // x ^= x >> 33
  low = (low ^ (high >>> 1)) >>> 0;
  multiply(high, low, prime2[0], prime2[1]);
  // x ^= x >> 29
  low = (low ^ ((low >>> 29) | (high << 3))) >>> 0;
  high = (high ^ (high >>> 29)) >>> 0;
  multiply(high, low, prime3[0], prime3[1]);
  // x ^= x >> 32
  low = (low ^ high) >>> 0;
}

function round(accHigh: number, accLow: number, inHigh: number, inLow: number): void {
  multiply(inHigh, inLow, prime2[0], prime2[1]);
  add(accHigh, accLow, high, low);
  rotate(high, low, 31);
  multiply(high, low, prime1[0], prime1[1]);
}

function keep(lanes: Uint32Array, lane: number): void {
  lanes[lane * 2] = high;
  lanes[lane * 2 + 1] = low;
}

function add(aHigh: number, aLow: number, bHigh: number, bLow: number): void {
  const sum = (aLow >>> 0) + (bLow >>> 0);
  low = sum >>> 0;
  high = (aHigh + bHigh + (sum > 0xffff_ffff ? 1 : 0)) >>> 0;
}

/** To the left, by 1 to 31. */
function rotate(h: number, l: number, bits: number): void {
  high = ((h << bits) | (l >>> (32 - bits))) >>> 0;
  low = ((l << bits) | (h >>> (32 - bits))) >>> 0;
}

/** Modulo 2^64; the low halves in parts of 16 bits, whose products and sums fit 32. */
function multiply(aHigh: number, aLow: number, bHigh: number, bLow: number): void {
  const a0 = aLow & 0xffff;
  const a1 = aLow >>> 16;
  const b0 = bLow & 0xffff;
  const b1 = bLow >>> 16;
  const p00 = a0 * b0;
  const middle = a1 * b0 + (p00 >>> 16);
  const other = a0 * b1 + (middle & 0xffff);
  const carried = a1 * b1 + (middle >>> 16) + (other >>> 16);
  low = ((other << 16) | (p00 & 0xffff)) >>> 0;
  high = (carried + Math.imul(aHigh, bLow) + Math.imul(aLow, bHigh)) >>> 0;
}
