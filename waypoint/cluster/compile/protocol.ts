/** envoy.extensions.upstreams.http.v3.HttpProtocolOptions, and the cluster's older fields that say the same. */
import { millis } from '../../../common/core/brand.ts';
import { Fields } from '../../../common/envoy/fields.ts';
import type { Http1Options, Http2Options, UpstreamProtocol } from '../config.ts';

const key = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

export function readProtocol(cluster: Fields): UpstreamProtocol {
  let options: Fields | undefined;
  for (const [name, value] of cluster.map('typed_extension_protocol_options')) {
    if (name === key && value.type.endsWith(`/${key}`)) options = value;
    else cluster.mistake('typed_extension_protocol_options', `${name} is not supported`);
  }
  return options ? readOptions(options) : readOlder(cluster);
}

function readOptions(options: Fields): UpstreamProtocol {
  const common = options.message('common_http_protocol_options');
  const upstream = options.message('upstream_http_protocol_options');
  const explicit = options.message('explicit_http_config');
  const downstream = options.message('use_downstream_protocol_config');
  const auto = options.message('auto_config');
  checkFilters(options);
  const shared = { ...readCommon(common), ...readNames(upstream) };
  const both = (fields: Fields) => ({
    http1: readHttp1(fields.message('http_protocol_options')),
    http2: readHttp2(fields.message('http2_protocol_options')),
  });
  if (explicit) {
    const second = explicit.has('http2_protocol_options');
    return { use: { kind: second ? 'http2' : 'http1' }, ...both(explicit), ...shared };
  }
  if (downstream) return { use: { kind: 'downstream' }, ...both(downstream), ...shared };
  if (auto) return { use: { kind: 'auto' }, ...both(auto), ...shared };
  options.mistake('upstream_protocol_options', 'is missing');
  return { use: { kind: 'http1' }, ...both(new Fields({}, '')), ...shared };
}

/** Only upstream_codec, which stands for what is there anyway. */
function checkFilters(options: Fields): void {
  for (const filter of options.list('http_filters')) {
    const config = filter.message('typed_config');
    filter.harmless('is_optional');
    const name = filter.text('name');
    if (!config?.type.endsWith('.upstream_codec.v3.UpstreamCodec')) {
      filter.mistake('typed_config', `upstream HTTP filter ${name} is not supported`);
    }
  }
}

function readOlder(cluster: Fields): UpstreamProtocol {
  const http2 = cluster.message('http2_protocol_options');
  const useDownstream = cluster.choice('protocol_selection', 'USE_CONFIGURED_PROTOCOL', {
    USE_CONFIGURED_PROTOCOL: false,
    USE_DOWNSTREAM_PROTOCOL: true,
  });
  const common = readCommon(cluster.message('common_http_protocol_options'));
  const older = cluster.wrapped('max_requests_per_connection');
  return {
    use: { kind: useDownstream ? 'downstream' : http2 ? 'http2' : 'http1' },
    http1: readHttp1(cluster.message('http_protocol_options')),
    http2: readHttp2(http2),
    ...common,
    maxRequests: common.maxRequests ?? (older || undefined),
    ...readNames(cluster.message('upstream_http_protocol_options')),
  };
}

function readCommon(common: Fields | undefined) {
  const idle = common?.duration('idle_timeout');
  if (common) {
    common.choice('headers_with_underscores_action', 'ALLOW', { ALLOW: true });
  }
  return {
    idle: idle === undefined ? millis(3_600_000) : idle === 0 ? undefined : idle,
    maxAge: common?.duration('max_connection_duration') || undefined,
    maxRequests: common?.wrapped('max_requests_per_connection') || undefined,
    maxStream: common?.duration('max_stream_duration') || undefined,
    maxHeaders: common?.wrapped('max_headers_count', 1) ?? 100,
    maxHeaderBytes: (common?.wrapped('max_response_headers_kb', 1, 8_192) ?? 60) * 1_024,
  };
}

function readNames(upstream: Fields | undefined) {
  const header = upstream?.text('override_auto_sni_header') || ':authority';
  return {
    autoSni: upstream?.flag('auto_sni') ? { header: header.toLowerCase() } : undefined,
    autoSanValidation: upstream?.flag('auto_san_validation') ?? false,
  };
}

export function readHttp1(fields: Fields | undefined): Http1Options {
  fields?.harmless('use_balsa_parser');
  return {
    headerCase: readHeaderCase(fields),
    trailers: fields?.flag('enable_trailers') ?? false,
  };
}

/** Of Http1ProtocolOptions. */
export function readHeaderCase(fields: Fields | undefined): 'lower' | 'proper' {
  return fields?.message('header_key_format')?.message('proper_case_words') ? 'proper' : 'lower';
}

export function readHttp2(fields: Fields | undefined): Http2Options {
  fields?.harmless('use_oghttp2_codec', 'allow_connect');
  const ping = fields?.message('connection_keepalive');
  ping?.harmless('interval_jitter');
  const interval = ping?.duration('interval', 1);
  return {
    streams: fields?.wrapped('max_concurrent_streams', 1, 2_147_483_647) ?? 1_024,
    streamWindow: fields?.wrapped('initial_stream_window_size', 65_535, 2_147_483_647) ?? 16 * 1_048_576,
    connectionWindow: fields?.wrapped('initial_connection_window_size', 65_535, 2_147_483_647) ?? 24 * 1_048_576,
    headerTable: fields?.wrapped('hpack_table_size') ?? 4_096,
    keepalive: ping && {
      interval: interval ?? millis(0),
      timeout: ping.duration('timeout', 1) ?? millis(10_000),
    },
  };
}
