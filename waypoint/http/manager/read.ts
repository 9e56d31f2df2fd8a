/** Reads an HttpConnectionManager, naming what is not honoured. */
import { type Millis, millis } from '../../../common/core/brand.ts';
import type { Fields } from '../../../common/envoy/fields.ts';
import { statsConfig } from '../../../common/envoy/istio.ts';
import { readHeaderCase, readHttp2 } from '../../cluster/compile/protocol.ts';
import type { ExportEnvironment } from '../../export/environment.ts';
import type { FilterEnvironment } from '../../filters/filter.ts';
import { filterKinds, perFilterTypes } from '../../filters/kinds.ts';
import { readRanges } from '../../listener/chain-match.ts';
import { perFilterReader } from '../../route/per-filter.ts';
import { RouteTable } from '../../route/table.ts';
import { readAccessLogs } from '../../telemetry/access-log.ts';
import { readStatsConfig, type StatsConfig } from '../../telemetry/istio/config.ts';
import { readRequestIds, readTracing, type TracingConfig } from '../../tracing/config.ts';
import type { HttpManagerConfig, ManagerTimeouts, NamedFilter, RouterConfig } from './config.ts';
import { readReplyMappers } from './reply-mappers.ts';
import type { RequestHeaderOptions } from './request-headers.ts';

const statsType = `/${statsConfig}`;
const routerType = '/envoy.extensions.filters.http.router.v3.Router';

/** `operation`: whether the listener is for what leaves a workload, or arrives. */
export function readHttpManager(
  fields: Fields,
  env: FilterEnvironment,
  exports: ExportEnvironment,
  operation: TracingConfig['operation'],
): HttpManagerConfig | undefined {
  fields.harmless('drain_timeout');
  const codec =
    fields.choice('codec_type', 'AUTO', { AUTO: 'AUTO', HTTP1: 'HTTP1', HTTP2: 'HTTP2' } as const) ?? 'AUTO';
  const routes = readRouteSource(fields);
  const { filters, router, meters } = readFilters(fields, env);
  const common = fields.message('common_http_protocol_options');
  const http1 = fields.message('http_protocol_options');
  http1?.harmless('use_balsa_parser');
  if (http1?.wrappedFlag('allow_absolute_url') === false) http1.mistake('allow_absolute_url', 'is always allowed here');
  if (http1?.flag('allow_chunked_length'))
    http1.mistake('allow_chunked_length', 'is refused: it is how requests are smuggled');
  const http2Fields = fields.message('http2_protocol_options');
  const connect = http2Fields?.flag('allow_connect') ?? false;
  const http2 = readHttp2(http2Fields);
  const bytes = (fields.wrapped('max_request_headers_kb', 1, 8_192) ?? 60) * 1_024;
  const requestIds = readRequestIds(fields);
  const count = common?.wrapped('max_headers_count', 1) ?? 100;
  const upgrades = new Map(
    fields
      .list('upgrade_configs')
      .map((upgrade) => [upgrade.text('upgrade_type').toLowerCase(), upgrade.wrappedFlag('enabled') ?? true] as const),
  );
  if (!routes || !router) return undefined;
  return {
    codec,
    statPrefix: fields.text('stat_prefix'),
    routes,
    filters,
    router,
    canonical: {
      normalizePath: fields.wrappedFlag('normalize_path') ?? false,
      mergeSlashes: fields.flag('merge_slashes'),
      escapedSlashes:
        fields.choice('path_with_escaped_slashes_action', 'IMPLEMENTATION_SPECIFIC_DEFAULT', {
          IMPLEMENTATION_SPECIFIC_DEFAULT: 'keep',
          KEEP_UNCHANGED: 'keep',
          REJECT_REQUEST: 'reject',
          UNESCAPE_AND_REDIRECT: 'redirect',
          UNESCAPE_AND_FORWARD: 'forward',
        } as const) ?? 'keep',
      stripPort: fields.flag('strip_any_host_port')
        ? 'any'
        : fields.flag('strip_matching_host_port')
          ? 'matching'
          : 'no',
      stripTrailingDot: fields.flag('strip_trailing_host_dot'),
    },
    requestHeaders: readRequestHeaders(fields),
    serverName: fields.text('server_name') || 'envoy',
    serverHeader:
      fields.choice('server_header_transformation', 'OVERWRITE', {
        OVERWRITE: 'OVERWRITE',
        APPEND_IF_ABSENT: 'APPEND_IF_ABSENT',
        PASS_THROUGH: 'PASS_THROUGH',
      } as const) ?? 'OVERWRITE',
    alwaysRequestIdInResponse: fields.flag('always_set_request_id_in_response'),
    proxy100Continue: fields.flag('proxy_100_continue'),
    upgrades,
    timeouts: readTimeouts(fields, common),
    maxRequestsPerConnection: common?.wrapped('max_requests_per_connection') || undefined,
    http1: {
      bytes,
      count,
      acceptHttp10: http1?.flag('accept_http_10') ?? false,
      trailers: http1?.flag('enable_trailers') ?? false,
      headerCase: readHeaderCase(http1),
    },
    http2: {
      ...http2,
      bytes,
      count,
      connect,
      keepalive: http2.keepalive && http2.keepalive.interval > 0 ? http2.keepalive : undefined,
    },
    tracing: fields.read('tracing', (f) => readTracing(f, requestIds, operation, exports)),
    accessLogs: readAccessLogs(fields, 'access_log', exports),
    replyMappers: readReplyMappers(fields),
    meters,
  };
}

function readRouteSource(fields: Fields): HttpManagerConfig['routes'] | undefined {
  const rds = fields.message('rds');
  if (rds) {
    const name = rds.text('route_config_name');
    const source = rds.message('config_source');
    // How long a start waits; only V3 exists.
    source?.harmless('initial_fetch_timeout', 'resource_api_version');
    if (!source?.message('ads')) rds.mistake('config_source', 'is not ads');
    if (name === '') rds.mistake('route_config_name', 'is empty');
    return { kind: 'rds', name };
  }
  if (!fields.has('route_config')) {
    fields.mistake('route_specifier', 'is neither rds nor route_config');
    return undefined;
  }
  const table = fields.read('route_config', (f) => new RouteTable(f, perFilterReader(perFilterTypes)));
  return table && { kind: 'inline', table };
}

function readFilters(fields: Fields, env: FilterEnvironment) {
  const filters: NamedFilter[] = [];
  const meters: StatsConfig[] = [];
  let router: RouterConfig | undefined;
  const list = fields.list('http_filters');
  list.forEach((filter, i) => {
    const name = filter.text('name');
    const config = filter.message('typed_config');
    const optional = filter.flag('is_optional');
    const disabled = filter.flag('disabled');
    if (!config) {
      filter.mistake('typed_config', 'is missing');
      return;
    }
    if (config.type.endsWith(routerType)) {
      if (disabled) filter.mistake('disabled', 'the router cannot be disabled');
      if (i !== list.length - 1) filter.mistake('typed_config', 'the router must be the last filter');
      router = readRouter(config);
      return;
    }
    if (config.type.endsWith(statsType)) {
      if (disabled) filter.mistake('disabled', 'metrics cannot be disabled by routes');
      meters.push(readStatsConfig(config));
      return;
    }
    const kind = filterKinds.get(config.type);
    if (kind) filters.push({ name, filter: kind.read(config, env), disabled });
    else if (!optional) filter.mistake('typed_config', `HTTP filter ${name} of type ${config.type} is not supported`);
    else config.skip();
  });
  if (!router) fields.mistake('http_filters', 'the last must be envoy.filters.http.router');
  return { filters, router, meters };
}

function readRouter(config: Fields): RouterConfig {
  config.harmless('dynamic_stats', 'start_child_span');
  return { suppressEnvoyHeaders: config.flag('suppress_envoy_headers') };
}

function readRequestHeaders(fields: Fields): RequestHeaderOptions {
  const details = fields.message('set_current_client_cert_details');
  const internal = fields.message('internal_address_config');
  if (internal?.flag('unix_sockets')) internal.mistake('unix_sockets', 'are not supported');
  return {
    useRemoteAddress: fields.wrappedFlag('use_remote_address') ?? false,
    trustedHops: fields.number('xff_num_trusted_hops'),
    skipXffAppend: fields.flag('skip_xff_append'),
    appendXForwardedPort: fields.flag('append_x_forwarded_port'),
    generateRequestId: fields.wrappedFlag('generate_request_id') ?? true,
    preserveRequestId: fields.flag('preserve_external_request_id'),
    clientCert:
      fields.choice('forward_client_cert_details', 'SANITIZE', {
        SANITIZE: 'SANITIZE',
        FORWARD_ONLY: 'FORWARD_ONLY',
        APPEND_FORWARD: 'APPEND_FORWARD',
        SANITIZE_SET: 'SANITIZE_SET',
        ALWAYS_FORWARD_ONLY: 'ALWAYS_FORWARD_ONLY',
      } as const) ?? 'SANITIZE',
    clientCertDetails: {
      subject: details?.wrappedFlag('subject') ?? false,
      dns: details?.flag('dns') ?? false,
      uri: details?.flag('uri') ?? false,
    },
    via: fields.text('via'),
    internalRanges: internal ? readRanges(internal, 'cidr_ranges') : [],
  };
}

const hour = millis(3_600_000);

function readTimeouts(fields: Fields, common: Fields | undefined): ManagerTimeouts {
  const or = (value: Millis | undefined, absent: Millis | undefined) =>
    value === undefined ? absent : value === 0 ? undefined : value;
  if (common) common.choice('headers_with_underscores_action', 'ALLOW', { ALLOW: true });
  return {
    streamIdle: or(fields.duration('stream_idle_timeout'), millis(300_000)),
    request: or(fields.duration('request_timeout'), undefined),
    requestHeaders: or(fields.duration('request_headers_timeout'), undefined),
    idle: or(common?.duration('idle_timeout'), hour),
    maxConnection: or(common?.duration('max_connection_duration'), undefined),
    maxStream: or(common?.duration('max_stream_duration'), undefined),
    delayedClose: or(fields.duration('delayed_close_timeout'), millis(1_000)),
  };
}
