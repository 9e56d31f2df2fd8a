import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { ProtoWriter } from './protobuf.ts';

const { root } = protobuf.parse(`
syntax = "proto3";
message Item {
  string text = 1;
  bytes raw = 2;
  uint64 number = 3;
  bool flag = 4;
  double real = 5;
  fixed64 big = 6;
  fixed32 small = 7;
  repeated Item items = 1000;
}`);
const Item = root.lookupType('Item');

interface Values {
  readonly text: string;
  readonly raw: Uint8Array;
  readonly number: number;
  readonly flag: boolean;
  readonly real: number;
  /** us. */
  readonly big: number;
  readonly small: number;
  readonly items: readonly Values[];
}

const level = (items: fc.Arbitrary<readonly Values[]>): fc.Arbitrary<Values> =>
  fc.record({
    text: fc.string({ unit: 'grapheme', maxLength: 200 }).chain((s) => fc.nat(60).map((n) => s.repeat(n))),
    raw: fc.uint8Array({ maxLength: 300 }),
    number: fc.maxSafeNat(),
    flag: fc.boolean(),
    real: fc.double({ noNaN: true }).map((n) => (n === 0 ? 0 : n)),
    big: fc.maxSafeNat(),
    small: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    items,
  });
const inner = fc.array(level(fc.constant([])), { maxLength: 40 });
const values = level(fc.array(level(inner), { maxLength: 3 }));

function write(w: ProtoWriter, of: Values): void {
  w.text(1, of.text);
  w.bytes(2, of.raw);
  w.number(3, of.number);
  w.flag(4, of.flag);
  w.double(5, of.real);
  w.micros(6, of.big);
  w.fixed32(7, of.small);
  for (const inner of of.items) w.message(1_000, () => write(w, inner));
}

function plain(of: Values): object {
  return {
    ...of,
    raw: [...of.raw],
    number: String(of.number),
    big: String(BigInt(of.big) * 1_000n),
    items: of.items.map(plain),
  };
}

describe('written protobuf', () => {
  it('is read by protobufjs as what was written, by one writer after the other', () => {
    const writer = new ProtoWriter();
    fc.assert(
      fc.property(values, (of) => {
        write(writer, of);
        const read = Item.toObject(Item.decode(writer.finish()), { longs: String, defaults: true, arrays: true });
        const bytes = (o: Record<string, unknown>): object => ({
          ...o,
          raw: [...(o['raw'] as Uint8Array)],
          items: (o['items'] as Record<string, unknown>[]).map(bytes),
        });
        assert.deepEqual(bytes(read), plain(of));
      }),
    );
  });

  it('takes ids by their digits, and texts of oneofs that are empty', () => {
    const writer = new ProtoWriter();
    writer.hex(2, '00ff10');
    writer.textAlways(1, '');
    assert.equal(writer.finish().toString('hex'), '120300ff100a00');
  });
});
