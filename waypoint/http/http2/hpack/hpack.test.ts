/** HPACK against itself, against what others make of it, and against bytes that nobody made. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ConnectionError } from '../wire.ts';
import { FieldList, HpackDecoder } from './decoder.ts';
import { HpackEncoder } from './encoder.ts';
import { fieldOverhead } from './field.ts';
import { huffmanCodes, huffmanDecode } from './huffman.ts';

type Pairs = readonly (readonly [name: string, value: string])[];

function encode(encoder: HpackEncoder, pairs: Pairs): Buffer {
  encoder.begin();
  for (const [name, value] of pairs) encoder.field(name, value);
  return Buffer.from(encoder.out.subarray(0, encoder.length));
}

function decode(decoder: HpackDecoder, block: Buffer): Pairs {
  const list = new FieldList(1_000_000, 10_000);
  decoder.decode(block, list);
  return list.fields.map(({ name, value }) => [name, value] as const);
}

const codes = huffmanCodes();

function huffman(bytes: Uint8Array): Buffer {
  const bits = [...bytes].map((b) => codes[b]!).join('');
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1');
  return Buffer.from((padded.match(/.{8}/g) ?? []).map((b) => Number.parseInt(b, 2)));
}

/** Literals without indexing, each text in the Huffman code. */
function coded(pairs: Pairs): Buffer {
  return Buffer.concat(
    pairs.flatMap(([name, value]) => [
      Buffer.of(0),
      ...[name, value].flatMap((text) => {
        const code = huffman(Buffer.from(text, 'latin1'));
        const rest = code.length - 0x7f;
        const length =
          rest < 0 ? [0x80 | code.length] : rest < 128 ? [0xff, rest] : [0xff, (rest % 128) | 128, rest >> 7];
        return [Buffer.from(length), code];
      }),
    ]),
  );
}

const latin1 = (max: number) =>
  fc.uint8Array({ maxLength: max }).map((bytes) =>
    Buffer.from(bytes)
      .toString('latin1')
      .replace(/^[\t ]+/, '')
      .replace(/[\t ]+$/, ''),
  );
const name = fc.oneof(
  fc.constantFrom(':path', ':status', 'cookie', 'authorization', 'x-a', 'x-b', 'date', 'content-type', 'x-request-id'),
  fc.stringMatching(/^[a-z][a-z0-9-]{0,40}$/).filter((n) => !/^(te|host|upgrade|connection|keep-alive)$/.test(n)),
);
const pairs = fc.array(fc.tuple(name, fc.oneof(fc.constantFrom('', '1', 'GET', '/', 'a value'), latin1(300))), {
  maxLength: 40,
});

/** RFC 7541, appendix C. */
const examples: readonly (readonly [hex: string, fields: Pairs])[] = [
  [
    '828684418cf1e3c2e5f23a6ba0ab90f4ff',
    [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'www.example.com'],
    ],
  ],
  [
    '828684be5886a8eb10649cbf',
    [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'www.example.com'],
      ['cache-control', 'no-cache'],
    ],
  ],
  [
    '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
    [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':path', '/index.html'],
      [':authority', 'www.example.com'],
      ['custom-key', 'custom-value'],
    ],
  ],
];

describe('HPACK', () => {
  it("reads the RFC's examples, one after the other", () => {
    const decoder = new HpackDecoder();
    for (const [hex, fields] of examples) assert.deepEqual(decode(decoder, Buffer.from(hex, 'hex')), fields);
  });

  it('gives back what was written, block after block, whatever the size of the table', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(pairs, fc.option(fc.integer({ min: 0, max: 8_192 }))), { maxLength: 12 }),
        (blocks) => {
          const encoder = new HpackEncoder();
          const decoder = new HpackDecoder();
          for (const [fields, size] of blocks) {
            if (size !== null) {
              encoder.limit(size);
              decoder.allow(size);
            }
            assert.deepEqual(decode(decoder, encode(encoder, fields)), fields);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('throws nothing but what ends the connection, for any bytes', () => {
    const decoder = new HpackDecoder();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decode(decoder, Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof ConnectionError, String(error));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('puts what comes again into the table, and what never does not', () => {
    const encoder = new HpackEncoder();
    const again = [['x-stable', 'the same each time']] as const;
    encode(encoder, again);
    assert.equal(encode(encoder, again).length, 1);
    for (let i = 0; i < 10; i++) encode(encoder, [['x-other', String(i)]]);
    assert.equal(encode(encoder, [['x-other', '10']])[0]! & 0xf0, 0, 'goes on to be put into the table');
    assert.equal(encode(encoder, [['authorization', 'secret']])[0]! & 0xf0, 0x10);
  });

  it('leaves out what belongs to a connection', () => {
    const block = encode(new HpackEncoder(), [
      ['connection', 'x'],
      ['te', 'gzip'],
      ['te', 'trailers'],
      ['host', 'a'],
    ]);
    assert.deepEqual(decode(new HpackDecoder(), block), [['te', 'trailers']]);
  });

  for (const [what, hex] of [
    ['an index of 0', '80'],
    ['an index beyond the tables', 'be'],
    ['a number that is cut off', 'ff'],
    ['a number without end', 'ffffffffffffffffffff'],
    ['a string that is cut off', '000561'],
    ['a table larger than allowed', '3fe21f'],
    ['a size of the table within a block', '8220'],
    ['the end of a string within a string', '000161' + '84' + 'ffffffff'],
    ['padding of eight bits', '000161' + '82' + '1fff'],
    ['padding of zeros', '000161' + '81' + '18'],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => decode(new HpackDecoder(), Buffer.from(hex, 'hex')), ConnectionError);
    });
  }

  it('demands to be told of a smaller table before it is used', () => {
    const decoder = new HpackDecoder();
    decoder.allow(0);
    assert.throws(() => decode(decoder, Buffer.of(0x82)), ConnectionError);
    assert.deepEqual(decode(decoder, Buffer.of(0x20, 0x82)), [[':method', 'GET']]);
  });

  it('keeps its table while a list is too large, and no more of the list than allowed', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder();
    const list = new FieldList(2_000, 10);
    const many = Array.from({ length: 100 }, (_, i) => [`x-${i}`, 'y'.repeat(100)] as const);
    decoder.decode(encode(encoder, many), list);
    assert.ok(list.tooLarge && list.fields.length <= 10);
    assert.deepEqual(decode(decoder, encode(encoder, many.slice(-3))), many.slice(-3));
  });

  it('reads nothing of a list whose lengths alone say that it is too large, but what goes into its table', () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder();
    const list = new FieldList(2_000, 1_000);
    const again = ['x-again', 'kept'] as const;
    decoder.decode(encode(encoder, [again, ['x-long', '\u00ff'.repeat(3_000)], ['x-many', 'y'.repeat(3_000)]]), list);
    assert.ok(list.tooLarge);
    assert.deepEqual(list.fields, []);
    assert.deepEqual(decode(decoder, encode(encoder, [again])), [again]);
  });

  it('calls a list too large where its bytes or its fields are more than allowed, and no other', () => {
    const encodings = fc.constantFrom((fields: Pairs) => encode(new HpackEncoder(), fields), coded);
    const near = fc.integer({ min: -1, max: 1 });
    fc.assert(
      fc.property(pairs, encodings, near, near, (fields, encoded, moreBytes, moreCount) => {
        const size = fields.reduce((sum, [name, value]) => sum + name.length + value.length + fieldOverhead, 0);
        const [bytes, count] = [Math.max(0, size + moreBytes), Math.max(0, fields.length + moreCount)];
        const list = new FieldList(bytes, count);
        new HpackDecoder().decode(encoded(fields), list);
        assert.equal(list.tooLarge, size > bytes || fields.length > count);
      }),
      { numRuns: 500 },
    );
  });
});

describe("HPACK's Huffman code", () => {
  it('reads each text in its code', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const code = huffman(bytes);
        assert.equal(huffmanDecode(code, 0, code.length), Buffer.from(bytes).toString('latin1'));
      }),
    );
  });
});
