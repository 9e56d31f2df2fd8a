/** HTTP and JSON to gRPC and back, in Envoy and in ours. */
import { after, before, describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { FrameReader, frame } from '../../waypoint/filters/grpc-json/frames.ts';
import { Book, shop } from '../../waypoint/testing/shop.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { Bodies, type Outcome, type Question } from './bodies.ts';

const book = (of: object) => frame(Book.encode(Book.fromObject(of)).finish());

const transcoder = (config: object = {}) => ({
  name: 'json',
  typed_config: {
    '@type': typeUrl('envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder'),
    proto_descriptor_bin: shop.toString('base64'),
    services: ['shop.Shop'],
    ...config,
  },
});
const sites = {
  plain: {},
  mapped: { auto_mapping: true, match_incoming_request_route: true },
  tuned: {
    convert_grpc_status: true,
    ignored_query_parameters: ['key'],
    ignore_unknown_query_parameters: true,
    query_param_unescape_plus: true,
    match_unregistered_custom_verb: true,
    url_unescape_spec: 'ALL_CHARACTERS',
    print_options: {
      always_print_primitive_fields: true,
      always_print_enums_as_ints: true,
      preserve_proto_field_names: true,
      stream_newline_delimited: true,
    },
  },
  strict: {
    url_unescape_spec: 'ALL_CHARACTERS_EXCEPT_SLASH',
    print_options: { add_whitespace: true },
    max_request_body_size: 100,
    max_response_body_size: 100,
    request_validation_options: {
      reject_unknown_method: true,
      reject_unknown_query_parameters: true,
      reject_binding_body_field_collisions: true,
    },
  },
};

const grpc = { 'content-type': 'application/grpc' };
const full = {
  name: 'a "b"\n<é>',
  pages: -3,
  sold: '9007199254740993',
  used: true,
  color: 1,
  raw: Buffer.from([0, 255, 254]),
  price: 1.5,
  weight: 0.1,
  authors: ['x', ''],
  inner: { text: 't', big: '-5', inner: {} },
  stock: { a: 1, b: 0 },
  issue: 0,
  made: { seconds: 1, nanos: 500000000 },
  lent: { seconds: -1, nanos: -5000 },
  rank: { value: 0 },
  extra: { fields: { a: { list_value: { values: [{ number_value: 1 }, { null_value: 0 }] } } } },
  parts: [{}, { tags: ['y'] }],
  serial: '18446744073709551615',
  by_number: { '-7': { text: 'seven' } },
  maybe: 0,
  many_colors: [0, 1, 9],
  snake_name: 's',
};
const ok = { 'grpc-status': '0' };
const one = (of: object) => ({ headers: grpc, chunks: [book(of)], trailers: ok });
const ask = (method: string, path: string, body?: unknown, more: Question = {}): Question => ({
  method,
  path,
  ...(body !== undefined && {
    headers: { 'content-type': 'application/json' },
    chunks: [typeof body === 'string' ? body : JSON.stringify(body)],
  }),
  answer: one({ name: 'fine' }),
  by: 'http2',
  ...more,
});

/** The texts of what is wrong are each one's own, and so is what a refused request had sent. */
function leveled({ received, headers, body, ...rest }: Outcome): object {
  const isRefused = rest.status >= 400 && !headers.some((line) => line.startsWith('grpc-status'));
  return isRefused
    ? rest
    : { received: received && { ...received, body: messages(received.body) }, headers, body, ...rest };
}

/** Envoy also writes fields that have their default. */
function messages(body: string): unknown {
  const read = new FrameReader(1_000_000).push(Buffer.from(body, 'latin1'));
  if (!Array.isArray(read) || read.length === 0) return body;
  return read.map((message: Buffer) => Book.toObject(Book.decode(message), { defaults: true, longs: String }));
}

describe('gRPC-JSON as in Envoy', { skip: skipWithoutEnvoy() }, () => {
  let bodies: Bodies;
  before(async () => {
    bodies = await Bodies.start(
      Object.entries(sites).map(([name, config]) => ({ name, filters: [transcoder(config)], upstream: 'http2' })),
    );
  });
  after(() => bodies[Symbol.asyncDispose]());

  it('finds methods by path, and passes what it has none for', async () => {
    const paths = [
      'GET /v1/shelves/1/books/2',
      'GET /v1/shelves/a%2Fb/books/%C3%A9%20x',
      'GET /v1/shelves/1/books/2/',
      'GET /v1/shelves/1/books',
      'GET /v2/text',
      'GET /v2/te%2Fxt',
      'GET /v1/deep/a/b/c:open',
      'GET /v1/deep/a%2Fb/c%20d:open',
      'GET /v1/deep/a:open',
      'GET /v1/deep/a:shut',
      'GET /v1/deep/:open',
      'ODD /v1/odd/q/x',
      'POST /v1/odd/q/x',
      'DELETE /v1/thing',
      'DELETE /v1/thing:open',
      'DELETE /v1/thing:other',
      'GET /',
      'GET /nothing',
      'POST /shop.Shop/Bare',
    ];
    for (const site of Object.keys(sites)) {
      await bodies.compare(
        site,
        paths.map((line) => ask(line.split(' ')[0]!, line.split(' ')[1]!)),
        leveled,
      );
    }
  });

  it('takes fields of the query', async () => {
    const queries = [
      'pages=5&sold=77&used=true&color=RED&price=1e3&weight=2&serial=1',
      'inner.text=a%20b+c&inner.big=-1&inner.inner.text=z&authors=a&authors=b&inner.tags=q',
      'color=1&used=false&raw=AP8%3D&snakeName=q&snake_name=r',
      'made=1970-01-01T00:00:01.5Z&lent=1.5s&rank=4',
      'novel=a&maybe=0&manyColors=RED&many_colors=COLOR_UNSPECIFIED',
      'pages=x',
      'pages=5000000000',
      'used=maybe',
      'color=GREEN',
      'nothing=1',
      'inner.nothing=1',
      'key=1&pages=2',
      'pages&=3&name=',
      '',
    ];
    for (const site of Object.keys(sites))
      await bodies.compare(
        site,
        queries.map((query) => ask('GET', `/v2/t?${query}`)),
        leveled,
      );
  });

  it('takes bodies', async () => {
    const json = Book.toObject(Book.fromObject(full), { longs: String, enums: String, bytes: String });
    const { made: _m, lent: _l, rank: _r, extra: _e, ...simple } = json;
    const wanted = [
      {},
      {
        ...simple,
        made: '2020-01-02T03:04:05.678Z',
        lent: '-1.5s',
        rank: 7,
        extra: { a: [1, null, 'x', { b: true }] },
      },
      { pages: '5', sold: 9, used: true, color: 1, price: '1.5', snakeName: 'a', unknown: { a: 1 } },
      { name: 'body' },
      '{"sold":9007199254740993}',
      { pages: null, novel: 'a' },
      { pages: 1.5 },
      { pages: 'x' },
      { authors: 'x' },
      { color: 'GREEN' },
      { inner: [] },
      '[]',
      '{',
      '{"pages":1}}',
      'nonsense',
      '"text"',
      '',
      { name: 'x'.repeat(200) },
    ];
    for (const site of Object.keys(sites)) {
      await bodies.compare(
        site,
        wanted.flatMap((body) => [
          ask('POST', '/v1/books', body),
          ask('PUT', '/v1/books/path?pages=9', body),
          ask('PATCH', '/v1/parts/p?pages=1', body),
        ]),
        leveled,
      );
    }
  });

  it('prints answers', async () => {
    for (const site of Object.keys(sites)) {
      await bodies.compare(
        site,
        [full, {}, { inner: { text: 'x' } }, { color: 7 }, { price: Number.NaN }].flatMap((of) => [
          ask('GET', '/v2/a', undefined, { answer: one(of) }),
          ask('GET', '/v2/a', undefined, { answer: one(of), by: 'http1' }),
          ask('PATCH', '/v1/parts/a', {}, { answer: one(of) }),
        ]),
        leveled,
      );
    }
  });

  it('tells failures', async () => {
    const failures: readonly NonNullable<Question['answer']>[] = [
      ...Array.from({ length: 18 }, (_, i) => ({
        headers: { ...grpc, 'grpc-status': `${i}`, 'grpc-message': 'why%20' },
        headOnly: true,
      })),
      { headers: grpc, trailers: { 'grpc-status': '5', 'grpc-message': 'gone' } },
      { headers: grpc, chunks: [book({})], trailers: { 'grpc-status': '3', 'x-t': 'a' } },
      { headers: { ...grpc, 'grpc-status': '5' } },
      { headers: grpc, chunks: [book({ pages: 1 })] },
      { headers: grpc, trailers: ok },
      { headers: grpc, trailers: { 'x-t': 'a' } },
      { status: 503, headers: { 'content-type': 'text/plain' }, chunks: ['no'] },
      { status: 200, headers: { 'content-type': 'text/plain' }, chunks: ['no'] },
      { headers: grpc, chunks: [Buffer.from([1, 0, 0, 0, 1, 5])], trailers: ok },
    ];
    for (const site of Object.keys(sites)) {
      await bodies.compare(
        site,
        failures.flatMap((answer) => [
          ask('GET', '/v2/a', undefined, { answer }),
          ask('GET', '/v2/a', undefined, { answer, by: 'http1' }),
          ask('GET', '/v1/list', undefined, { answer }),
        ]),
        leveled,
      );
    }
  });

  it('streams', async () => {
    const many = { headers: grpc, chunks: [book({ name: 'a' }), book({}), book({ pages: 2 })], trailers: ok };
    for (const site of Object.keys(sites)) {
      await bodies.compare(
        site,
        [
          ask('GET', '/v1/list', undefined, { answer: many }),
          ask('GET', '/v1/list', undefined, { answer: many, by: 'http1' }),
          ask('GET', '/v1/list', undefined, { answer: { headers: grpc, trailers: ok } }),
          ask('POST', '/v1/send', [{ name: 'a' }, {}, { pages: 3 }]),
          ask('POST', '/v1/send', []),
          ask('POST', '/v1/send?pages=4', [{ name: 'a' }, {}]),
          ask('POST', '/v1/send', undefined, { chunks: ['[{"name":"]', '"}', ', {"pages"', ':1}]'] }),
          ask('POST', '/v1/send', '[{},{}'),
          ask('POST', '/v1/send', '{}'),
          ask('POST', '/v1/talk', [{ name: 'a' }], { answer: many }),
        ],
        leveled,
      );
    }
  });
});
