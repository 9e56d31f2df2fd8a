/** Access logs that go to collectors, by OTLP and to access log services: what a receiver gets of Envoy and of ours. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Agent } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { envoyProtos } from '../../common/envoy/protos.ts';
import { until } from '../../common/testing/until.ts';
import { receivedRecords } from '../../waypoint/testing/otlp.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { Collector } from './collector.ts';
import { type EngineSite, Engines, named } from './engines.ts';

type Json = Readonly<Record<string, unknown>>;

const http2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': typeUrl('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
    explicit_http_config: { http2_protocol_options: {} },
  },
};
const common = (log_name: string, more: Json = {}) => ({
  common_config: {
    log_name,
    grpc_service: { envoy_grpc: { cluster_name: 'collector', authority: 'collector.test' } },
    transport_api_version: 'V3',
    buffer_flush_interval: '0.1s',
    ...more,
  },
});
const tags = {
  custom_tags: [
    { tag: 'of-literal', literal: { value: 'x' } },
    { tag: 'of-header', request_header: { name: 'x-tag', default_value: 'none' } },
    { tag: 'of-nothing', request_header: { name: 'x-no-tag' } },
  ],
};
const text = (string_value: string) => ({ string_value });
const pair = (key: string, value: Json) => ({ key, value });
const otlp = (config: Json) =>
  named(
    'envoy.access_loggers.open_telemetry',
    'envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig',
    config,
  );
const als = (kind: 'Http' | 'Tcp', config: Json) =>
  named('als', `envoy.extensions.access_loggers.grpc.v3.${kind}GrpcAccessLogConfig`, config);
const onlyErrors = {
  and_filter: {
    filters: [
      {
        status_code_filter: {
          comparison: { op: 'GE', value: { default_value: 400, runtime_key: 'none' } },
        },
      },
      { duration_filter: { comparison: { op: 'LE', value: { default_value: 60_000, runtime_key: 'none' } } } },
    ],
  },
};
const id = '%REQ(x-request-id)%';
const loggers: Readonly<Record<string, Json>> = {
  'otlp-bare': otlp({ ...common('bare'), attributes: { values: [pair('id', text(id))] } }),
  'otlp-whole': otlp({
    ...common('whole'),
    disable_builtin_labels: true,
    resource_attributes: { values: [pair('mesh', text('one')), pair('number', { int_value: 7 })] },
    body: text('%REQ(:METHOD)% %RESPONSE_CODE% %REQ(x-none)% %PROTOCOL%'),
    attributes: {
      values: [
        pair('id', text(id)),
        pair('list', { array_value: { values: [text('%PROTOCOL%'), text('fixed')] } }),
        pair('inner', { kvlist_value: { values: [pair('route', text('%ROUTE_NAME%'))] } }),
      ],
    },
  }),
  'otlp-tree': otlp({
    ...common('tree'),
    resource_attributes: { values: [pair('log_name', text('other'))] },
    body: { kvlist_value: { values: [pair('id', text(id)), pair('code', text('%RESPONSE_CODE%'))] } },
    attributes: { values: [pair('id', text(id))] },
  }),
  'otlp-errors': {
    ...otlp({ ...common('errors'), attributes: { values: [pair('id', text(id))] } }),
    filter: onlyErrors,
  },
  'als-http': als('Http', {
    ...common('http', tags),
    additional_request_headers_to_log: ['x-tag', ':path', 'x-none'],
    additional_response_headers_to_log: ['X-Told', ':status'],
    additional_response_trailers_to_log: ['x-trailer'],
  }),
  'als-tcp': als('Tcp', common('tcp')),
};

describe('access logs for collectors, of Envoy and of ours', { skip: skipWithoutEnvoy() }, () => {
  let collector: Collector;
  let engines: Engines;
  // Who wants the connection closed gets one header more from Envoy.
  const agent = new Agent({ keepAlive: true });
  before(async () => {
    collector = await Collector.start();
    const sites: readonly EngineSite[] = [
      {
        name: 'collector',
        cluster: {
          load_assignment: {
            cluster_name: 'collector',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: at(collector.grpcPort) } }] }],
          },
          typed_extension_protocol_options: http2,
        },
      },
      ...Object.entries(loggers).map(([name, log]): EngineSite => {
        const routes = [
          { name: 'local', match: { path: '/local' }, direct_response: { status: 418 } },
          { name: 'the-route', match: { prefix: '/' }, route: { cluster: name } },
        ];
        return { name, routes, manager: { access_log: [log], stat_prefix: name } };
      }),
    ];
    engines = await Engines.start(() => sites, { node: { id: 'the-node', cluster: 'the-cluster' } });
  });
  after(async () => {
    agent.destroy();
    await engines?.[Symbol.asyncDispose]();
    await collector?.[Symbol.asyncDispose]();
  });

  const asked: readonly (readonly [path: string, options: Json])[] = [
    ['/200?a=b', {}],
    [
      '/404;x-told=yes',
      { headers: { 'x-tag': 'mine', 'user-agent': 'me', referer: 'there', 'x-forwarded-for': '192.0.2.1' } },
    ],
    ['/503', { method: 'POST' }],
    ['/local', { method: 'DELETE' }],
  ];
  for (const name of Object.keys(loggers)) {
    for (const [path, options] of asked) {
      it(`are told alike: ${name} ${path}`, async () => {
        const own = randomUUID();
        await engines.ask(name, path, {
          ...options,
          agent,
          headers: { host: 'web.test', 'x-request-id': own, ...(options['headers'] as object) },
        });
        const entries = () => (name.startsWith('otlp') ? records(collector) : entriesOf(collector));
        const mine = () => entries().filter((entry) => JSON.stringify(entry).includes(own.slice(0, 8)));
        if (name === 'otlp-errors' && path.startsWith('/200')) {
          // Of a later one both tell, so of this one neither did.
          await engines.ask(name, '/500', { headers: { 'x-request-id': 'later' } });
          await until('both tell of the later one', () =>
            records(collector).filter((entry) => JSON.stringify(entry).includes('later')).length >= 2
              ? true
              : undefined,
          );
          assert.deepEqual(mine(), []);
          return;
        }
        await until('both entries', () => (mine().length >= 2 ? true : undefined), 10_000);
        const [ours, theirs] = ['ours', 'envoy'].map((of) => mine().find((entry) => entry.of === of)?.told);
        assert.deepEqual(ours, theirs);
      });
    }
  }

  it('are counted by names of Envoy', async () => {
    const [envoy, ours] = await engines.stats(/^access_logs\..*logs_(written|dropped)$/);
    assert.deepEqual([...ours.keys()].sort(), [...envoy.keys()].sort());
    const written = 'access_logs.open_telemetry_access_log.logs_written';
    assert.ok(envoy.get(written)! > 0);
    assert.equal(ours.get(written), envoy.get(written));
    // Envoy does not count entries of connections.
    assert.equal(ours.get('access_logs.grpc_access_log.logs_written'), 2 * asked.length);
  });
});

function at(port: number): Json {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

interface Entry {
  readonly of: 'ours' | 'envoy';
  readonly told: unknown;
}

/** Whose it is: ours alone bound the time of each call. */
function whose(headers: { readonly [name: string]: unknown }): Entry['of'] {
  return headers['grpc-timeout'] === undefined ? 'envoy' : 'ours';
}

function records({ received }: Collector): readonly Entry[] {
  return received
    .filter(({ path }) => path === '/opentelemetry.proto.collector.logs.v1.LogsService/Export')
    .flatMap(({ bodies, headers }) =>
      bodies.flatMap(receivedRecords).map(({ time, resource, ...rest }) => {
        assert.ok(time > 1_700_000_000_000_000_000n);
        const of = whose(headers);
        // Who each is.
        const { node_name: _, cluster_name: __, ...same } = resource;
        return { of, told: { ...rest, resource: same, names: Object.keys(resource) } };
      }),
    );
}

interface AlsEntry {
  readonly common_properties: Json;
  readonly request?: Json;
}

function entriesOf({ received }: Collector): readonly Entry[] {
  const type = envoyProtos().lookupType('envoy.service.accesslog.v3.StreamAccessLogsMessage');
  return received
    .filter(({ path }) => path === '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs')
    .flatMap(({ bodies, headers }) =>
      bodies.flatMap((body) => {
        const message = type.toObject(type.decode(body), { longs: Number, enums: String }) as Json & {
          readonly http_logs?: { readonly log_entry: readonly AlsEntry[] };
          readonly tcp_logs?: { readonly log_entry: readonly AlsEntry[] };
        };
        const of = whose(headers);
        const entries = message.http_logs?.log_entry ?? message.tcp_logs?.log_entry ?? [];
        return entries.map((entry) => ({ of, told: { kind: Object.keys(message).at(-1), ...leveled(entry) } }));
      }),
    );
}

/** Without what is of one request alone: times, ports, ids. */
function leveled(entry: AlsEntry): Json {
  const level = (value: unknown, key = ''): unknown => {
    if (typeof value !== 'object' || value === null) return key === 'port_value' ? 'port' : value;
    if (/(time|duration)/.test(key)) return 'time';
    if (Array.isArray(value)) return value.map((item) => level(item));
    const told = Object.entries(value).filter(([name]) => !/_bytes_(sent|received)$/.test(name));
    return Object.fromEntries(told.map(([name, inner]) => [name, level(inner, name)]));
  };
  return level(entry) as Json;
}
