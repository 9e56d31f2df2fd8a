/** Traces in Envoy and in ours: the headers that servers see, and the spans that a collector gets. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { until } from '../../common/testing/until.ts';
import { receivedSpans } from '../../waypoint/testing/otlp.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { Collector } from './collector.ts';
import { type EngineAnswer, type EngineSite, Engines, named } from './engines.ts';

type Json = Readonly<Record<string, unknown>>;

const http2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': typeUrl('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
    explicit_http_config: { http2_protocol_options: {} },
  },
};
const otlp = (config: Json) =>
  named('envoy.tracers.opentelemetry', 'envoy.config.trace.v3.OpenTelemetryConfig', config);
const zipkin = (config: Json) =>
  named('envoy.tracers.zipkin', 'envoy.config.trace.v3.ZipkinConfig', {
    collector_endpoint_version: 'HTTP_JSON',
    shared_span_context: false,
    collector_service: { http_uri: { uri: 'http://zipkin.test/api/v2/spans', cluster: 'by-http', timeout: '5s' } },
    ...config,
  });
const byHttp = {
  http_service: {
    http_uri: { uri: 'http://collector.test/v1/traces', cluster: 'by-http', timeout: '5s' },
    request_headers_to_add: [{ header: { key: 'x-token', value: 'abc' } }],
  },
  service_name: 'waypoint.shop',
};
const byGrpc = {
  grpc_service: { envoy_grpc: { cluster_name: 'by-grpc', authority: 'collector.test' }, timeout: '5s' },
  service_name: 'waypoint.shop',
};
const tags = [
  { tag: 'of-literal', literal: { value: 'x' } },
  { tag: 'of-header', request_header: { name: 'x-tag', default_value: 'none' } },
  { tag: 'of-missing', request_header: { name: 'x-no-tag' } },
  { tag: 'of-variable', environment: { name: 'AQUIFER_TEST_NO_SUCH', default_value: 'fallback' } },
  { tag: 'of-no-variable', environment: { name: 'AQUIFER_TEST_NO_SUCH' } },
  { tag: 'of-format', value: '%REQ(:METHOD)%-%RESPONSE_CODE%' },
  { tag: 'of-empty-format', value: '%REQ(x-no-tag)%' },
  { tag: 'of-metadata', metadata: { kind: { route: {} }, metadata_key: { key: 'n', path: [{ key: 'k' }] } } },
];
const route = (name: string): Json => ({
  match: { prefix: '/' },
  route: { cluster: name },
  metadata: { filter_metadata: { n: { k: 'of the route' } } },
});
const decorated = (name: string, decorator: Json): readonly Json[] => [{ ...route(name), decorator }];
const site = (name: string, tracing: Json, more: Partial<EngineSite> = {}, manager: Json = {}): EngineSite => ({
  name,
  routes: [route(name)],
  manager: { tracing, use_remote_address: false, ...manager },
  ...more,
});
const to = (name: string, port: number, more: Json = {}): EngineSite => ({
  name,
  cluster: {
    load_assignment: {
      cluster_name: name,
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }] },
      ],
    },
    ...more,
  },
});

describe('traces, in Envoy and in ours', { skip: skipWithoutEnvoy() }, () => {
  let collector: Collector;
  let engines: Engines;
  before(async () => {
    collector = await Collector.start();
    const sites = [
      to('by-http', collector.httpPort),
      to('by-grpc', collector.grpcPort, { typed_extension_protocol_options: http2 }),
      site('otlp', { provider: otlp(byHttp), custom_tags: tags }),
      site('grpc', { provider: otlp(byGrpc) }),
      site('none', { provider: otlp(byHttp), random_sampling: { value: 0 } }),
      site('some', { provider: otlp(byHttp), random_sampling: { value: 50 }, overall_sampling: { value: 30 } }),
      site('no-clients', { provider: otlp(byHttp), random_sampling: { value: 0 }, client_sampling: { value: 0 } }),
      site('silent', { provider: otlp(byHttp), no_context_propagation: true }),
      site('bare', {}),
      site('short', { provider: otlp(byHttp), max_path_tag_length: 5 }),
      site('decorated', { provider: otlp(byHttp) }, { routes: decorated('decorated', { operation: 'op' }) }),
      site('quiet', { provider: otlp(byHttp) }, { routes: decorated('quiet', { operation: 'op', propagate: false }) }),
      site('outward', { provider: otlp(byHttp) }, { listener: { traffic_direction: 'OUTBOUND' } }),
      site(
        'outward-decorated',
        { provider: otlp(byHttp) },
        { routes: decorated('outward-decorated', { operation: 'op' }), listener: { traffic_direction: 'OUTBOUND' } },
      ),
      site(
        'by-headers',
        { provider: otlp(byHttp), random_sampling: { value: 0 } },
        {},
        {
          request_id_extension: {
            typed_config: {
              '@type': typeUrl('envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig'),
              use_request_id_for_trace_sampling: false,
            },
          },
        },
      ),
      site('zipkin', { provider: zipkin({ trace_id_128bit: true }), custom_tags: tags }),
      site('zipkin-short', { provider: zipkin({}), random_sampling: { value: 0 } }),
      site('zipkin-w3c', {
        provider: zipkin({ trace_id_128bit: true, trace_context_option: 'USE_B3_WITH_W3C_PROPAGATION' }),
      }),
      site('zipkin-shared', { provider: zipkin({ shared_span_context: true }) }),
      site(
        'zipkin-outward',
        { provider: zipkin({}) },
        { listener: { traffic_direction: 'OUTBOUND' }, routes: decorated('zipkin-outward', { operation: 'op' }) },
      ),
    ];
    engines = await Engines.start(() => sites, {
      node: { id: 'the-node', cluster: 'the-cluster' },
      // Spans leave at once.
      layered_runtime: {
        layers: [
          {
            name: 'test',
            static_layer: { 'tracing.opentelemetry.min_flush_spans': 1, 'tracing.zipkin.min_flush_spans': 1 },
          },
        ],
      },
    });
  });
  after(async () => {
    await engines?.[Symbol.asyncDispose]();
    await collector?.[Symbol.asyncDispose]();
  });

  const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const unsampled = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
  const id = '7b1c5b2e-2c3d-4a5b-8c9d-0e1f2a3b4c5d';
  const marked = (digit: string) => `7b1c5b2e-2c3d-${digit}a5b-8c9d-0e1f2a3b4c5d`;
  const withId = (first: string) => `${first}-2c3d-4a5b-8c9d-0e1f2a3b4c5d`;
  const b3Ids = { 'x-b3-traceid': '463ac35c9f6413ad48485a3953bb6124', 'x-b3-spanid': 'a2fb4a1d1a96d312' };

  const headersOf: readonly (readonly [name: string, headers: Readonly<Record<string, string>>])[] = [
    ['nothing', {}],
    ['an id', { 'x-request-id': id }],
    ['a sampled id', { 'x-request-id': marked('9') }],
    ['a forced id', { 'x-request-id': marked('a') }],
    ['a client id', { 'x-request-id': marked('b') }],
    ['an id that is none', { 'x-request-id': 'hello' }],
    ['an id of another form', { 'x-request-id': '0123456789abcdef0123456789abcdef' }],
    ['an id beyond 30 %', { 'x-request-id': withId((4_000).toString(16).padStart(8, '0')) }],
    ['an id beyond 50 %', { 'x-request-id': withId((9_999).toString(16).padStart(8, '0')) }],
    ['an id within', { 'x-request-id': withId((2_999).toString(16).padStart(8, '0')) }],
    ["a client's id", { 'x-request-id': id, 'x-client-trace-id': 'c' }],
    ['force', { 'x-request-id': id, 'x-envoy-force-trace': '1' }],
    ['a parent', { 'x-request-id': id, traceparent: parent, tracestate: 'a=b' }],
    ['a parent that is not sampled', { 'x-request-id': id, traceparent: unsampled }],
    ['a parent of a later version', { 'x-request-id': id, traceparent: `01${parent.slice(2)}` }],
    ['a parent of zeros', { 'x-request-id': id, traceparent: `00-${'0'.repeat(32)}-b7ad6b7169203331-01` }],
    ['a parent in capitals', { 'x-request-id': id, traceparent: parent.toUpperCase() }],
    ['a parent that is cut', { 'x-request-id': id, traceparent: parent.slice(0, -1) }],
    ['a parent with more flags', { 'x-request-id': id, traceparent: `${parent.slice(0, -2)}ff` }],
    ['a parent that is nonsense', { 'x-request-id': id, traceparent: 'x' }],
    ['B3', { 'x-request-id': id, ...b3Ids, 'x-b3-sampled': '1' }],
    [
      'B3 with a parent',
      { 'x-request-id': id, ...b3Ids, 'x-b3-parentspanid': '0020000000000001', 'x-b3-sampled': '0' },
    ],
    ['B3 without a flag', { 'x-request-id': id, ...b3Ids }],
    ['B3 of 64 bits', { 'x-request-id': id, ...b3Ids, 'x-b3-traceid': '48485A3953BB6124', 'x-b3-sampled': 'true' }],
    ['B3 with d', { 'x-request-id': id, ...b3Ids, 'x-b3-flags': '1' }],
    ['B3 with short ids', { 'x-request-id': id, 'x-b3-traceid': 'abc', 'x-b3-spanid': 'def', 'x-b3-sampled': '1' }],
    ['B3 without a span', { 'x-request-id': id, 'x-b3-traceid': 'abc', 'x-b3-sampled': '1' }],
    ['B3 that says no', { 'x-request-id': id, 'x-b3-sampled': '0' }],
    ['B3 that is nonsense', { 'x-request-id': id, 'x-b3-traceid': 'xyz', 'x-b3-spanid': 'def' }],
    ['B3 in one', { 'x-request-id': id, b3: '80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90' }],
    ['B3 in one, not sampled', { 'x-request-id': id, b3: '80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-0' }],
    ['B3 in one, debug', { 'x-request-id': id, b3: '64fe8b2a57d3eff7-e457b5a2e4d86bd1-d' }],
    ['B3 in one without a flag', { 'x-request-id': id, b3: '64fe8b2a57d3eff7-e457b5a2e4d86bd1' }],
    ['B3 in one character', { 'x-request-id': id, b3: '0' }],
    ['B3 in one character, yes', { 'x-request-id': id, b3: '1' }],
    ['B3 in one, nonsense', { 'x-request-id': id, b3: 'nonsense' }],
    ['B3 and W3C', { 'x-request-id': id, ...b3Ids, 'x-b3-sampled': '1', traceparent: unsampled, tracestate: 'a=b' }],
    ['an operation', { 'x-request-id': id, 'x-envoy-decorator-operation': 'mine' }],
    ['an empty operation', { 'x-request-id': id, 'x-envoy-decorator-operation': '' }],
  ];
  const sitesOf = [
    'otlp',
    'grpc',
    'none',
    'some',
    'no-clients',
    'silent',
    'bare',
    'decorated',
    'quiet',
    'outward',
    'outward-decorated',
    'by-headers',
    'zipkin',
    'zipkin-short',
    'zipkin-w3c',
    'zipkin-shared',
    'zipkin-outward',
  ];

  for (const name of sitesOf) {
    it(`go on in the same headers: ${name}`, async () => {
      const differences: string[] = [];
      const compare = async (what: string, headers: Readonly<Record<string, string>>) => {
        const [envoy, ours] = await engines.ask(name, '/200', { headers });
        const [theirs, own] = [traceOf(envoy, headers), traceOf(ours, headers)].map((of) => JSON.stringify(of));
        if (own !== theirs) differences.push(`${what}: ${own} and not ${theirs}`);
      };
      // By chance, where each proxy makes an id of its own.
      const certain = name === 'some' ? headersOf.filter(([, headers]) => 'x-request-id' in headers) : headersOf;
      await Promise.all(certain.map(([what, headers]) => compare(what, headers)));
      assert.deepEqual(differences, [], differences.join('\n'));
    });
  }

  const grpc = { 'content-type': 'application/grpc', 'grpc-timeout': '3S' };
  const asked: readonly (readonly [site: string, path: string, headers: Readonly<Record<string, string>>])[] = [
    ['otlp', '/200', {}],
    ['otlp', '/200?a=b', { 'x-tag': 'mine', 'user-agent': 'me' }],
    ['otlp', '/404', { 'x-client-trace-id': 'c' }],
    ['otlp', '/503', { traceparent: parent, tracestate: 'a=b' }],
    ...Array.from({ length: 17 }, (_, code) => {
      return ['otlp', `/200;grpc-status=${code};grpc-message=text`, grpc] as const;
    }),
    ['grpc', '/200', {}],
    ['short', '/200', {}],
    ['decorated', '/200', {}],
    ['decorated', '/200', { 'x-envoy-decorator-operation': 'mine' }],
    ['outward', '/200;x-envoy-decorator-operation=theirs', {}],
    ['outward-decorated', '/200', {}],
    ['zipkin', '/200', {}],
    ['zipkin', '/503', b3Ids],
    ['zipkin-w3c', '/200', { traceparent: parent }],
    ['zipkin-shared', '/200', b3Ids],
    ['zipkin-outward', '/200', {}],
  ];
  for (const [name, path, headers] of asked) {
    it(`are told alike: ${name} ${path} ${JSON.stringify(headers)}`, async () => {
      // Spans of requests before may still come.
      const own = randomUUID();
      const sent = { 'x-request-id': own, host: 'web.test', ...headers };
      await engines.ask(name, path, { headers: sent });
      const spans = () =>
        toldOf(collector, name.startsWith('zipkin')).filter(({ tags: t }) =>
          String(t['guid:x-request-id']).startsWith(own.slice(0, 8)),
        );
      await until('both spans', () => (spans().length >= 2 ? true : undefined), 10_000);
      const [theirs, ours] = ['the-node', ''].map((node) => spans().find((span) => span.tags['node_id'] === node));
      assert.deepEqual(leveled(ours), leveled(theirs));
    });
  }
});

interface Told {
  readonly tags: Readonly<Record<string, unknown>>;
  readonly rest: object;
}

function toldOf({ received }: Collector, isZipkin: boolean): readonly Told[] {
  return received.flatMap(({ path, bodies, headers }): readonly Told[] => {
    if (path.startsWith('/api/') !== isZipkin) return [];
    const about = { path, host: headers.host ?? headers[':authority'], type: headers['content-type'] };
    const token = headers['x-token'];
    if (!isZipkin) {
      return bodies.flatMap(receivedSpans).map(({ attributes, resource, start, end, spanId, ...rest }) => {
        assert.ok(end > start && spanId !== '');
        return { tags: attributes, rest: { ...rest, ...about, token, service: resource['service.name'] } };
      });
    }
    return bodies.flatMap((body) => {
      const spans = JSON.parse(body.toString()) as readonly {
        readonly tags: Told['tags'];
        readonly duration: number;
      }[];
      return spans.map(({ tags, ...rest }) => ({ tags, rest: { ...rest, ...about } }));
    });
  });
}

/** Without what is new each time, or tells who it is. */
function leveled(told: Told | undefined): object {
  assert.ok(told);
  const { node_id: _, zone: __, ...tags } = told.tags;
  const known = ['0af7651916cd43dd8448eb211c80319c', '463ac35c9f6413ad48485a3953bb6124'];
  const rest = Object.entries(told.rest).flatMap(([name, value]) => {
    if (name === 'timestamp' || name === 'duration' || name === 'localEndpoint') return [[name, typeof value]];
    if ((name === 'traceId' || name === 'id') && !known.includes(value)) return [[name, String(value).length]];
    // When the server began to answer, as the first API had it; the span's end says nearly the same.
    if (name === 'annotations') return [];
    return [[name, value]];
  });
  return { tags, rest: Object.fromEntries(rest) };
}

/** Headers of the trace as the server saw them and as the caller got them; ids that are new are named by where else they are. */
function traceOf({ body, headers, status }: EngineAnswer, sent: Readonly<Record<string, string>>): object {
  const raw = JSON.parse(body) as readonly string[];
  const seen: Record<string, string> = {};
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    if (/^(traceparent|tracestate|b3|x-b3-.*|x-request-id|x-envoy-decorator.*)$/.test(name)) seen[name] = raw[i + 1]!;
  }
  const known = Object.values(sent).join(' ').toLowerCase();
  const ids = new Map<string, string>();
  const named = (text: string) =>
    text.replace(/[0-9a-f]{16,32}/g, (hex) => {
      if (known.includes(hex)) return hex;
      if (!ids.has(hex)) ids.set(hex, `new-${hex.length}-${ids.size}`);
      return ids.get(hex)!;
    });
  const requestId = seen['x-request-id'];
  const told = Object.entries(seen).map(([key, value]) => [
    key,
    key === 'x-request-id' && sent['x-request-id'] === undefined ? `new ${requestId![14]}` : named(value),
  ]);
  return {
    status,
    seen: Object.fromEntries(told.sort(([a], [b]) => (a! < b! ? -1 : 1))),
    operation: headers['x-envoy-decorator-operation'],
  };
}
