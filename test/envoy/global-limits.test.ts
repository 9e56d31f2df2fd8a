/** A service of rate limits that Envoy and ours ask: the same questions, and what its answers come to. */
import assert from 'node:assert/strict';
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { decodeEnvoy, encodeEnvoy, typeUrl } from '../../common/envoy/codec.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { type EngineAnswer, type EngineSite, Engines, named } from './engines.ts';

type Json = Readonly<Record<string, unknown>>;

const service = 'envoy.service.ratelimit.v3.';
const optionsType = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Answers by the value of the first descriptor's last entry. */
const answers: Readonly<Record<string, Json>> = {
  ok: {
    overall_code: 'OK',
    statuses: [limitOf(10, 'HOUR', 3, 1_200, 'each'), limitOf(100, 'DAY', 50, 3_000, '')],
    response_headers_to_add: [{ key: 'x-told', value: 'ok' }],
    request_headers_to_add: [{ key: 'x-over', value: 'no' }],
  },
  over: {
    overall_code: 'OVER_LIMIT',
    statuses: [limitOf(10, 'MINUTE', 0, 12, '')],
    response_headers_to_add: [{ key: 'x-told', value: 'over' }],
    raw_body: Buffer.from('come later'),
  },
  bare: { overall_code: 'OVER_LIMIT' },
  unknown: { overall_code: 'UNKNOWN' },
};

function limitOf(requests: number, unit: string, left: number, seconds: number, name: string): Json {
  const current = { requests_per_unit: requests, unit, ...(name !== '' && { name }) };
  return { code: 'OK', current_limit: current, limit_remaining: left, duration_until_reset: { seconds } };
}

const filter = (more: Json = {}) =>
  named('limit', 'envoy.extensions.filters.http.ratelimit.v3.RateLimit', {
    domain: 'shop',
    timeout: '20s',
    rate_limit_service: { transport_api_version: 'V3', grpc_service: { envoy_grpc: { cluster_name: 'rls' } } },
    enable_x_ratelimit_headers: 'DRAFT_VERSION_03',
    ...more,
  });
const byHeader = { request_headers: { header_name: 'say', descriptor_key: 'say' } };

function site(name: string, config: Json, route: Json = {}): EngineSite {
  const one = {
    match: { prefix: '/' },
    route: { cluster: name, rate_limits: [{ actions: [{ generic_key: { descriptor_value: name } }, byHeader] }] },
    ...route,
  };
  const virtualHost = { name: 'all', domains: ['*'], routes: [one], rate_limits: [{ actions: [byHeader] }] };
  const router = named('router', 'envoy.extensions.filters.http.router.v3.Router');
  return {
    name,
    manager: { route_config: { name, virtual_hosts: [virtualHost] }, http_filters: [filter(config), router] },
  };
}

const perRoute = (config: Json) => ({
  typed_per_filter_config: {
    limit: { '@type': typeUrl('envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute'), ...config },
  },
});
const late: readonly EngineSite[] = [
  site('late-closed', { timeout: '0.05s', failure_mode_deny: true }),
  site('late-open', { timeout: '0.05s' }),
];
const sites: readonly EngineSite[] = [
  site('open', {}),
  site('closed', { failure_mode_deny: true, rate_limited_as_resource_exhausted: true }),
  site('worded', {
    failure_mode_deny: true,
    status_on_error: { code: 'ServiceUnavailable' },
    rate_limited_status: { code: 'Forbidden' },
    disable_x_envoy_ratelimited_header: true,
    enable_x_ratelimit_headers: 'OFF',
    response_headers_to_add: [{ header: { key: 'x-why', value: '%REQ(say)%' } }],
    stat_prefix: 'own',
  }),
  site('both', {}, perRoute({ vh_rate_limits: 'INCLUDE', domain: 'other' })),
  site('outside', { request_type: 'internal' }),
];

function shown({ status, headers, body }: EngineAnswer): object {
  const told = Object.entries(headers).filter(([name]) => /^(x-(?!envoy-upstream)|content-|grpc-)/.test(name));
  const received = status === 200 && body.includes('"x-over"');
  return { status, headers: Object.fromEntries(told), received, body: status === 200 ? '' : body };
}

describe('rate limits by a service, as in Envoy', { skip: skipWithoutEnvoy() }, () => {
  let engines: Engines;
  let server: Http2Server;
  const sessions = new Set<ServerHttp2Session>();
  const questions: string[] = [];

  before(async () => {
    server = createServer();
    server.on('session', (session) => sessions.add(session));
    server.on('stream', (stream: ServerHttp2Stream) => serve(stream, questions));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = { socket_address: { address: '127.0.0.1', port_value: (server.address() as AddressInfo).port } };
    const rls = {
      name: 'rls',
      cluster: {
        load_assignment: { cluster_name: 'rls', endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
        typed_extension_protocol_options: {
          [optionsType]: { '@type': typeUrl(optionsType), explicit_http_config: { http2_protocol_options: {} } },
        },
      },
    };
    engines = await Engines.start(() => [...sites, ...late, rls]);
  });
  after(async () => {
    await engines?.[Symbol.asyncDispose]();
    for (const session of sessions) session.destroy();
    server.close();
  });

  for (const { name } of sites) {
    it(name, async () => {
      for (const headers of [
        ...['ok', 'over', 'bare', 'fail'].map((say) => ({ say })),
        { say: 'over', 'content-type': 'application/grpc' },
        { say: 'fail', 'content-type': 'application/grpc' },
        {},
      ]) {
        questions.length = 0;
        const [envoy, ours] = await engines.ask(name, '/200', { headers });
        assert.deepEqual(shown(ours), shown(envoy), JSON.stringify(headers));
        assert.ok(questions.length === 0 || questions.length === 2, 'each asks once, or none does');
        assert.equal(questions[0], questions[1]);
      }
      const [envoy, ours] = await engines.stats(new RegExp(`^cluster\\.${name}\\.ratelimit\\.`));
      for (const [counter, value] of envoy) assert.equal(ours.get(counter) ?? 0, value, counter);
    });
  }

  it('an answer that says neither yes nor no refuses where the service has to answer; Envoy lets it pass', async () => {
    const headers = { say: 'unknown' };
    const [envoy, ours] = await engines.ask('closed', '/200', { headers });
    assert.deepEqual([envoy.status, ours.status], [200, 500]);
  });

  it('a service that never answers holds a request no longer than its timeout: closed, or open as declared', async () => {
    const headers = { say: 'stall' };
    for (const [name, status] of [
      ['late-closed', 500],
      ['late-open', 200],
    ] as const) {
      const answered = await engines.ask(name, '/200', { headers });
      assert.deepEqual(
        answered.map((a) => a.status),
        [status, status],
      );
    }
  });
});

function serve(stream: ServerHttp2Stream, questions: string[]): void {
  const chunks: Buffer[] = [];
  stream.on('error', () => undefined);
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    const url = typeUrl(`${service}RateLimitRequest`);
    const decoded = decodeEnvoy(url, Buffer.concat(chunks).subarray(5));
    if (decoded.kind !== 'ok') throw new Error(decoded.reason);
    questions.push(JSON.stringify(decoded.value));
    const { descriptors } = decoded.value as unknown as {
      readonly descriptors: readonly { readonly entries: readonly { readonly value: string }[] }[];
    };
    const say = descriptors[0]?.entries.at(-1)?.value ?? '';
    const answer = answers[say];
    if (say === 'stall') return;
    if (!answer) {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '13' }, { endStream: true });
      return;
    }
    const message = encodeEnvoy({ '@type': typeUrl(`${service}RateLimitResponse`), ...answer });
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.concat([prefix, message]));
  });
}
