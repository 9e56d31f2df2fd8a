/**
 * Envoy's messages by name, from the .proto files that `@grpc/grpc-js-xds` ships. Reading them takes some 0.2 s and 40 MB, so it
 * happens when the first message is asked for: an istiod without waypoints never pays.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import protobuf from 'protobufjs';
import { istioProto } from './istio.ts';
import { otlpFile, otlpProto } from './otlp.ts';
import { scriptProto } from './script.ts';

const require = createRequire(import.meta.url);

/** Files that define what istiod generates or a waypoint reads; what they import comes along. */
const files = [
  'envoy/config/bootstrap/v3/bootstrap.proto',
  'envoy/config/cluster/v3/cluster.proto',
  'envoy/config/endpoint/v3/endpoint.proto',
  'envoy/config/listener/v3/listener.proto',
  'envoy/config/route/v3/route.proto',
  'envoy/config/trace/v3/opentelemetry.proto',
  'envoy/config/trace/v3/zipkin.proto',
  'envoy/extensions/access_loggers/file/v3/file.proto',
  'envoy/extensions/access_loggers/filters/cel/v3/cel.proto',
  'envoy/extensions/access_loggers/stream/v3/stream.proto',
  'envoy/extensions/access_loggers/grpc/v3/als.proto',
  'envoy/extensions/access_loggers/open_telemetry/v3/logs_service.proto',
  'envoy/extensions/bootstrap/internal_listener/v3/internal_listener.proto',
  'envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.proto',
  'envoy/extensions/compression/brotli/compressor/v3/brotli.proto',
  'envoy/extensions/compression/brotli/decompressor/v3/brotli.proto',
  'envoy/extensions/compression/gzip/compressor/v3/gzip.proto',
  'envoy/extensions/compression/gzip/decompressor/v3/gzip.proto',
  'envoy/extensions/compression/zstd/compressor/v3/zstd.proto',
  'envoy/extensions/compression/zstd/decompressor/v3/zstd.proto',
  'envoy/extensions/filters/http/compressor/v3/compressor.proto',
  'envoy/extensions/filters/http/cors/v3/cors.proto',
  'envoy/extensions/filters/http/decompressor/v3/decompressor.proto',
  'envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy.proto',
  'envoy/extensions/filters/http/ext_authz/v3/ext_authz.proto',
  'envoy/extensions/filters/http/ext_proc/v3/ext_proc.proto',
  'envoy/extensions/filters/http/fault/v3/fault.proto',
  'envoy/extensions/filters/http/grpc_json_transcoder/v3/transcoder.proto',
  'envoy/extensions/filters/http/grpc_stats/v3/config.proto',
  'envoy/extensions/filters/http/grpc_web/v3/grpc_web.proto',
  'envoy/extensions/filters/http/header_mutation/v3/header_mutation.proto',
  'envoy/extensions/filters/http/jwt_authn/v3/config.proto',
  'envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto',
  'envoy/extensions/filters/http/ratelimit/v3/rate_limit.proto',
  'envoy/extensions/filters/http/rbac/v3/rbac.proto',
  'envoy/extensions/filters/http/router/v3/router.proto',
  'envoy/extensions/filters/http/set_filter_state/v3/set_filter_state.proto',
  'envoy/extensions/filters/http/stateful_session/v3/stateful_session.proto',
  'envoy/extensions/filters/http/upstream_codec/v3/upstream_codec.proto',
  'envoy/extensions/filters/listener/http_inspector/v3/http_inspector.proto',
  'envoy/extensions/filters/listener/original_dst/v3/original_dst.proto',
  'envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.proto',
  'envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto',
  'envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
  'envoy/extensions/filters/network/rbac/v3/rbac.proto',
  'envoy/extensions/filters/network/set_filter_state/v3/set_filter_state.proto',
  'envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy.proto',
  'envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto',
  'envoy/extensions/formatter/req_without_query/v3/req_without_query.proto',
  'envoy/extensions/http/stateful_session/cookie/v3/cookie.proto',
  'envoy/extensions/http/stateful_session/header/v3/header.proto',
  'envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3/client_side_weighted_round_robin.proto',
  'envoy/extensions/load_balancing_policies/cluster_provided/v3/cluster_provided.proto',
  'envoy/extensions/load_balancing_policies/least_request/v3/least_request.proto',
  'envoy/extensions/load_balancing_policies/maglev/v3/maglev.proto',
  'envoy/extensions/load_balancing_policies/random/v3/random.proto',
  'envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.proto',
  'envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.proto',
  'envoy/extensions/load_balancing_policies/subset/v3/subset.proto',
  'envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality.proto',
  'envoy/extensions/matching/common_inputs/network/v3/network_inputs.proto',
  'envoy/extensions/matching/input_matchers/ip/v3/ip.proto',
  'envoy/extensions/path/match/uri_template/v3/uri_template_match.proto',
  'envoy/extensions/request_id/uuid/v3/uuid.proto',
  'envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto',
  'envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.proto',
  'envoy/extensions/path/match/uri_template/v3/uri_template_match.proto',
  'envoy/extensions/path/rewrite/uri_template/v3/uri_template_rewrite.proto',
  'envoy/extensions/tracers/opentelemetry/resource_detectors/v3/environment_resource_detector.proto',
  'envoy/extensions/transport_sockets/internal_upstream/v3/internal_upstream.proto',
  'envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.proto',
  'envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.proto',
  'envoy/extensions/transport_sockets/tls/v3/tls.proto',
  'envoy/extensions/upstreams/http/v3/http_protocol_options.proto',
  'envoy/service/accesslog/v3/als.proto',
  'envoy/service/auth/v3/external_auth.proto',
  'envoy/service/discovery/v3/discovery.proto',
  'envoy/service/ext_proc/v3/external_processor.proto',
  'envoy/service/ratelimit/v3/rls.proto',
  'envoy/service/status/v3/csds.proto',
  'envoy/type/matcher/v3/filter_state.proto',
  'xds/type/matcher/v3/ip.proto',
  'xds/type/v3/typed_struct.proto',
];

/** Fields of Envoy 1.40 that the package's copy of its API does not have yet; numbers from the descriptors within its binary. */
const newer = [
  {
    message: 'envoy.config.route.v3.RouteMatch',
    field: 'filter_state',
    number: 16,
    type: 'envoy.type.matcher.v3.FilterStateMatcher',
    rule: 'repeated',
  },
  {
    message: 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit',
    field: 'rate_limits',
    number: 17,
    type: 'envoy.config.route.v3.RateLimit',
    rule: 'repeated',
  },
  {
    message: 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit',
    field: 'max_dynamic_descriptors',
    number: 18,
    type: 'google.protobuf.UInt32Value',
    rule: 'optional',
  },
  {
    message: 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit',
    field: 'enable_retry_after_header',
    number: 19,
    type: 'bool',
    rule: 'optional',
  },
  {
    message: 'envoy.config.trace.v3.OpenTelemetryConfig',
    field: 'max_cache_size',
    number: 6,
    type: 'google.protobuf.UInt32Value',
    rule: undefined,
  },
  {
    message: 'envoy.config.trace.v3.ZipkinConfig',
    field: 'trace_context_option',
    number: 8,
    type: 'TraceContextOption',
    rule: undefined,
  },
  {
    message: 'envoy.config.trace.v3.ZipkinConfig',
    field: 'collector_service',
    number: 9,
    type: 'envoy.config.core.v3.HttpService',
    rule: undefined,
  },
  {
    message: 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing',
    field: 'no_context_propagation',
    number: 13,
    type: 'bool',
    rule: undefined,
  },
  {
    message: 'envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor',
    field: 'http_service',
    number: 20,
    type: 'envoy.extensions.filters.http.ext_proc.v3.ExtProcHttpService',
    rule: undefined,
  },
  {
    message: 'envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor',
    field: 'send_body_without_waiting_for_header_response',
    number: 21,
    type: 'bool',
    rule: undefined,
  },
  {
    message: 'envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor',
    field: 'allowed_override_modes',
    number: 22,
    type: 'envoy.extensions.filters.http.ext_proc.v3.ProcessingMode',
    rule: 'repeated',
  },
  {
    message: 'envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor',
    field: 'on_processing_response',
    number: 23,
    type: 'envoy.config.core.v3.TypedExtensionConfig',
    rule: undefined,
  },
  {
    message: 'envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor',
    field: 'status_on_error',
    number: 24,
    type: 'envoy.type.v3.HttpStatus',
    rule: undefined,
  },
  {
    message: 'envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor',
    field: 'processing_request_modifier',
    number: 25,
    type: 'envoy.config.core.v3.TypedExtensionConfig',
    rule: undefined,
  },
  {
    message: 'envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor',
    field: 'allow_content_length_header',
    number: 26,
    type: 'bool',
    rule: undefined,
  },
  {
    message: 'envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor',
    field: 'emit_client_span',
    number: 27,
    type: 'google.protobuf.BoolValue',
    rule: undefined,
  },
  {
    message: 'envoy.extensions.filters.http.ext_proc.v3.MetadataOptions',
    field: 'cluster_metadata_forwarding_namespaces',
    number: 3,
    type: 'envoy.extensions.filters.http.ext_proc.v3.MetadataOptions.MetadataNamespaces',
    rule: undefined,
  },
  {
    message: 'envoy.extensions.filters.http.ext_proc.v3.ExtProcOverrides',
    field: 'failure_mode_allow',
    number: 8,
    type: 'google.protobuf.BoolValue',
    rule: undefined,
  },
  {
    message: 'envoy.extensions.filters.http.ext_proc.v3.ExtProcOverrides',
    field: 'processing_request_modifier',
    number: 9,
    type: 'envoy.config.core.v3.TypedExtensionConfig',
    rule: undefined,
  },
  {
    message: 'envoy.extensions.filters.http.ext_proc.v3.ExtProcOverrides',
    field: 'emit_client_span',
    number: 10,
    type: 'google.protobuf.BoolValue',
    rule: undefined,
  },
  {
    message: 'envoy.service.ext_proc.v3.ProcessingRequest',
    field: 'protocol_config',
    number: 11,
    type: 'envoy.service.ext_proc.v3.ProtocolConfiguration',
    rule: undefined,
  },
  {
    message: 'envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder.PrintOptions',
    field: 'stream_sse_style_delimited',
    number: 6,
    type: 'bool',
    rule: undefined,
  },
  { message: 'envoy.type.tracing.v3.CustomTag', field: 'value', number: 6, type: 'string', rule: undefined },
] as const;

let loaded: protobuf.Root | undefined;

/** All messages; read on first use. */
export function envoyProtos(): protobuf.Root {
  loaded ??= load();
  return loaded;
}

/** undefined: no such message. `name` is full, without a leading dot: `envoy.config.listener.v3.Listener`. */
export function envoyMessage(name: string): protobuf.Type | undefined {
  const found = envoyProtos().lookup(`.${name}`, [protobuf.Type]);
  return found instanceof protobuf.Type ? found : undefined;
}

function load(): protobuf.Root {
  shareGoogles();
  const folder = join(dirname(require.resolve('@grpc/grpc-js-xds/package.json')), 'deps');
  const folders = ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(folder, name));
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => {
    const there = folders.map((f) => join(f, target)).find((path) => existsSync(path));
    if (there) return there;
    if (target === otlpFile) return null;
    // Google's own, which protobufjs knows by name.
    if (target in protobuf.common) return target;
    throw new Error(`${target} is in none of ${folders.join(', ')}`);
  };
  protobuf.parse(istioProto, root, { keepCase: true });
  protobuf.parse(otlpProto, root, { keepCase: true });
  protobuf.parse(scriptProto, root, { keepCase: true });
  root.loadSync(files, { keepCase: true });
  root
    .lookupType('envoy.config.trace.v3.ZipkinConfig')
    .add(new protobuf.Enum('TraceContextOption', { USE_B3: 0, USE_B3_WITH_W3C_PROPAGATION: 1 }));
  addExtProc(root);
  for (const { message, field, number, type, rule } of newer) {
    root.lookupType(message).add(new protobuf.Field(field, number, type, rule));
  }
  root.resolveAll();
  return root;
}

/** Messages and values of ext_proc in Envoy 1.40 that the package's copy does not have yet. */
function addExtProc(root: protobuf.Root): void {
  const [config, service] = [root.lookup('envoy.extensions.filters.http.ext_proc.v3'), root.lookup(processor)];
  const message = (name: string, fields: readonly (readonly [name: string, type: string])[]) => {
    const made = new protobuf.Type(name);
    for (const [i, [field, type]] of fields.entries()) made.add(new protobuf.Field(field, i + 1, type));
    return made;
  };
  const mode = 'envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode';
  (config as protobuf.Namespace).add(
    message('ExtProcHttpService', [['http_service', 'envoy.config.core.v3.HttpService']]),
  );
  (service as protobuf.Namespace).add(
    message('ProtocolConfiguration', [
      ['request_body_mode', mode],
      ['response_body_mode', mode],
      ['send_body_without_waiting_for_header_response', 'bool'],
    ]),
  );
  const modes = root.lookupEnum(mode);
  modes.add('FULL_DUPLEX_STREAMED', 4);
  modes.add('GRPC', 5);
}

const processor = 'envoy.service.ext_proc.v3';

/** protobufjs ships these apart from the ones it always has. */
function shareGoogles(): void {
  for (const name of ['descriptor', 'api', 'source_context', 'type']) {
    const file = `google/protobuf/${name}`;
    protobuf.common(`${file}.proto`, require(`protobufjs/${file}.json`));
  }
}
