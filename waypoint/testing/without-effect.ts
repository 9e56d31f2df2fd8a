/**
 * Fields that the waypoint takes and that change nothing in it, each with the reason. Whatever else is not honoured is refused by name:
 * waypoint/fields.test.ts holds this table against the readers, both ways.
 */
type Reasons = Readonly<Record<string, string>>;

const name = 'a name; the type of the configuration decides';
const runtime = 'there is no runtime layer that could change the value';
const statistics = 'a statistic that is not kept';
const statisticsName = 'a name in statistics';
const told = 'said about the resource, and read by nothing';
const start = 'a start waits until all is there, however long that takes';
const parser = 'which of its parsers Envoy uses';
const process = 'there is no such limit of the process';
const peerWords = 'of an older form of the filter, as in Istio';
const formatters = 'operators of access logs need no extension here';
const resumption = 'sessions are never resumed';

export const withoutEffect: Readonly<Record<string, Reasons>> = {
  'envoy.config.route.v3.RateLimit': { disable_key: runtime },
  'envoy.config.accesslog.v3.AccessLog': { name },
  'envoy.config.accesslog.v3.ExtensionFilter': { name },
  'envoy.config.cluster.v3.CircuitBreakers.Thresholds': { track_remaining: statistics },
  'envoy.config.cluster.v3.Cluster': {
    cleanup_interval: 'of other types than ORIGINAL_DST, as in Envoy',
    track_cluster_stats: statistics,
    track_timeout_budgets: statistics,
  },
  'envoy.config.cluster.v3.Cluster.CommonLbConfig': {
    update_merge_window: 'batches updates; here each counts at once',
  },
  'envoy.config.cluster.v3.UpstreamConnectionOptions': {
    set_local_interface_name_on_upstream_connections: statisticsName,
  },
  'envoy.config.core.v3.ApiConfigSource': {
    refresh_delay: 'of REST',
    request_timeout: 'of REST',
    set_node_on_first_message_only: 'the node is always told once a stream',
    transport_api_version: 'there is V3 only',
  },
  'envoy.config.core.v3.ConfigSource': { initial_fetch_timeout: start, resource_api_version: 'there is V3 only' },
  'envoy.config.core.v3.HealthCheck': {
    always_log_health_check_failures: 'there is no event log, and one is refused',
    always_log_health_check_success: 'there is no event log, and one is refused',
    reuse_connection: 'each probe makes its own connection',
  },
  'envoy.config.core.v3.Http1ProtocolOptions': { use_balsa_parser: parser },
  'envoy.config.core.v3.Http2ProtocolOptions': {
    allow_connect: 'of clusters; listeners honour it',
    use_oghttp2_codec: parser,
  },
  'envoy.config.core.v3.JsonFormatOptions': { sort_properties: 'keys are sorted in any case, as in Envoy' },
  'envoy.config.core.v3.KeepaliveSettings': { interval_jitter: 'spreads pings of many connections' },
  'envoy.config.core.v3.Metadata': { typed_filter_metadata: 'for extensions, which would be refused themselves' },
  'envoy.config.core.v3.RuntimeDouble': { runtime_key: runtime },
  'envoy.config.core.v3.RuntimeFractionalPercent': { runtime_key: runtime },
  'envoy.config.core.v3.RuntimeUInt32': { runtime_key: runtime },
  'envoy.config.core.v3.SocketAddress': { ipv4_compat: 'the kernel takes both families at :: anyway' },
  'envoy.config.core.v3.SubstitutionFormatString': { content_type: 'of local replies, not of logs', formatters },
  'envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig': { formatters },
  'envoy.config.core.v3.TypedExtensionConfig': { name },
  'envoy.config.endpoint.v3.ClusterLoadAssignment': { cluster_name: 'of a static cluster, a label' },
  'envoy.config.endpoint.v3.LocalityLbEndpoints': {
    metadata: told,
    proximity: 'Envoy has no use for it either',
  },
  'envoy.config.listener.v3.FilterChain': { metadata: told },
  'envoy.config.listener.v3.Listener': {
    bypass_overload_manager: process,
    connection_balance_config: 'one thread serves a listener',
    drain_type: 'no health check filter starts a drain',
    enable_reuse_port: 'one socket an address, and one thread that accepts',
    ignore_global_conn_limit: process,
    max_connections_to_accept_per_socket_event: 'how fast connections are taken from the kernel',
    metadata: told,
    per_connection_buffer_limit_bytes:
      'of internal listeners: what is between two ends in this process has its own bound',
  },
  'envoy.config.route.v3.QueryParameterMatcher': { present_match: 'Envoy asks for the parameter whatever the value' },
  'envoy.config.route.v3.RetryPolicy.RetryHostPredicate': { name },
  'envoy.config.route.v3.RetryPolicy.RetryPriority': { name },
  'envoy.config.route.v3.Route': { stat_prefix: statistics },
  'envoy.config.route.v3.RouteAction.RequestMirrorPolicy': { trace_sampled: 'copies are not traced' },
  'envoy.config.route.v3.RouteConfiguration': {
    metadata: told,
    validate_clusters: 'clusters come and go apart from routes; one that is away is answered, as with RDS',
  },
  'envoy.config.route.v3.VirtualHost': { metadata: told },
  'envoy.config.route.v3.WeightedCluster': {
    runtime_key_prefix: runtime,
    total_weight: 'the sum of the weights counts',
  },
  'envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue': {
    factory_key: 'the class that Envoy keeps the value in; here it stays its text',
    read_only: 'no other filter overwrites values',
  },
  'envoy.extensions.filters.http.cors.v3.CorsPolicy': { shadow_enabled: 'only counted by Envoy' },
  'envoy.config.core.v3.HttpUri': { uri: 'the cluster says where' },
  'envoy.config.core.v3.RuntimeFeatureFlag': { runtime_key: runtime },
  'envoy.extensions.compression.brotli.decompressor.v3.Brotli': {
    disable_ring_buffer_reallocation: 'how a library keeps its memory',
  },
  'envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor': {
    filter_metadata: 'for access loggers that are made for it',
  },
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz': {
    validate_mutations: 'what is no header is refused in any case',
  },
  'envoy.extensions.filters.http.fault.v3.HTTPFault': {
    abort_grpc_status_runtime: runtime,
    abort_http_status_runtime: runtime,
    abort_percent_runtime: runtime,
    delay_duration_runtime: runtime,
    delay_percent_runtime: runtime,
    disable_downstream_cluster_stats: statistics,
    max_active_faults_runtime: runtime,
    response_rate_limit_percent_runtime: runtime,
  },
  'envoy.extensions.filters.http.jwt_authn.v3.JwtProvider': { jwt_cache_config: 'verified tokens are always kept' },
  'envoy.extensions.filters.http.rbac.v3.RBAC': { track_per_rule_stats: statistics },
  'envoy.extensions.filters.http.router.v3.Router': {
    dynamic_stats: 'statistics are always kept',
    start_child_span: 'one span is told of a request',
  },
  'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector': {
    initial_read_buffer_size: 'what is read ahead has a bound of its own',
  },
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager': {
    drain_timeout: 'how long a drain lasts is said for the process',
  },
  'envoy.config.trace.v3.Tracing.Http': { name },
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter': {
    is_optional: 'of upstream_codec, which is there anyway',
  },
  'envoy.extensions.filters.network.rbac.v3.RBAC': {
    enforcement_type: 'rules are asked when the connection comes, and nothing that they see changes while it lasts',
    stat_prefix: statisticsName,
  },
  'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext': {
    disable_stateful_session_resumption: resumption,
    disable_stateless_session_resumption: resumption,
    session_timeout: resumption,
  },
  'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext': {
    allow_renegotiation: 'TLS 1.3 has none, and Node never agrees to one',
    max_session_keys: resumption,
  },
  'envoy.type.matcher.v3.RegexMatcher': { google_re2: 'the engine is RE2 anyway' },
  'xds.core.v3.TypedExtensionConfig': { name },
  'xds.type.matcher.v3.RegexMatcher': { google_re2: 'the engine is RE2 anyway' },
  'stats.PluginConfig': {
    debug: peerWords,
    field_separator: peerWords,
    max_peer_cache_size: peerWords,
    value_separator: peerWords,
  },
};
