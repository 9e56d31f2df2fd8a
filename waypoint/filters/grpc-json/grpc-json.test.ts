/** What the transcoder refuses, and what it keeps exact; the rest is held against Envoy: test/envoy. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { typeUrl } from '../../../common/envoy/codec.ts';
import { Rig, router } from '../../testing/rig.ts';
import { Book, shop } from '../../testing/shop.ts';
import { readDescriptors } from './methods.ts';
import { printMessage } from './print.ts';
import { requestMessage } from './request-message.ts';

const [way] = readDescriptors(shop)
  .waysTo('shop.Shop', true)
  .filter(({ method, body }) => method.path.endsWith('/Put') && body === 'all');
const written = (json: string) => Book.toObject(Book.decode(requestMessage(way!, json, [], false)), { longs: String });
const plain = { whitespace: false, defaults: false, enumNumbers: false, protoNames: false };

describe('messages', () => {
  it('come back as the JSON that they were made of', () => {
    const books = fc.record(
      {
        name: fc.string({ unit: 'grapheme', minLength: 1 }),
        pages: fc.integer({ min: 1 }),
        sold: fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map(String),
        authors: fc.array(fc.string(), { minLength: 1 }),
        stock: fc.dictionary(fc.string(), fc.integer({ min: -5, max: 5 }), { minKeys: 1 }),
        rank: fc.integer({ min: -5, max: 5 }),
        extra: fc.dictionary(
          fc.string(),
          fc.jsonValue().filter((value) => !Object.is(value, -0)),
          { minKeys: 1 },
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(books, (book) => {
        const json = JSON.stringify(book);
        const text = printMessage(way!.method.output, requestMessage(way!, json, [], false), plain);
        assert.deepEqual(JSON.parse(text), JSON.parse(json));
      }),
    );
  });

  it('keep integers that a double does not hold, and hold numbers of a Struct as doubles', () => {
    assert.equal(written('{"sold":9007199254740993}')['sold'], '9007199254740993');
    const bytes = requestMessage(way!, '{"extra":{"a":9007199254740993}}', [], false);
    assert.equal(printMessage(way!.method.output, bytes, plain), '{"extra":{"a":9007199254740992}}');
  });

  it('are refused where a value is none of its field', () => {
    for (const bad of [
      '{"pages":true}',
      '{"color":"GREEN"}',
      '{"novel":"a","issue":1}',
      '{"sold":9223372036854775808}',
    ])
      assert.throws(() => requestMessage(way!, bad, [], false), Error, bad);
  });
});

describe('descriptors', () => {
  it('that are damaged are told, not thrown over', () => {
    fc.assert(
      fc.property(fc.nat(shop.length - 1), fc.nat(255), (at, byte) => {
        const bytes = Buffer.from(shop);
        bytes[at] = byte;
        try {
          readDescriptors(bytes).waysTo('shop.Shop', true);
        } catch (e) {
          assert.ok(e instanceof Error);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('a transcoder', () => {
  const typed = (config: object) => ({
    name: 'json',
    typed_config: {
      '@type': typeUrl('envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder'),
      ...config,
    },
  });
  const refused = async (config: object) => {
    await using rig = new Rig();
    rig.cluster('up', [1]);
    const routes = [{ match: { prefix: '/' }, route: { cluster: 'up' } }];
    return String(
      await rig.http('l', routes, { http_filters: [typed(config), router] }).catch((e: Error) => e.message),
    );
  };

  it('names what it does not honour', async () => {
    const bin = shop.toString('base64');
    const known = { proto_descriptor_bin: bin, services: ['shop.Shop'] };
    assert.match(
      await refused({ ...known, case_insensitive_enum_parsing: true }),
      /case_insensitive_enum_parsing: is not/,
    );
    assert.match(await refused({ ...known, capture_unknown_query_parameters: true }), /capture_unknown_query_param/);
    assert.match(await refused({ proto_descriptor: '/x' }), /proto_descriptor: is not supported/);
    assert.match(await refused({ services: ['a'] }), /proto_descriptor_bin: is missing/);
    assert.match(await refused({ ...known, services: ['shop.None'] }), /services: there is no service shop\.None/);
    assert.match(await refused({ ...known, proto_descriptor_bin: 'AAAA' }), /proto_descriptor_bin: /);
  });
});
