/** envoy.config.core.v3.HealthCheck. */
import { type Millis, millis } from '../../../common/core/brand.ts';
import type { Fields } from '../../../common/envoy/fields.ts';
import type { HealthCheck, HealthProbe } from '../config.ts';

export function readHealthChecks(cluster: Fields): readonly HealthCheck[] {
  return cluster.list('health_checks').flatMap((fields) => readHealthCheck(fields) ?? []);
}

function readHealthCheck(fields: Fields): HealthCheck | undefined {
  // Logs of events: nothing here writes them, and no decision hangs on them.
  fields.harmless('always_log_health_check_failures', 'always_log_health_check_success', 'reuse_connection');
  const check = readProbe(fields);
  const interval = required(fields, 'interval');
  const timeout = required(fields, 'timeout');
  const unhealthyThreshold = fields.wrapped('unhealthy_threshold');
  const healthyThreshold = fields.wrapped('healthy_threshold');
  if (unhealthyThreshold === undefined) fields.mistake('unhealthy_threshold', 'is missing');
  if (healthyThreshold === undefined) fields.mistake('healthy_threshold', 'is missing');
  if (!check) return undefined;
  const noTraffic = fields.duration('no_traffic_interval', 0.001) ?? millis(60_000);
  const unhealthy = fields.duration('unhealthy_interval', 0.001) ?? interval;
  return {
    check,
    timeout,
    interval,
    initialJitter: fields.duration('initial_jitter') ?? millis(0),
    intervalJitter: fields.duration('interval_jitter') ?? millis(0),
    intervalJitterPercent: fields.number('interval_jitter_percent'),
    noTrafficInterval: noTraffic,
    noTrafficHealthyInterval: fields.duration('no_traffic_healthy_interval', 0.001) ?? noTraffic,
    unhealthyInterval: unhealthy,
    unhealthyEdgeInterval: fields.duration('unhealthy_edge_interval', 0.001) ?? unhealthy,
    healthyEdgeInterval: fields.duration('healthy_edge_interval', 0.001) ?? interval,
    unhealthyThreshold: unhealthyThreshold ?? 1,
    healthyThreshold: healthyThreshold ?? 1,
    altPort: fields.wrapped('alt_port', 0, 65_535),
    alpn: fields.message('tls_options')?.texts('alpn_protocols') ?? [],
  };
}

function required(fields: Fields, name: string): Millis {
  const value = fields.duration(name, 0.001);
  if (value === undefined) fields.mistake(name, 'is missing');
  return value ?? millis(1_000);
}

function readProbe(fields: Fields): HealthProbe | undefined {
  const http = fields.message('http_health_check');
  if (http) return readHttp(http);
  const tcp = fields.message('tcp_health_check');
  if (tcp) {
    const send = tcp.message('send');
    return {
      kind: 'tcp',
      send: send ? readPayload(send) : Buffer.alloc(0),
      receive: tcp.list('receive').map(readPayload),
    };
  }
  const grpc = fields.message('grpc_health_check');
  if (grpc) return { kind: 'grpc', service: grpc.text('service_name'), authority: grpc.text('authority') || undefined };
  fields.mistake('health_checker', 'none of http_health_check, tcp_health_check and grpc_health_check is given');
  return undefined;
}

function readHttp(http: Fields): HealthProbe {
  const path = http.text('path');
  if (path === '') http.mistake('path', 'is empty');
  const ranges = (name: string) =>
    http.list(name).map((range) => [range.number('start'), range.number('end')] as const);
  const expected = ranges('expected_statuses');
  return {
    kind: 'http',
    protocol: http.choice('codec_client_type', 'HTTP1', { HTTP1: 'http1', HTTP2: 'http2' } as const) ?? 'http1',
    method: http.choice('method', 'METHOD_UNSPECIFIED', methods) ?? 'GET',
    host: http.text('host') || undefined,
    path,
    addHeaders: http.list('request_headers_to_add').map((option) => {
      const header = option.message('header');
      const action = option.choice('append_action', 'APPEND_IF_EXISTS_OR_ADD', {
        APPEND_IF_EXISTS_OR_ADD: true,
        OVERWRITE_IF_EXISTS_OR_ADD: false,
      });
      return {
        name: (header?.text('key') ?? '').toLowerCase(),
        value: header?.text('value') ?? '',
        append: option.wrappedFlag('append') ?? action ?? true,
      };
    }),
    removeHeaders: http.texts('request_headers_to_remove').map((name) => name.toLowerCase()),
    expected: expected.length > 0 ? expected : [[200, 201]],
    retriable: ranges('retriable_statuses'),
  };
}

const methods: Readonly<Record<string, string>> = {
  METHOD_UNSPECIFIED: 'GET',
  ...Object.fromEntries(
    ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH'].map((name) => [name, name]),
  ),
};

/** `text` is hexadecimal. */
function readPayload(payload: Fields): Buffer {
  if (payload.has('binary')) return payload.bytes('binary');
  const text = payload.text('text');
  if (!/^([0-9a-fA-F]{2})*$/.test(text)) payload.mistake('text', `${text} is not hexadecimal`);
  return Buffer.from(text, 'hex');
}
