/** Decompression in Envoy and in ours, byte by byte. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { typeUrl } from '../../common/envoy/codec.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { Bodies, type BodySite, type Question } from './bodies.ts';

const libraries = {
  gzip: 'gzip.decompressor.v3.Gzip',
  brotli: 'brotli.decompressor.v3.Brotli',
  zstd: 'zstd.decompressor.v3.Zstd',
};
const filter = (kind: keyof typeof libraries, config: object = {}, library: object = {}) => ({
  name: kind,
  typed_config: {
    '@type': typeUrl('envoy.extensions.filters.http.decompressor.v3.Decompressor'),
    decompressor_library: {
      name: 'lib',
      typed_config: { '@type': typeUrl(`envoy.extensions.compression.${libraries[kind]}`), ...library },
    },
    ...config,
  },
});
const off = { common_config: { enabled: { default_value: false } } };

const sites: readonly BodySite[] = [
  { name: 'gzip', filters: [filter('gzip')] },
  { name: 'brotli', filters: [filter('brotli', {}, { disable_ring_buffer_reallocation: true })] },
  { name: 'zstd', filters: [filter('zstd', {}, { chunk_size: 8_192 })] },
  { name: 'three', filters: [filter('gzip'), filter('brotli'), filter('zstd')] },
  {
    name: 'requests',
    filters: [
      filter(
        'gzip',
        {
          request_direction_config: {
            common_config: { ignore_no_transform_header: true },
            advertise_accept_encoding: false,
          },
          response_direction_config: off,
        },
        { window_bits: 12, max_inflate_ratio: 1_032 },
      ),
    ],
  },
  { name: 'responses', filters: [filter('gzip', { request_direction_config: off })] },
];

const text = 'to be compressed '.repeat(8);
const codings = {
  gzip: gzipSync(text, { windowBits: 12 }),
  br: brotliCompressSync(text),
  zstd: zstdCompressSync(text),
};
const plain = { 'content-type': 'text/plain' };
type Coding = keyof typeof codings;
const encoded = (coding: Coding, more: Readonly<Record<string, string>> = {}) => ({
  headers: { ...plain, 'content-encoding': coding, ...more },
  chunks: [codings[coding]],
});
const both = (coding: Coding, more: Readonly<Record<string, string>> = {}): Question => ({
  ...encoded(coding, more),
  answer: encoded(coding, more),
});

describe('decompression as in Envoy', { skip: skipWithoutEnvoy() }, () => {
  let bodies: Bodies;
  before(async () => {
    bodies = await Bodies.start(sites);
  });
  after(() => bodies[Symbol.asyncDispose]());

  it('takes off the encoding that it knows, both ways', async () => {
    for (const site of sites) {
      for (const coding of ['gzip', 'br', 'zstd'] as const) {
        await bodies.compare(site.name, [both(coding), { ...both(coding), by: 'http2' }]);
      }
    }
  });

  it('tells hosts what it understands', async () => {
    const accepts = [
      undefined,
      '',
      'gzip',
      'br',
      'br, gzip;q=0',
      'br, gzip',
      'GZIP',
      'gzip;q=0.5',
      ', ,gzip ;q=0 , zstd',
      '*',
    ];
    for (const { name } of sites) {
      await bodies.compare(
        name,
        accepts.map((accept) => ({
          method: 'GET',
          headers: accept === undefined ? {} : { 'accept-encoding': accept },
          answer: encoded('gzip'),
        })),
      );
    }
  });

  it('heeds what else is said of a body', async () => {
    const heads = [
      { 'content-encoding': 'GZIP' },
      { 'content-encoding': ' gzip ' },
      { 'content-encoding': 'gzip, br' },
      { 'content-encoding': 'gzip ,deflate,br' },
      { 'content-encoding': 'br, gzip' },
      { 'content-encoding': 'x-gzip' },
      { 'content-encoding': '' },
      { 'cache-control': 'no-transform' },
      { 'cache-control': 'public, No-Transform' },
      { 'content-length': String(codings.gzip.length) },
      { etag: '"a"', vary: 'Accept-Encoding' },
    ];
    for (const site of ['gzip', 'requests', 'responses']) {
      await bodies.compare(
        site,
        heads.map((head) => both('gzip', head as Readonly<Record<string, string>>)),
      );
    }
  });

  it('streams, with trailers, in pieces and without any', async () => {
    const cut = (coding: Coding) => [codings[coding].subarray(0, 7), codings[coding].subarray(7)];
    const sitesOf = { gzip: 'gzip', br: 'brotli', zstd: 'zstd' } as const;
    for (const coding of ['gzip', 'br', 'zstd'] as const) {
      const trailers = { 'x-t': '1' };
      const whole = { ...encoded(coding), chunks: cut(coding), trailers };
      const empty = { ...encoded(coding), chunks: [] };
      await bodies.compare(sitesOf[coding], [
        { ...whole, answer: whole },
        { ...whole, answer: whole, by: 'http2' },
        { ...empty, answer: empty },
        { method: 'GET', headers: { 'content-encoding': coding }, answer: { ...empty, status: 304 } },
        { method: 'HEAD', headers: { 'content-encoding': coding }, answer: encoded(coding) },
      ]);
    }
  });

  it('counts', async () => {
    const { envoy, ours } = await bodies.stats(/decompressor\./);
    assert.deepEqual(ours, envoy);
    assert.ok(envoy.length > 20);
  });
});
