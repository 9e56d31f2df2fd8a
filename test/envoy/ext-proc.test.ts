/** External processing in Envoy and in ours: one service, the same requests, and all that it is told and that comes of what it says. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Server as GrpcServer, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import type protobuf from 'protobufjs';
import { typeUrl } from '../../common/envoy/codec.ts';
import { envoyMessage } from '../../common/envoy/protos.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { Bodies, type BodySite, clusterTo, type Question } from './bodies.ts';

type Json = Readonly<Record<string, unknown>>;

/** What the service says to each part of an exchange. Absent: that it may go on as it is. `undefined` as a value: nothing at all. */
type Script = Readonly<Record<string, readonly Json[] | 'silent' | 'end' | number | ((body: string) => Json)>>;

const set = (key: string, value: string, more: Json = {}) => ({
  header: { key, raw_value: Buffer.from(value) },
  ...more,
});
const mutate = (more: Json) => ({ response: { header_mutation: more } });
const replaced = (body: string, more: Json = {}) => ({
  response: { body_mutation: { body: Buffer.from(body) }, ...more },
});

const scripts: Readonly<Record<string, Script>> = {
  nothing: {},
  headers: {
    request_headers: [
      {
        request_headers: mutate({
          set_headers: [
            set('x-new', 'n'),
            set('x-old', 'changed'),
            set('x-twice', '3', { append: { value: true } }),
            set('x-plain', 'p', { append_action: 0 }),
            set('x-old-2', 'a', { append_action: 1 }),
            set('x-old-3', 'a', { append_action: 2 }),
            set('x-absent', 'a', { append_action: 3 }),
            set('x-old-4', 'a', { append_action: 3 }),
            set('x-old-5', 'a', { append: { value: false } }),
            set('x-upper-CASE', 'u'),
            set('x-empty', ''),
          ],
          remove_headers: ['x-gone', 'X-Gone-2', 'x-never'],
        }),
      },
    ],
    response_headers: [
      {
        response_headers: mutate({
          set_headers: [set('x-r', '1'), set(':status', '202')],
          remove_headers: ['x-hidden'],
        }),
      },
    ],
  },
  path: {
    request_headers: [
      {
        request_headers: mutate({
          set_headers: [set(':path', '/else?x=1'), set(':method', 'PUT'), set('host', 'b'), set(':authority', 'c')],
          remove_headers: [':path', 'host', ':method'],
        }),
      },
    ],
  },
  envoy: {
    request_headers: [
      {
        request_headers: mutate({
          set_headers: [set('x-envoy-mine', '1'), set('x-other', '1'), set('x-secret-a', '2')],
          remove_headers: ['x-envoy-theirs', 'x-secret-b'],
        }),
      },
    ],
  },
  'bad name': { request_headers: [{ request_headers: mutate({ set_headers: [set('x y', '1')] }) }] },
  'bad value': { request_headers: [{ request_headers: mutate({ set_headers: [set('x-y', 'a\nb')] }) }] },
  'both values': {
    request_headers: [
      {
        request_headers: mutate({ set_headers: [{ header: { key: 'x-a', value: '1', raw_value: Buffer.from('2') } }] }),
      },
    ],
  },
  'old value': {
    request_headers: [{ request_headers: mutate({ set_headers: [{ header: { key: 'x-a', value: '1' } }] }) }],
  },
  bodies: {
    request_body: [{ request_body: replaced('new body') }],
    response_body: [{ response_body: replaced('new answer') }],
  },
  'bodies with headers': {
    request_body: [
      {
        request_body: replaced('new', {
          header_mutation: { set_headers: [set('x-new', 'n')], remove_headers: ['x-old'] },
        }),
      },
    ],
    response_body: [{ response_body: replaced('', { header_mutation: { set_headers: [set('x-r', 'r')] } }) }],
  },
  shout: {
    request_body: (body) => ({ request_body: replaced(body.toUpperCase()) }),
    response_body: (body) => ({ response_body: replaced(body.toUpperCase()) }),
  },
  clear: {
    request_body: [{ request_body: { response: { body_mutation: { clear_body: true } } } }],
    response_body: [{ response_body: { response: { body_mutation: { clear_body: true } } } }],
  },
  trailers: {
    request_trailers: [
      { request_trailers: { header_mutation: { set_headers: [set('x-t', 'changed'), set('x-n', '1')] } } },
    ],
    response_trailers: [{ response_trailers: { header_mutation: { remove_headers: ['x-t'] } } }],
  },
  replace: {
    request_headers: [
      {
        request_headers: {
          response: {
            status: 1,
            header_mutation: { set_headers: [set(':method', 'PUT'), set('content-type', 'text/new')] },
            body_mutation: { body: Buffer.from('instead') },
          },
        },
      },
    ],
    response_headers: [
      { response_headers: { response: { status: 1, body_mutation: { body: Buffer.from('instead') } } } },
    ],
  },
  'replace without': {
    request_headers: [{ request_headers: { response: { status: 1 } } }],
    response_headers: [{ response_headers: { response: { status: 1 } } }],
  },
  immediate: {
    request_headers: [
      {
        immediate_response: {
          status: { code: 'Unauthorized' },
          headers: { set_headers: [set('x-why', 'because'), set('content-type', 'text/html'), set('x-envoy-a', 'b')] },
          body: Buffer.from('<p>no'),
          details: 'not so',
        },
      },
    ],
  },
  'immediate empty': { request_headers: [{ immediate_response: { status: { code: 'Forbidden' } } }] },
  'immediate grpc': {
    request_headers: [
      { immediate_response: { status: { code: 'Forbidden' }, grpc_status: { status: 9 }, body: Buffer.from('no') } },
    ],
  },
  'immediate body': {
    request_body: [{ immediate_response: { status: { code: 'PayloadTooLarge' }, body: Buffer.from('big') } }],
  },
  'immediate response': {
    response_headers: [{ immediate_response: { status: { code: 'BadGateway' }, body: Buffer.from('bad') } }],
  },
  'immediate response body': {
    response_body: [{ immediate_response: { status: { code: 'BadGateway' }, body: Buffer.from('bad') } }],
  },
  override: {
    request_headers: [
      { request_headers: {}, mode_override: { request_body_mode: 2, response_header_mode: 2, response_body_mode: 2 } },
    ],
    request_body: [{ request_body: replaced('by override') }],
    response_body: [{ response_body: replaced('by override, too') }],
  },
  'override skips': {
    request_headers: [{ request_headers: {}, mode_override: { response_header_mode: 2, response_trailer_mode: 2 } }],
  },
  spurious: { request_headers: [{ response_headers: {} }] },
  'spurious body': { request_headers: [{ request_body: {} }] },
  empty: { request_headers: [{}] },
  metadata: {
    request_headers: [
      {
        request_headers: {},
        dynamic_metadata: { fields: { taken: { structValue: { fields: { who: { stringValue: 'me' } } } } } },
      },
    ],
  },
  end: { request_headers: 'end' },
  'end later': { response_headers: 'end' },
  error: { request_headers: 13 },
  'error later': { response_headers: 14 },
  silent: { request_headers: 'silent' },
  'silent later': { response_headers: 'silent' },
  'more time': { request_headers: [{ override_message_timeout: { seconds: 5 } }, { request_headers: {} }] },
  route: {
    request_headers: [
      {
        request_headers: {
          response: { clear_route_cache: true, header_mutation: { set_headers: [set('x-route', 'b')] } },
        },
      },
    ],
  },
  'route in vain': { request_headers: [{ request_headers: { response: { clear_route_cache: true } } }] },
};

const filterType = typeUrl('envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor');
const to = (cluster: string, more: Json = {}) => ({ grpc_service: { envoy_grpc: { cluster_name: cluster }, ...more } });
const proc = (more: Json = {}): Json => ({
  name: 'proc',
  typed_config: { '@type': filterType, ...to('proc'), message_timeout: '20s', ...more },
});
const mode = (more: Json) => ({ processing_mode: more });
const bodies = (how: string, more: Json = {}) => mode({ request_body_mode: how, response_body_mode: how, ...more });
const trailersToo = { request_trailer_mode: 'SEND', response_trailer_mode: 'SEND' };
const routesOf = (name: string) => [
  {
    match: { prefix: '/', headers: [{ name: 'x-route', string_match: { exact: 'b' } }] },
    direct_response: { status: 299, body: { inline_string: 'route b' } },
  },
  { match: { prefix: '/' }, route: { cluster: name } },
];
const perRoute = (name: string, config: Json) => [
  {
    match: { prefix: '/' },
    route: { cluster: name },
    typed_per_filter_config: {
      proc: { '@type': typeUrl('envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute'), ...config },
    },
  },
];
const yes = true;

const written: readonly BodySite[] = [
  { name: 'plain', filters: [proc()], routes: routesOf('plain') },
  { name: 'open', filters: [proc({ failure_mode_allow: true, message_timeout: '1s' })] },
  { name: 'quick', filters: [proc({ message_timeout: '1s', status_on_error: { code: 'BadGateway' } })] },
  { name: 'patient', filters: [proc({ max_message_timeout: '10s' })] },
  {
    name: 'nobody',
    filters: [{ name: 'proc', typed_config: { '@type': filterType, ...to('away'), message_timeout: '20s' } }],
  },
  {
    name: 'nobody, open',
    filters: [
      {
        name: 'proc',
        typed_config: { '@type': filterType, ...to('away'), message_timeout: '20s', failure_mode_allow: true },
      },
    ],
  },
  { name: 'buffered', filters: [proc(bodies('BUFFERED'))] },
  { name: 'buffered with trailers', filters: [proc(bodies('BUFFERED', trailersToo))] },
  {
    name: 'buffered without headers',
    filters: [proc(bodies('BUFFERED', { request_header_mode: 'SKIP', response_header_mode: 'SKIP' }))],
  },
  { name: 'streamed', filters: [proc(bodies('STREAMED'))] },
  {
    name: 'streamed alone',
    filters: [proc(bodies('STREAMED', { request_header_mode: 'SKIP', response_header_mode: 'SKIP', ...trailersToo }))],
  },
  { name: 'partial', filters: [proc(bodies('BUFFERED_PARTIAL', trailersToo))] },
  { name: 'trailers', filters: [proc(mode(trailersToo))] },
  {
    name: 'nothing',
    filters: [proc(mode({ request_header_mode: 'SKIP', response_header_mode: 'SKIP' }))],
  },
  {
    name: 'rules',
    filters: [
      proc({
        stat_prefix: 'strict',
        mutation_rules: {
          allow_all_routing: yes,
          allow_envoy: yes,
          allow_expression: { regex: 'x-secret-a' },
          disallow_expression: { regex: 'x-secret-.*' },
        },
        forward_rules: {
          allowed_headers: { patterns: [{ prefix: 'x-' }, { exact: ':path' }] },
          disallowed_headers: { patterns: [{ exact: 'x-old' }] },
        },
        route_cache_action: 'CLEAR',
      }),
    ],
    routes: routesOf('rules'),
  },
  { name: 'errors', filters: [proc({ mutation_rules: { disallow_is_error: yes, disallow_system: yes } })] },
  {
    name: 'none allowed',
    filters: [proc({ mutation_rules: { disallow_all: yes, allow_expression: { regex: 'x-n.*' } } })],
  },
  {
    name: 'override',
    filters: [proc({ allow_mode_override: true, disable_immediate_response: true, route_cache_action: 'RETAIN' })],
    routes: routesOf('override'),
  },
  {
    name: 'some overrides',
    filters: [
      proc({
        allow_mode_override: true,
        allowed_override_modes: [{ response_header_mode: 'SKIP', response_trailer_mode: 'SKIP' }],
      }),
    ],
  },
  {
    name: 'told',
    filters: [
      proc({
        request_attributes: [
          'request.path',
          'request.method',
          'request.size',
          'nothing.such',
          'request.headers["x-old"]',
        ],
        response_attributes: ['response.code', 'request.scheme'],
        metadata_options: {
          forwarding_namespaces: { untyped: ['taken'] },
          receiving_namespaces: { untyped: ['taken'] },
        },
      }),
    ],
  },
  { name: 'route off', filters: [proc()], routes: perRoute('route off', { disabled: true }) },
  {
    name: 'route says',
    filters: [proc()],
    routes: perRoute('route says', {
      overrides: {
        processing_mode: { request_header_mode: 'SKIP', response_body_mode: 'BUFFERED' },
        grpc_initial_metadata: [{ key: 'x-meta', value: 'm' }],
      },
    }),
  },
];

/** Counted each by itself. */
const sites = written.map((site) => ({
  ...site,
  filters: site.filters.map((filter) => {
    const config = filter['typed_config'] as Json;
    return { ...filter, typed_config: { stat_prefix: site.name.replaceAll(/\W/g, '_'), ...config } };
  }),
}));

/** What the service saw of each exchange, by the id that the client gave. */
const seen = new Map<string, Json[]>();

const varying =
  /^(x-request-id|x-forwarded-for|x-forwarded-proto|x-envoy-.*|date|server|connection|keep-alive|transfer-encoding|trailer|host|:authority|:scheme|x-ours|x-id|x-script|content-length)$/;

function headersOf(map: { readonly headers?: readonly { readonly key: string; readonly raw_value: Buffer }[] } | null) {
  const all = (map?.headers ?? []).map(({ key, raw_value: raw }) => [key, String(raw)] as const);
  return all
    .filter(([key]) => !varying.test(key))
    .map((pair) => pair.join(': '))
    .sort();
}

/** By names, which a map has in no order. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, sorted(inner)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function plain(message: Json): Json {
  const { metadata_context: metadata, attributes, protocol_config: config, ...parts } = message;
  const [[name, part] = ['', {}]] = Object.entries(parts) as [string, Json][];
  const { headers, trailers, body, ...more } = part;
  return {
    name,
    ...(headers !== undefined && { headers: headersOf(headers as never) }),
    ...(trailers !== undefined && { trailers: headersOf(trailers as never) }),
    ...(body !== undefined && { body: String(body) }),
    ...more,
    ...(config !== undefined && { config }),
    ...(attributes !== undefined && { attributes: sorted(attributes) }),
    ...(metadata !== undefined && { metadata }),
  };
}

async function startService(): Promise<{ readonly port: number; stop(): void }> {
  const [request, response] = ['Request', 'Response'].map(
    (name) => envoyMessage(`envoy.service.ext_proc.v3.Processing${name}`)!,
  ) as [protobuf.Type, protobuf.Type];
  const server = new GrpcServer();
  const definition = {
    Process: {
      path: '/envoy.service.ext_proc.v3.ExternalProcessor/Process',
      requestStream: true,
      responseStream: true,
      requestSerialize: (value: Buffer) => value,
      requestDeserialize: (bytes: Buffer) =>
        request.toObject(request.decode(bytes), { enums: String, longs: Number }) as Json,
      responseSerialize: (value: Json) => Buffer.from(response.encode(response.fromObject(value)).finish()),
      responseDeserialize: (bytes: Buffer) => bytes,
    },
  };
  server.addService(
    definition as never,
    {
      Process(call: ServerDuplexStream<Json, Json>) {
        let key = '';
        let script: Script = {};
        call.on('error', () => undefined);
        call.on('data', (message: Json) => {
          for (const part of ['request_headers', 'response_headers']) {
            const map = (message[part] as { headers?: { headers?: { key: string; raw_value: Buffer }[] } })?.headers;
            for (const { key: name, raw_value: value } of map?.headers ?? []) {
              if (name === 'x-id' && key === '') {
                key = String(value);
                seen.set(key, []);
              }
              if (name === 'x-script') script = scripts[String(value)]!;
            }
          }
          seen.get(key)?.push(plain(message));
          const [part] = Object.keys(message).filter((name) => /^(request|response)_/.test(name));
          const says = script[part!] ?? [{ [part!]: {} }];
          if (says === 'silent') return;
          if (says === 'end') call.end();
          else if (typeof says === 'number') call.emit('error', { code: says, details: 'as told' });
          else if (typeof says === 'function') call.write(says(String((message[part!] as Json)['body'] ?? '')));
          else for (const answer of says) call.write(answer);
        });
        call.on('end', () => call.end());
      },
    } as never,
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return { port, stop: () => server.forceShutdown() };
}

const old = Object.fromEntries(['', '-2', '-3', '-4', '-5'].map((end) => [`x-old${end}`, 'o']));
const common = { ...old, 'x-twice': '1', 'x-gone': 'g', 'x-gone-2': 'g', 'x-envoy-theirs': 't', 'x-secret-b': 's' };
const answer = { headers: { 'content-type': 'text/plain', 'x-hidden': 'h' }, chunks: ['an answer'] };
const asked = (script: string, more: Question = {}): Question => ({
  headers: { ...common, 'x-script': script },
  chunks: ['a body'],
  ...more,
  answer: { ...answer, ...more.answer, headers: { ...answer.headers, ...more.answer?.headers, 'x-script': script } },
});

/** Whether an answer comes in time is asked only of those that wait for none; how often of those that see a body in pieces. */
function isAskedOf(site: string, script: string): boolean {
  if (/^(open|quick)$/.test(site)) return /^(silent|error|end|spurious|empty|bad|nothing)/.test(script);
  if (script.startsWith('silent')) return false;
  return !site.startsWith('streamed') || !/^(bodies|clear|immediate body|immediate response)/.test(script);
}

/** Pieces of a body are as long as they happened to come. */
function withoutCuts(messages: readonly Json[]): readonly Json[] {
  const joined: Json[] = [];
  for (const message of messages) {
    const last = joined.at(-1);
    if (last?.['body'] === undefined || last['name'] !== message['name']) joined.push(message);
    else joined[joined.length - 1] = { ...message, body: `${last['body']}${message['body'] ?? ''}` };
  }
  return joined;
}

function lengthAndSum(text: string): readonly [number, string] {
  return [text.length, createHash('sha256').update(text).digest('hex')];
}

describe('external processing as in Envoy', { skip: skipWithoutEnvoy() }, () => {
  let bodiesOf: Bodies;
  let service: Awaited<ReturnType<typeof startService>>;
  before(async () => {
    service = await startService();
    const clusters = [clusterTo(service.port, 'proc', 'http2'), clusterTo(1, 'away', 'http2')];
    try {
      bodiesOf = await Bodies.start(sites, clusters);
    } catch (e) {
      service.stop();
      throw e;
    }
  });
  after(async () => {
    await bodiesOf[Symbol.asyncDispose]();
    service.stop();
  });

  const differences = async (site: string, questions: readonly Question[]) => {
    const found: string[] = [];
    for (const question of questions) {
      const told = async (side: 'envoy' | 'ours'): Promise<Json> => {
        const asking = bodiesOf.ask(side, site, question);
        const id = String(bodiesOf.lastId);
        const { received, ...outcome } = await asking;
        const isOwn = (line: string) => line.startsWith('x-id: ');
        return {
          ...outcome,
          received: received && { ...received, headers: received.headers.filter((line) => !isOwn(line)) },
          service: withoutCuts(seen.get(id) ?? []),
        };
      };
      const [envoy, ours] = await Promise.all([told('envoy'), told('ours')]);
      const script = question.headers?.['x-script'];
      const what = `${script} ${question.method ?? ''} ${question.chunks?.length} ${question.trailers ? 'trailers' : ''}`;
      for (const key of Object.keys(envoy)) {
        if (isDeepStrictEqual(envoy[key], ours[key])) continue;
        const text = (value: unknown) => JSON.stringify(value).slice(0, 2_000);
        found.push(`${what} ${key}:\n    Envoy ${text(envoy[key])}\n    ours  ${text(ours[key])}`);
      }
    }
    return found;
  };

  for (const { name } of sites) {
    it(`is the same: ${name}`, async () => {
      const all = Object.keys(scripts).filter((script) => isAskedOf(name, script));
      const found = await differences(name, [
        ...all.map((script) => asked(script)),
        ...['nothing', 'replace', 'shout'].map((script) =>
          asked(script, { method: 'GET', chunks: [], answer: { chunks: [] } }),
        ),
        asked('trailers', { trailers: { 'x-t': '1' }, answer: { ...answer, trailers: { 'x-t': '2' } } }),
        asked('immediate grpc', {
          by: 'http2',
          headers: { ...common, 'x-script': 'immediate grpc', 'content-type': 'application/grpc' },
        }),
      ]);
      assert.equal(found.join('\n'), '');
    });
  }

  it('is the same with bodies that are longer than what is kept', async () => {
    const chunks = Array.from({ length: 40 }, () => Buffer.alloc(65_536, 'abc'));
    for (const [site, script] of [
      ['plain', 'nothing'],
      ['streamed', 'shout'],
      ['streamed alone', 'shout'],
      ['partial', 'nothing'],
      ['buffered', 'nothing'],
      ['buffered', 'override skips'],
    ] as const) {
      for (const question of [asked(script, { chunks }), asked(script, { answer: { ...answer, chunks } })]) {
        const told = async (side: 'envoy' | 'ours') => {
          const { status, body, received } = await bodiesOf.ask(side, site, question);
          return { status, body: lengthAndSum(body), received: received && lengthAndSum(received.body) };
        };
        const [envoy, ours] = [await told('envoy'), await told('ours')];
        assert.deepEqual(ours, envoy, `${site}, ${script}`);
      }
    }
  });

  it('counts', async () => {
    // How long Envoy keeps a stream whose exchange is over, and in how many pieces a body came.
    const { envoy, ours } = await bodiesOf.stats(
      /ext_proc\.(?!.*server_half_closed|streamed|plain|partial|buffered\.)/,
    );
    assert.deepEqual(ours, envoy);
    assert.ok(envoy.length > 10);
  });
});
