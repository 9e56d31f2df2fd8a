/** External authorization in Envoy and in ours: the same filters, services and requests, and all that comes of them. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as ask, createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Server as GrpcServer, loadPackageDefinition, ServerCredentials } from '@grpc/grpc-js';
import { typeUrl } from '../../common/envoy/codec.ts';
import { envoyMessage } from '../../common/envoy/protos.ts';
import { until } from '../../common/testing/until.ts';
import { Rig, router, staticCluster } from '../../waypoint/testing/rig.ts';
import { Envoy, skipWithoutEnvoy } from '../harness/envoy.ts';

type Json = Readonly<Record<string, unknown>>;

/** What the services say, by the number in the request's query. Both kinds of service know all of them. */
interface Script {
  readonly http?: { readonly status: number; readonly headers?: readonly [string, string][]; readonly body?: string };
  readonly grpc?: Json;
}

const option = (key: string, value: string, more: Json = {}) => ({ header: { key, value }, ...more });
const scripts: readonly Script[] = [
  { http: { status: 200 }, grpc: { status: { code: 0 } } },
  {
    http: {
      status: 200,
      headers: [
        ['x-user', 'alice'],
        ['x-more', 'm'],
        ['x-both', 'auth'],
        ['x-out', 'o'],
        ['x-auth-meta', 'v'],
      ],
    },
    grpc: {
      status: { code: 0 },
      ok_response: {
        headers: [
          option('x-user', 'alice'),
          option('x-both', 'auth', { append: { value: true } }),
          option('x-none', 'n', { append: { value: true } }),
        ],
        headers_to_remove: ['x-secret', ':path', 'Host', 'X-Mixed'],
        response_headers_to_add: [
          option('x-out', 'o'),
          option('x-out', 'p'),
          option('x-up', 'mine', { append_action: 2 }),
          option('x-absent', 'a', { append_action: 1 }),
          option('x-echoed', 'e', { append_action: 3 }),
        ],
        query_parameters_to_set: [
          { key: 'zz', value: '1' },
          { key: 'a', value: '2' },
        ],
        query_parameters_to_remove: ['gone'],
      },
      dynamic_metadata: { fields: { who: { stringValue: 'alice' } } },
    },
  },
  {
    http: {
      status: 401,
      headers: [
        ['www-authenticate', 'Basic'],
        ['x-why', 'because'],
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
        ['location', '/login'],
      ],
      body: 'log in',
    },
    grpc: {
      status: { code: 7, message: 'no' },
      denied_response: {
        status: { code: 'Unauthorized' },
        headers: [option('www-authenticate', 'Basic'), option('set-cookie', 'a=1'), option('set-cookie', 'b=2')],
        body: 'log in',
      },
      dynamic_metadata: { fields: { why: { stringValue: 'no token' } } },
    },
  },
  { http: { status: 403 }, grpc: { status: { code: 16 } } },
  {
    http: { status: 302, headers: [['location', 'http://login.test/']] },
    grpc: {
      status: { code: 7 },
      denied_response: { status: { code: 'Found' }, headers: [option('location', 'http://login.test/')] },
    },
  },
  { http: { status: 503, body: 'oops' } },
  {
    http: { status: 200, headers: [['x-envoy-auth-headers-to-remove', 'x-secret, X-Mixed,,:path,host']] },
    grpc: { status: { code: 0 }, ok_response: { headers: [option(':path', '/changed?s=0')] } },
  },
  { http: { status: 204 }, grpc: { status: { code: 3 }, denied_response: {} } },
  {
    http: { status: 418, body: 'teapot' },
    grpc: {
      status: { code: 0 },
      ok_response: { dynamic_metadata: { fields: { old: { boolValue: true } } } },
      dynamic_metadata: { fields: { a: { numberValue: 1 } } },
    },
  },
];

const filterType = typeUrl('envoy.extensions.filters.http.ext_authz.v3.ExtAuthz');
const grpcTo = (cluster: string) => ({ grpc_service: { envoy_grpc: { cluster_name: cluster }, timeout: '10s' } });
const httpTo = (cluster: string, more: Json = {}) => ({
  http_service: { server_uri: { uri: 'http://x', cluster, timeout: '10s' }, ...more },
});
const names = (...exact: string[]) => ({ patterns: exact.map((name) => ({ exact: name, ignore_case: true })) });

interface Site {
  readonly name: string;
  readonly filter: Json;
  readonly perRoute?: Json;
  /** In front of it. */
  readonly before?: readonly Json[];
}

const metadataFilter = {
  name: 'envoy.filters.http.rbac',
  typed_config: {
    '@type': typeUrl('envoy.extensions.filters.http.rbac.v3.RBAC'),
    shadow_rules: {
      action: 'DENY',
      policies: {
        'istio-ext-authz-p': {
          permissions: [{ url_path: { path: { prefix: '/ask' } } }],
          principals: [{ any: true }],
        },
      },
    },
    shadow_rules_stat_prefix: 'istio_ext_authz_',
  },
};
const enabledBy = {
  filter: 'envoy.filters.http.rbac',
  path: [{ key: 'istio_ext_authz_shadow_effective_policy_id' }],
  value: { string_match: { prefix: 'istio-ext-authz' } },
};

const responses = {
  authorization_request: {
    headers_to_add: [
      { key: 'x-added', value: 'yes' },
      { key: 'x-secret', value: 'over' },
    ],
  },
  authorization_response: {
    allowed_upstream_headers: names('x-user', 'x-more'),
    allowed_upstream_headers_to_append: names('x-both'),
    allowed_client_headers: names('x-why'),
    allowed_client_headers_on_success: names('x-out'),
    dynamic_metadata_from_headers: names('x-auth-meta', 'x-why'),
  },
};
const body = (max_request_bytes: number, more: Json = {}) => ({ with_request_body: { max_request_bytes, ...more } });
const perRoute = (config: Json) => ({
  '@type': typeUrl('envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute'),
  ...config,
});

const sites: readonly Site[] = [
  { name: 'http', filter: httpTo('authz') },
  {
    name: 'http with headers',
    filter: {
      ...httpTo('authz', { path_prefix: '/check', ...responses }),
      allowed_headers: names('x-secret', 'x-both', 'cookie'),
      stat_prefix: 'waf',
      clear_route_cache: true,
    },
  },
  { name: 'http with body', filter: { ...httpTo('authz'), ...body(10) } },
  { name: 'http with a part', filter: { ...httpTo('authz'), ...body(10, { allow_partial_message: true }) } },
  {
    name: 'http raw',
    filter: {
      ...httpTo('authz'),
      encode_raw_headers: true,
      allowed_headers: { patterns: [{ prefix: 'x-' }] },
      disallowed_headers: names('x-secret'),
    },
  },
  { name: 'http, nobody there', filter: { ...httpTo('nobody'), status_on_error: { code: 'ServiceUnavailable' } } },
  {
    name: 'http, open',
    filter: { ...httpTo('nobody'), failure_mode_allow: true, failure_mode_allow_header_add: true },
  },
  { name: 'http, no such cluster', filter: httpTo('authz-empty') },
  { name: 'grpc', filter: grpcTo('authz-grpc') },
  {
    name: 'grpc with route settings',
    filter: {
      ...grpcTo('authz-grpc'),
      ...body(10),
      route_metadata_context_namespaces: ['a', 'b'],
      clear_route_cache: true,
      disallowed_headers: names('x-secret'),
    },
    perRoute: perRoute({
      check_settings: { context_extensions: { one: '1', two: '2' }, disable_request_body_buffering: true },
    }),
  },
  { name: 'grpc with body', filter: { ...grpcTo('authz-grpc'), ...body(10) } },
  {
    name: 'grpc with a part as bytes',
    filter: { ...grpcTo('authz-grpc'), ...body(10, { allow_partial_message: true, pack_as_bytes: true }) },
  },
  { name: 'grpc raw', filter: { ...grpcTo('authz-grpc'), encode_raw_headers: true } },
  { name: 'grpc, nobody there', filter: grpcTo('nobody-grpc') },
  { name: 'grpc without metadata', filter: { ...grpcTo('authz-grpc'), enable_dynamic_metadata_ingestion: false } },
  { name: 'disabled by its route', filter: grpcTo('authz-grpc'), perRoute: perRoute({ disabled: true }) },
  {
    name: 'enabled by metadata',
    filter: {
      ...grpcTo('authz-grpc'),
      filter_enabled_metadata: enabledBy,
      metadata_context_namespaces: ['envoy.filters.http.rbac'],
    },
    before: [metadataFilter],
  },
  {
    name: 'denied where disabled',
    filter: {
      ...grpcTo('authz-grpc'),
      filter_enabled: { default_value: { numerator: 0 }, runtime_key: 'x' },
      deny_at_disable: { default_value: true, runtime_key: 'y' },
      status_on_error: { code: 'PaymentRequired' },
    },
  },
];

interface Sent {
  readonly method?: string;
  readonly path: string;
  readonly headers?: readonly [string, string][];
  readonly body?: string;
}

const common: readonly [string, string][] = [
  ['authorization', 'Bearer t'],
  ['cookie', 'c=1'],
  ['x-secret', 's'],
  ['x-mixed', 'm'],
  ['x-both', 'client'],
  ['x-twice', '1'],
  ['x-twice', '2'],
  ['x-latin', 'caf\xe9'],
  ['x-envoy-auth-partial-body', 'forged'],
  ['x-envoy-auth-failure-mode-allowed', 'forged'],
];

const requests: readonly Sent[] = [
  ...scripts.map((_, s) => ({ path: `/ask?gone=1&s=${s}&a=b`, headers: common })),
  { path: '/other?s=3' },
  { path: '/ask?s=1' },
  { method: 'HEAD', path: '/ask?s=2' },
  { method: 'OPTIONS', path: '/ask?s=0' },
  {
    path: '/ask?s=2',
    headers: [
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
    ],
    method: 'POST',
    body: 'abc',
  },
  { method: 'POST', path: '/ask?s=0', body: '123456789' },
  { method: 'POST', path: '/ask?s=0', body: '1234567890' },
  { method: 'POST', path: '/ask?s=0', body: '12345678901' },
  { method: 'POST', path: '/ask?s=2', body: '\xff\xfe1' },
  { method: 'POST', path: '/ask?s=0', body: '' },
];

/** Those that differ from request to request, proxy to proxy, or are told by the test's own servers. */
const varying = new Set([
  'date',
  'x-request-id',
  'x-envoy-upstream-service-time',
  'connection',
  'keep-alive',
  'x-forwarded-for',
  'x-envoy-expected-rq-timeout-ms',
  'server',
  'host',
  ':authority',
  'x-of',
  'x-envoy-internal',
  'content-length',
  'transfer-encoding',
]);

interface World {
  readonly envoy: Envoy;
  readonly rig: Rig;
  readonly servers: readonly Server[];
  readonly grpc: GrpcServer;
  readonly folder: string;
  readonly ports: Readonly<Record<'envoy' | 'ours', readonly number[]>>;
  /** What the services saw of the request with this id. */
  readonly seen: Map<string, unknown>;
}

const skip = skipWithoutEnvoy();
let world: World;

describe('external authorization in Envoy and in ours', { skip }, () => {
  before(async () => {
    world = await start();
  });
  after(async () => {
    await world.envoy[Symbol.asyncDispose]();
    await world.rig[Symbol.asyncDispose]();
    world.grpc.forceShutdown();
    for (const server of world.servers) {
      server.closeAllConnections();
      server.close();
    }
    rmSync(world.folder, { recursive: true, force: true });
  });

  for (const [i, site] of sites.entries()) {
    it(`is the same: ${site.name}`, async () => {
      const differences: string[] = [];
      for (const [k, sent] of requests.entries()) {
        const of = async (who: 'envoy' | 'ours') => {
          const id = `${who}-${i}-${k}`;
          const answer = await send(world.ports[who][i]!, sent, id);
          return { ...answer, seen: world.seen.get(id) } as Json;
        };
        const [envoy, ours] = [await of('envoy'), await of('ours')];
        const keys = Object.keys({ ...envoy, ...ours }).filter((key) => !isDeepStrictEqual(envoy[key], ours[key]));
        const text = (value: unknown) => JSON.stringify(value);
        for (const key of keys)
          differences.push(`${text(sent)} ${key}: Envoy ${text(envoy[key])}, ours ${text(ours[key])}`);
      }
      assert.deepEqual(differences, []);
    });
  }

  it('is told the same in access logs', async () => {
    const of = async (who: 'envoy' | 'ours') => {
      const count = sites.length * requests.length;
      const read = () =>
        (who === 'ours' ? world.rig.lines.join('') : readFileSync(join(world.folder, 'access.log'), 'utf8'))
          .split('\n')
          .filter((line) => line !== '');
      await until('all lines', () => read().length >= count);
      return read().sort();
    };
    assert.deepEqual(await of('ours'), await of('envoy'));
  });

  it('is counted the same', async () => {
    const wanted = /^(http\..*\.ext_authz\.|cluster\.web\.ext_authz\.|cluster\.web\.upstream_rq_4)/;
    const counted = (text: string) =>
      text
        .split('\n')
        .filter((line) => wanted.test(line) && !/: 0$/.test(line))
        .sort();
    const envoy = counted(await world.envoy.admin('/stats'));
    assert.deepEqual(counted(world.rig.runtime.stats.text(() => true)), envoy);
  });
});

async function start(): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'aq-authz-'));
  const seen = new Map<string, unknown>();
  const web = await serve((request, text, response) => {
    response.setHeader('x-echo', JSON.stringify(told(request.method!, request.url!, request.rawHeaders, text)));
    response.setHeader('x-up', 'up');
    response.setHeader('x-echoed', 'web');
    response.end();
  });
  const authz = await serve((request, text, response) => {
    const { of, ...what } = told(request.method!, request.url!, request.rawHeaders, text);
    seen.set(of, what);
    const { http } = scripts[scriptOf(request.url!)]!;
    response.statusCode = http!.status;
    for (const [name, value] of http!.headers ?? []) response.appendHeader(name, value);
    response.end(http!.body);
  });
  const grpc = await grpcService(seen);
  const http2 = {
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': typeUrl('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
  const clusters = [
    staticCluster('web', [web.port]),
    staticCluster('authz', [authz.port]),
    staticCluster('authz-empty', []),
    staticCluster('authz-grpc', [grpc.port], http2),
    staticCluster('nobody', [1]),
    staticCluster('nobody-grpc', [1], http2),
  ];
  const listeners = sites.map((site, i) => listener(site, i, join(folder, 'access.log')));
  const envoy = await Envoy.start({
    node: { id: 'test', cluster: 'test' },
    static_resources: { listeners, clusters },
  });
  const rig = new Rig();
  for (const cluster of clusters) rig.good('cluster', cluster);
  for (const one of listeners) rig.good('listener', one);
  const ports = {
    envoy: await Promise.all(sites.map((_, i) => envoy.port(`l${i}`))),
    ours: await Promise.all(sites.map((_, i) => rig.port(`l${i}`))),
  };
  return { envoy, rig, servers: [web.server, authz.server], grpc: grpc.server, folder, ports, seen };
}

function listener({ filter, perRoute: says, before: first = [] }: Site, i: number, path: string): Json {
  const format =
    '%REQ(X-CASE)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %DYNAMIC_METADATA(envoy.filters.http.ext_authz:who)% %DYNAMIC_METADATA(envoy.filters.http.ext_authz:why)% %DYNAMIC_METADATA(envoy.filters.http.ext_authz:x-auth-meta)% %DYNAMIC_METADATA(envoy.filters.http.ext_authz:old)%\n';
  const routes = [
    { match: { prefix: '/changed' }, direct_response: { status: 299 } },
    {
      match: { prefix: '/', headers: [{ name: 'x-user', string_match: { exact: 'alice' } }] },
      route: { cluster: 'web', prefix_rewrite: '/alice/' },
    },
    {
      match: { prefix: '/' },
      route: { cluster: 'web' },
      metadata: { filter_metadata: { a: { k: 'v', list: [1, { deep: true }] } } },
      ...(says && { typed_per_filter_config: { authz: says } }),
    },
  ];
  return {
    name: `l${i}`,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type': typeUrl('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
              stat_prefix: `s${i}`,
              route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
              access_log: [
                {
                  name: 'file',
                  typed_config: {
                    '@type': typeUrl('envoy.extensions.access_loggers.file.v3.FileAccessLog'),
                    path,
                    log_format: { text_format_source: { inline_string: format } },
                  },
                },
              ],
              http_filters: [
                ...first,
                { name: 'authz', typed_config: { '@type': filterType, transport_api_version: 'V3', ...filter } },
                router,
              ],
            },
          },
        ],
      },
    ],
  };
}

function scriptOf(path: string): number {
  return Number(/[?&]s=(\d+)/.exec(path)?.[1] ?? 0);
}

/** `of`: the id that the client sent with it, in its authority. */
function told(method: string, url: string, raw: readonly string[], text: string) {
  const headers: [string, string][] = [];
  let of = '';
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    if (name === 'host') of = raw[i + 1]!;
    if (!varying.has(name)) headers.push([name, raw[i + 1]!]);
  }
  return { of, method, url, headers: headers.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)), text };
}

async function serve(
  answer: (request: IncomingMessage, text: string, response: import('node:http').ServerResponse) => void,
): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => answer(request, Buffer.concat(chunks).toString('latin1'), response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

async function grpcService(
  seen: Map<string, unknown>,
): Promise<{ readonly server: GrpcServer; readonly port: number }> {
  const [request, response] = ['CheckRequest', 'CheckResponse'].map(
    (name) => envoyMessage(`envoy.service.auth.v3.${name}`)!,
  );
  const server = new GrpcServer();
  const { Authorization } = loadPackageDefinition({
    Authorization: {
      Check: {
        path: '/envoy.service.auth.v3.Authorization/Check',
        requestStream: false,
        responseStream: false,
        requestSerialize: () => Buffer.alloc(0),
        requestDeserialize: (bytes: Buffer) => request!.toObject(request!.decode(bytes), { longs: Number }),
        responseSerialize: (message: object) => Buffer.from(response!.encode(response!.fromObject(message)).finish()),
        responseDeserialize: () => ({}),
      },
    },
  });
  server.addService((Authorization as unknown as { service: never }).service, {
    Check: (call: { request: Json }, done: (error: object | null, answer?: object) => void) => {
      const { http, ...rest } = shown(call.request);
      seen.set(String(http['host']), { http: without(http), ...rest });
      const { grpc } = scripts[scriptOf(String(http['path']))]!;
      if (grpc) done(null, grpc);
      else done({ code: 14, details: 'away' });
    },
  } as never);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (e, bound) => (e ? reject(e) : resolve(bound)));
  });
  return { server, port };
}

/** Of a CheckRequest what does not differ from one to the next. */
function shown(message: Json): { http: Record<string, unknown>; [key: string]: unknown } {
  const attributes = message['attributes'] as Record<string, Record<string, unknown>>;
  const { request, source, destination, ...rest } = attributes;
  const { http, time } = request as { http: Record<string, unknown>; time: { seconds: number } };
  const addresses = [source, destination].map((side) => {
    const { address } = side!['address'] as { address?: Json } & Json;
    return address ?? (side!['address'] as { socket_address: { address: string } }).socket_address.address;
  });
  const { labels: _l, ...from } = source!;
  return { http, rest, addresses, principal: from['principal'], timed: time.seconds > 1_000_000_000 };
}

function without({ id, headers, header_map: raw, host: _, ...http }: Record<string, unknown>): Json {
  const list = raw
    ? (raw as { headers: { key: string; raw_value?: Buffer }[] }).headers.map(({ key, raw_value: v }) => [
        key,
        v?.toString('latin1') ?? '',
      ])
    : Object.entries((headers ?? {}) as Record<string, string>);
  return {
    ...http,
    hasId: id !== '',
    headers: list.filter(([name]) => !varying.has(name!)).sort(([a], [b]) => (a! < b! ? -1 : a! > b! ? 1 : 0)),
  };
}

function send(port: number, { method = 'GET', path, headers = [], body: text }: Sent, id: string) {
  const [, site, k] = id.split('-');
  const raw = ['host', id, 'x-case', `${site}-${k}`, ...headers.flat()];
  if (text !== undefined) raw.push('content-length', String(text.length));
  return new Promise<Json>((resolve, reject) => {
    const asked = ask(
      { host: '127.0.0.1', port, method, path, headers: raw, setHost: false, agent: false },
      (answer) => {
        let got = '';
        answer.setEncoding('latin1');
        answer.on('data', (chunk: string) => {
          got += chunk;
        });
        answer.on('error', reject);
        answer.on('end', () => {
          const echo = answer.headers['x-echo'] as string | undefined;
          const { of: _, ...upstream } = echo === undefined ? { of: '' } : (JSON.parse(echo) as { of: string });
          const all: [string, string][] = [];
          for (let i = 0; i < answer.rawHeaders.length; i += 2) {
            const name = answer.rawHeaders[i]!.toLowerCase();
            if (!varying.has(name) && name !== 'x-echo') all.push([name, answer.rawHeaders[i + 1]!]);
          }
          resolve({
            status: answer.statusCode,
            headers: all.sort(([a], [b]) => (a < b ? -1 : 1)),
            body: got,
            upstream,
          });
        });
      },
    );
    asked.on('error', (e) => resolve({ error: e.message }));
    asked.end(text === undefined ? undefined : Buffer.from(text, 'latin1'));
  });
}
