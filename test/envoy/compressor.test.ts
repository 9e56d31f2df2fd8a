/** Compression in Envoy and in ours: heads to the letter, bodies as they are read back. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { typeUrl } from '../../common/envoy/codec.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { Bodies, type BodySite, type Outcome, type Question, type Seen } from './bodies.ts';

const libraries = {
  gzip: 'gzip.compressor.v3.Gzip',
  brotli: 'brotli.compressor.v3.Brotli',
  zstd: 'zstd.compressor.v3.Zstd',
};
const filter = (kind: keyof typeof libraries, config: object = {}, library: object = {}) => ({
  name: kind,
  typed_config: {
    '@type': typeUrl('envoy.extensions.filters.http.compressor.v3.Compressor'),
    compressor_library: {
      name: 'lib',
      typed_config: { '@type': typeUrl(`envoy.extensions.compression.${libraries[kind]}`), ...library },
    },
    ...config,
  },
});
const perRoute = (config: object) => ({
  gzip: { '@type': typeUrl('envoy.extensions.filters.http.compressor.v3.CompressorPerRoute'), ...config },
});
const routed = (name: string, config: object) => [
  { match: { prefix: '/' }, route: { cluster: name }, typed_per_filter_config: perRoute(config) },
];
const direct = [
  { match: { prefix: '/' }, direct_response: { status: 403, body: { inline_string: 'no '.repeat(30) } } },
];

const sites: readonly BodySite[] = [
  { name: 'gzip', filters: [filter('gzip')] },
  {
    name: 'tuned',
    filters: [
      filter(
        'gzip',
        {
          response_direction_config: {
            common_config: { min_content_length: 10, content_type: ['text/plain', 'image/png'] },
            disable_on_etag_header: true,
            remove_accept_encoding_header: true,
          },
        },
        {
          memory_level: 9,
          compression_level: 'COMPRESSION_LEVEL_9',
          compression_strategy: 'HUFFMAN_ONLY',
          window_bits: 15,
        },
      ),
    ],
  },
  { name: 'brotli', filters: [filter('brotli', {}, { quality: 5, window_bits: 16, encoder_mode: 'TEXT' })] },
  { name: 'zstd', filters: [filter('zstd', {}, { compression_level: 5, enable_checksum: true, strategy: 'LAZY' })] },
  { name: 'three', filters: [filter('gzip'), filter('brotli'), filter('zstd')] },
  { name: 'requests', filters: [filter('gzip', { request_direction_config: {}, response_direction_config: {} })] },
  {
    name: 'off',
    filters: [filter('gzip', { response_direction_config: { common_config: { enabled: { default_value: false } } } })],
  },
  { name: 'route-off', filters: [filter('gzip')], routes: routed('route-off', { disabled: true }) },
  {
    name: 'route-hides',
    filters: [filter('gzip')],
    routes: routed('route-hides', {
      overrides: { response_direction_config: { remove_accept_encoding_header: true } },
    }),
  },
  { name: 'direct', filters: [filter('gzip')], routes: direct },
];

const text = 'a compressible sentence. '.repeat(40);
const plain = { 'content-type': 'text/plain' };
const ask = (accept: string | undefined, answer: Question['answer'] = {}, more: Question = {}): Question => ({
  method: 'GET',
  headers: accept === undefined ? {} : { 'accept-encoding': accept },
  answer: { headers: plain, chunks: [text], ...answer },
  ...more,
});

/** Bodies as a client reads them. */
function readBack(seen: Seen): Seen {
  const encoding = seen.headers.find((line) => line.startsWith('content-encoding: '))?.slice(18);
  const bytes = Buffer.from(seen.body, 'latin1');
  if (seen.body === '') return seen;
  const read = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync }[encoding ?? ''];
  return read ? { ...seen, body: `${encoding}: ${read(bytes).toString('latin1')}` } : seen;
}

function level(outcome: Outcome): object {
  return { ...outcome, ...readBack(outcome), received: outcome.received && readBack(outcome.received) };
}

const accepts = [
  ...[undefined, '', 'gzip', 'br', 'zstd', 'identity', '*', 'gzip, br', 'br, gzip', 'GZIP', 'x-gzip', 'gzip;q=0'],
  ...[
    'gzip;q=0.5, br;q=0.9',
    'br;q=0.1,gzip;q=0.1',
    '*;q=0.5, gzip;q=0',
    'identity, gzip;q=0.5',
    'gzip;q=x',
    'gzip ; q=1',
  ],
  ...['gzip;level=1', 'deflate, *', ', ,gzip', 'identity;q=0, gzip;q=0', 'zstd;q=1, *;q=0.1', 'gzip;q=0.5;x=1'],
];

describe('compression as in Envoy', { skip: skipWithoutEnvoy() }, () => {
  let bodies: Bodies;
  before(async () => {
    bodies = await Bodies.start(sites);
  });
  after(() => bodies[Symbol.asyncDispose]());
  const compare = (site: string, questions: readonly Question[]) => bodies.compare(site, questions, level);

  it('is chosen by what the client accepts', async () => {
    const questions = accepts.map((accept) => ask(accept));
    for (const site of ['gzip', 'three']) await compare(site, questions);
    for (const site of ['brotli', 'zstd', 'tuned', 'off', 'route-off', 'route-hides', 'direct']) {
      await compare(site, [ask('gzip, br, zstd'), ask(undefined), ask('br'), ask('zstd')]);
    }
  });

  it('heeds what the answer is', async () => {
    const heads: readonly Readonly<Record<string, string>>[] = [
      {},
      ...['text/html; charset=utf-8', 'TEXT/HTML', 'image/png', 'application/json', 'application/grpc', ';'].map(
        (type) => ({
          'content-type': type,
        }),
      ),
      ...['"strong"', 'W/"weak"', 'w/"weak"', 'x'].map((etag) => ({ ...plain, etag })),
      ...['no-transform', 'max-age=1, No-Transform', 'public'].map((value) => ({ ...plain, 'cache-control': value })),
      ...['Cookie', 'accept-encoding', 'Cookie, Accept-Encoding', '*'].map((value) => ({ ...plain, vary: value })),
      { ...plain, 'content-encoding': 'deflate' },
    ];
    for (const site of ['gzip', 'tuned']) {
      await compare(
        site,
        heads.map((headers) => ask('gzip', { headers })),
      );
    }
    const lengths = [0, 9, 10, 29, 30, 31].map((length) => {
      const headers = { ...plain, 'content-length': String(length) };
      return ask('gzip', { headers, chunks: length === 0 ? [] : ['x'.repeat(length)] });
    });
    for (const site of ['gzip', 'tuned']) await compare(site, lengths);
    await compare('gzip', [
      ask('gzip', { chunks: ['short'] }),
      ask('gzip', { status: 404 }),
      ask('gzip', { status: 204, headers: {}, chunks: [] }),
      ask('gzip', {}, { method: 'HEAD' }),
      ask('gzip', { chunks: [text, text, Buffer.alloc(100_000, 'abc')], trailers: { 'x-t': '1' } }),
      ask('gzip', { chunks: [text] }, { by: 'http2' }),
    ]);
  });

  it('is done to requests where asked', async () => {
    const post = (more: Question): Question =>
      ask('gzip', {}, { method: 'POST', headers: plain, chunks: [text], ...more });
    await compare('requests', [
      post({}),
      post({ headers: { ...plain, 'content-length': String(text.length) } }),
      post({ headers: { ...plain, 'content-length': '5' }, chunks: ['short'] }),
      post({ headers: { ...plain, 'content-encoding': 'deflate' } }),
      post({ headers: { 'content-type': 'image/png' } }),
      post({ chunks: [text, text], trailers: { 'x-t': '1' } }),
      ask('gzip'),
    ]);
  });

  it('counts', async () => {
    // How much a flush adds is each library's.
    const { envoy, ours } = await bodies.stats(/compressor\.(?!.*total_compressed_bytes)/);
    assert.deepEqual(ours, envoy);
    assert.ok(envoy.length > 20);
  });
});
