/** What the waypoint compiles, for a walk through all fields: each message with the least that its reader asks for. */
import { typeUrl } from '../../common/envoy/codec.ts';
import { checkFields } from '../../common/envoy/fields.ts';
import { statsConfig } from '../../common/envoy/istio.ts';
import { compileAssignment } from '../cluster/compile/assignment.ts';
import { compileCluster } from '../cluster/compile/cluster.ts';
import { perFilterTypes } from '../filters/kinds.ts';
import { compileListener } from '../listener/read.ts';
import { compileRoutes } from '../route/table.ts';
import type { Environment } from '../runtime/environment.ts';
import { readSecret } from '../runtime/secret.ts';
import type { Message, WalkRoot } from './field-walk.ts';

const config = 'envoy.config.';
const extensions = 'envoy.extensions.';

const typed = (type: string, message: Message = {}): Message => ({ '@type': typeUrl(type), ...message });
const named = (type: string, message: Message = {}): Message => ({ name: 'x', typed_config: typed(type, message) });

const address = { socket_address: { address: '127.0.0.1', port_value: 1 } };
const exact = { exact: 'x' };
const inline = { inline_string: 'x' };
const ads = { ads: {} };
const second = { seconds: 1 };
const secretConfig = { name: 'x', sds_config: ads };
const routeMatch = { prefix: '/' };
const template = `${extensions}path.match.uri_template.v3.UriTemplateMatchConfig`;
const rewriting = `${extensions}path.rewrite.uri_template.v3.UriTemplateRewriteConfig`;
/** A match that each kind of rewrite goes with. */
const route = {
  match: { path_match_policy: named(template, { path_template: '/x' }) },
  route: { cluster: 'a' },
};
const virtualHost = { name: 'a', domains: ['*'], routes: [route] };
const routes = { virtual_hosts: [virtualHost] };
const router = named(`${extensions}filters.http.router.v3.Router`);
const manager = { route_config: routes, http_filters: [router] };
const proxy = named(`${extensions}filters.network.tcp_proxy.v3.TcpProxy`, { cluster: 'a' });
const endpoints = [{ lb_endpoints: [{ endpoint: { address } }] }];
const statusFilter = { status_code_filter: { comparison: { value: { default_value: 1 } } } };
const logService = {
  common_config: {
    log_name: 'x',
    grpc_service: { envoy_grpc: { cluster_name: 'x' } },
    transport_api_version: 'V3',
  },
};
const otlpLog = `${extensions}access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig`;
const celFilter = `${extensions}access_loggers.filters.cel.v3.ExpressionFilter`;
const format = { text_format_source: inline };
const stateValue = { object_key: 'x', format_string: format };
const policy = { permissions: [{ any: true }], principals: [{ any: true }] };
const onMatch = { action: named('google.protobuf.StringValue', { value: 'x' }) };
const portInput = named(`${extensions}matching.common_inputs.network.v3.DestinationPortInput`);
const byPort = { single_predicate: { input: portInput, value_match: { exact: '80' } } };
const balancers = `${extensions}load_balancing_policies.`;
const roundRobin = { policies: [{ typed_extension_config: named(`${balancers}round_robin.v3.RoundRobin`) }] };

const bucket = { max_tokens: 1, fill_interval: second };
const httpService = { http_uri: { uri: 'x', cluster: 'x', timeout: second } };
const otlpTracer = `${config}trace.v3.OpenTelemetryConfig`;
const zipkinTracer = `${config}trace.v3.ZipkinConfig`;
const requestIds = `${extensions}request_id.uuid.v3.UuidRequestIdConfig`;
const detector = `${extensions}tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig`;

const cookieState = `${extensions}http.stateful_session.cookie.v3.CookieBasedSessionState`;
const service = { grpc_service: { envoy_grpc: { cluster_name: 'x' } }, transport_api_version: 'V3' };
const compression = `${extensions}compression.`;
const gzip = named(`${compression}gzip.compressor.v3.Gzip`);
const compressor = `${extensions}filters.http.compressor.v3.`;
const gunzip = named(`${compression}gzip.decompressor.v3.Gzip`);
const decompressor = `${extensions}filters.http.decompressor.v3.Decompressor`;

const jwt = `${extensions}filters.http.jwt_authn.v3.`;
const jwtProvider = { local_jwks: { inline_string: '{"keys":[{"kty":"oct","k":"eA"}]}' } };

const authz = `${extensions}filters.http.ext_authz.v3.`;
const authzService = { grpc_service: { envoy_grpc: { cluster_name: 'x' } } };
const processor = `${extensions}filters.http.ext_proc.v3.`;
const authzHttp = { server_uri: { uri: 'http://x', cluster: 'x', timeout: second } };

/** By type, or by type and field of the owner. */
export const bases: Readonly<Record<string, Message>> = {
  'envoy.config.core.v3.Address': address,
  'envoy.config.core.v3.SocketAddress': address.socket_address,
  'envoy.config.core.v3.ApiConfigSource': {
    api_type: 'GRPC',
    grpc_services: [{ envoy_grpc: { cluster_name: 'x' } }],
  },
  'envoy.config.core.v3.CidrRange': { address_prefix: '10.0.0.0', prefix_len: { value: 8 } },
  'envoy.config.core.v3.ConfigSource': ads,
  'envoy.config.core.v3.DataSource': inline,
  [otlpTracer]: { grpc_service: { envoy_grpc: { cluster_name: 'x' } } },
  [`${otlpTracer}.resource_detectors`]: named(detector),
  [zipkinTracer]: { collector_endpoint_version: 'HTTP_JSON', collector_service: httpService },
  'envoy.config.trace.v3.Tracing.Http': named(otlpTracer, { grpc_service: { envoy_grpc: { cluster_name: 'x' } } }),
  'envoy.type.tracing.v3.CustomTag': { tag: 'x', literal: { value: 'x' } },
  'envoy.config.core.v3.GrpcService': { envoy_grpc: { cluster_name: 'x' } },
  'envoy.config.core.v3.GrpcService.EnvoyGrpc': { cluster_name: 'x' },
  'envoy.config.core.v3.HttpService': httpService,
  'envoy.config.core.v3.HttpUri': httpService.http_uri,
  'envoy.config.core.v3.HeaderValue': { key: 'x', value: 'y' },
  'envoy.config.core.v3.HeaderValueOption': { header: { key: 'x', value: 'y' } },
  'envoy.config.core.v3.HealthCheck': {
    timeout: second,
    interval: second,
    unhealthy_threshold: { value: 1 },
    healthy_threshold: { value: 1 },
    http_health_check: { path: '/' },
  },
  'envoy.config.core.v3.HealthCheck.HttpHealthCheck': { path: '/' },
  'envoy.config.core.v3.HealthCheck.Payload': { text: '00' },
  'envoy.config.core.v3.RuntimeFractionalPercent': { default_value: { numerator: 1 } },
  'envoy.config.core.v3.SubstitutionFormatString': format,
  'envoy.type.matcher.v3.DoubleMatcher': { exact: 1 },
  'envoy.type.matcher.v3.FilterStateMatcher': { key: 'x', string_match: exact },
  'envoy.type.matcher.v3.ListMatcher': { one_of: { string_match: exact } },
  'envoy.type.matcher.v3.MetadataMatcher': { filter: 'x', path: [{ key: 'x' }], value: { string_match: exact } },
  'envoy.type.matcher.v3.MetadataMatcher.PathSegment': { key: 'x' },
  'envoy.type.matcher.v3.OrMatcher': { value_matchers: [{ string_match: exact }, { string_match: exact }] },
  'envoy.type.matcher.v3.PathMatcher': { path: exact },
  'envoy.type.matcher.v3.RegexMatchAndSubstitute': { pattern: { regex: 'x' }, substitution: 'y' },
  'envoy.type.matcher.v3.RegexMatcher': { regex: 'x' },
  'envoy.type.matcher.v3.StringMatcher': exact,
  'envoy.type.matcher.v3.ValueMatcher': { string_match: exact },
  'envoy.config.accesslog.v3.AccessLog': named(`${extensions}access_loggers.stream.v3.StdoutAccessLog`),
  'envoy.config.accesslog.v3.AccessLogFilter': statusFilter,
  'envoy.config.accesslog.v3.DurationFilter': statusFilter.status_code_filter,
  [otlpLog]: logService,
  [`${otlpLog}.formatters`]: named(`${extensions}formatter.req_without_query.v3.ReqWithoutQuery`),
  [`${extensions}access_loggers.grpc.v3.HttpGrpcAccessLogConfig`]: logService,
  [`${extensions}access_loggers.grpc.v3.TcpGrpcAccessLogConfig`]: logService,
  'envoy.extensions.access_loggers.grpc.v3.CommonGrpcAccessLogConfig': logService.common_config,
  'opentelemetry.proto.common.v1.AnyValue': { string_value: 'x' },
  'opentelemetry.proto.common.v1.KeyValue': { key: 'x', value: { string_value: 'x' } },
  'envoy.config.accesslog.v3.ExtensionFilter': named(celFilter, { expression: 'true' }),
  'envoy.config.accesslog.v3.ComparisonFilter': statusFilter.status_code_filter.comparison,
  'envoy.config.accesslog.v3.StatusCodeFilter': statusFilter.status_code_filter,

  'envoy.config.cluster.v3.Cluster': { name: 'a' },
  'envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector': { keys: ['a'] },
  'envoy.config.cluster.v3.LoadBalancingPolicy': roundRobin,
  'envoy.config.cluster.v3.LoadBalancingPolicy.Policy': roundRobin.policies[0]!,
  'envoy.config.cluster.v3.LoadBalancingPolicy.Policy.typed_extension_config':
    roundRobin.policies[0]!.typed_extension_config,
  'envoy.config.endpoint.v3.ClusterLoadAssignment': { cluster_name: 'a', endpoints },
  'envoy.config.endpoint.v3.Endpoint': { address },
  'envoy.config.endpoint.v3.LbEndpoint': { endpoint: { address } },
  'envoy.config.endpoint.v3.LocalityLbEndpoints': endpoints[0]!,

  'envoy.config.route.v3.DirectResponseAction': { status: 200 },
  'envoy.config.route.v3.FilterConfig': { config: typed(`${extensions}filters.http.cors.v3.CorsPolicy`) },
  'envoy.config.route.v3.HeaderMatcher': { name: 'x', string_match: exact },
  'envoy.config.route.v3.QueryParameterMatcher': { name: 'x', string_match: exact },
  'envoy.config.route.v3.RetryPolicy.RetryBackOff': { base_interval: second },
  'envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff': { reset_headers: [{ name: 'x' }] },
  'envoy.config.route.v3.RetryPolicy.ResetHeader': { name: 'x' },
  'envoy.config.route.v3.RetryPolicy.RetryHostPredicate': named(
    `${extensions}retry.host.previous_hosts.v3.PreviousHostsPredicate`,
  ),
  'envoy.config.route.v3.RetryPolicy.RetryPriority': named(
    `${extensions}retry.priority.previous_priorities.v3.PreviousPrioritiesConfig`,
    { update_frequency: 1 },
  ),
  'envoy.config.route.v3.Route': route,
  'envoy.config.route.v3.RouteAction': route.route,
  'envoy.config.route.v3.RouteAction.HashPolicy': { header: { header_name: 'x' } },
  'envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties': { source_ip: true },
  'envoy.config.route.v3.RouteAction.HashPolicy.Header': { header_name: 'x' },
  'envoy.config.route.v3.RouteAction.RequestMirrorPolicy': { cluster: 'a' },
  'envoy.config.route.v3.RouteAction.UpgradeConfig': { upgrade_type: 'CONNECT' },
  'envoy.config.route.v3.RouteAction.path_rewrite_policy': named(rewriting, { path_template_rewrite: '/x' }),
  'envoy.config.route.v3.RouteConfiguration': routes,
  'envoy.config.route.v3.RouteMatch': routeMatch,
  'envoy.config.route.v3.RouteMatch.path_match_policy': named(template, { path_template: '/x' }),
  'envoy.config.route.v3.VirtualHost': virtualHost,
  'envoy.config.route.v3.WeightedCluster': { clusters: [{ name: 'a', weight: { value: 1 } }] },
  'envoy.config.route.v3.WeightedCluster.ClusterWeight': { name: 'a', weight: { value: 1 } },

  'envoy.config.listener.v3.Filter': proxy,
  'envoy.config.listener.v3.FilterChain': { filters: [proxy] },
  'envoy.config.listener.v3.Listener': { name: 'a', address, filter_chains: [{ filters: [proxy] }] },
  'envoy.config.listener.v3.ListenerFilter': named(`${extensions}filters.listener.tls_inspector.v3.TlsInspector`),
  'envoy.config.listener.v3.ListenerFilterChainMatchPredicate': { any_match: true },
  'envoy.config.rbac.v3.Permission': { any: true },
  'envoy.config.rbac.v3.Permission.Set': { rules: [{ any: true }] },
  'envoy.config.rbac.v3.Permission.uri_template': named(template, { path_template: '/x' }),
  'envoy.config.rbac.v3.Policy': policy,
  'envoy.config.rbac.v3.Principal': { any: true },
  'envoy.config.rbac.v3.Principal.Set': { ids: [{ any: true }] },
  'envoy.type.v3.HashPolicy': { source_ip: {} },
  'envoy.type.v3.Int32Range': { start: 1, end: 2 },
  'envoy.type.v3.Int64Range': { start: 1, end: 2 },
  'xds.type.matcher.v3.Matcher': {
    matcher_tree: { input: portInput, exact_match_map: { map: { '80': onMatch } } },
  },
  'xds.type.matcher.v3.Matcher.MatcherTree': { input: portInput, exact_match_map: { map: { '80': onMatch } } },
  'xds.type.matcher.v3.Matcher.MatcherList': { matchers: [{ predicate: byPort, on_match: onMatch }] },
  'xds.type.matcher.v3.Matcher.MatcherList.FieldMatcher': { predicate: byPort, on_match: onMatch },
  'xds.type.matcher.v3.Matcher.MatcherList.Predicate': byPort,
  'xds.type.matcher.v3.Matcher.MatcherList.Predicate.PredicateList': { predicate: [byPort, byPort] },
  'xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate': byPort.single_predicate,
  'xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate.input': portInput,
  'xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate.custom_match': named(
    `${extensions}matching.input_matchers.ip.v3.Ip`,
  ),
  'xds.type.matcher.v3.StringMatcher': { exact: 'x' },
  'xds.type.matcher.v3.RegexMatcher': { google_re2: {}, regex: 'x' },
  'xds.type.matcher.v3.Matcher.MatcherTree.MatchMap': { map: { '80': onMatch } },
  'xds.type.matcher.v3.Matcher.MatcherTree.input': portInput,
  'xds.type.matcher.v3.Matcher.MatcherTree.custom_match': named('xds.type.matcher.v3.IPMatcher'),
  'xds.type.matcher.v3.Matcher.OnMatch': onMatch,
  'xds.type.matcher.v3.Matcher.OnMatch.action': onMatch.action,

  [`${extensions}filters.common.set_filter_state.v3.FilterStateValue`]: stateValue,
  [`${extensions}filters.http.stateful_session.v3.StatefulSessionPerRoute`]: { stateful_session: {} },
  [`${extensions}filters.http.stateful_session.v3.StatefulSession.session_state`]: named(cookieState, {
    cookie: { name: 'x' },
  }),
  [`${extensions}http.stateful_session.cookie.v3.CookieBasedSessionState`]: { cookie: { name: 'x' } },
  [`${extensions}http.stateful_session.header.v3.HeaderBasedSessionState`]: { name: 'x' },
  'envoy.type.http.v3.Cookie': { name: 'x' },
  [`${extensions}filters.network.http_connection_manager.v3.HttpConnectionManager`]: manager,
  [`${extensions}filters.network.http_connection_manager.v3.HttpFilter`]: router,
  [`${extensions}filters.network.http_connection_manager.v3.ResponseMapper`]: { filter: statusFilter },
  [`${extensions}filters.network.http_connection_manager.v3.Rds`]: { route_config_name: 'x', config_source: ads },
  [`${extensions}filters.network.tcp_proxy.v3.TcpProxy`]: { cluster: 'a' },
  [`${extensions}filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig`]: { hostname: 'x' },
  [`${extensions}filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster`]: { clusters: [{ name: 'a', weight: 1 }] },
  [`${extensions}filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight`]: { name: 'a', weight: 1 },
  [`${authz}ExtAuthz`]: authzService,
  [`${authz}ExtAuthzPerRoute`]: { check_settings: {} },
  [`${authz}HttpService`]: authzHttp,
  [`${authz}BufferSettings`]: { max_request_bytes: 1 },
  [`${extensions}filters.http.header_mutation.v3.HeaderMutationPerRoute`]: {},
  [`${compressor}Compressor`]: { compressor_library: gzip },
  [`${compressor}CompressorPerRoute`]: { overrides: {} },
  [`${extensions}filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder`]: {
    proto_descriptor_bin: Buffer.from([10, 0]),
  },
  [`${processor}ExternalProcessor`]: authzService,
  [`${processor}ExtProcPerRoute`]: { overrides: {} },
  [decompressor]: { decompressor_library: gunzip },
  [`${config}common.mutation_rules.v3.HeaderMutation`]: { append: { header: { key: 'x', value: 'y' } } },
  'envoy.type.v3.TokenBucket': bucket,
  'envoy.type.v3.HttpStatus': { code: 'TooManyRequests' },
  'envoy.config.route.v3.RateLimit': { actions: [{ remote_address: {} }] },
  'envoy.config.route.v3.RateLimit.Action': { remote_address: {} },
  'envoy.config.route.v3.RateLimit.Action.GenericKey': { descriptor_value: 'x' },
  'envoy.config.route.v3.RateLimit.Action.RequestHeaders': { header_name: 'x', descriptor_key: 'x' },
  'envoy.config.route.v3.RateLimit.Action.HeaderValueMatch': {
    descriptor_value: 'x',
    headers: [{ name: 'x', string_match: exact }],
  },
  'envoy.config.route.v3.RateLimit.Action.QueryParameterValueMatch': {
    descriptor_value: 'x',
    query_parameters: [{ name: 'x', string_match: exact }],
  },
  'envoy.config.route.v3.RateLimit.Action.MetaData': { descriptor_key: 'x', metadata_key: { key: 'x' } },
  'envoy.type.metadata.v3.MetadataKey': { key: 'x' },
  'envoy.type.metadata.v3.MetadataKey.PathSegment': { key: 'x' },
  'envoy.config.route.v3.RateLimit.Action.extension': named(
    `${extensions}matching.common_inputs.network.v3.FilterStateInput`,
    { key: 'x' },
  ),
  [`${extensions}matching.common_inputs.network.v3.FilterStateInput`]: { key: 'x' },
  [`${extensions}filters.http.local_ratelimit.v3.LocalRateLimit`]: { stat_prefix: 'x', token_bucket: bucket },
  [`${extensions}filters.http.ratelimit.v3.RateLimit`]: { domain: 'x', rate_limit_service: service },
  'envoy.config.ratelimit.v3.RateLimitServiceConfig': service,
  [`${extensions}common.ratelimit.v3.LocalRateLimitDescriptor`]: {
    entries: [{ key: 'x', value: 'y' }],
    token_bucket: bucket,
  },
  [`${extensions}common.ratelimit.v3.RateLimitDescriptor.Entry`]: { key: 'x', value: 'y' },
  [`${jwt}JwtProvider`]: jwtProvider,
  [`${jwt}JwtProvider.local_jwks`]: jwtProvider.local_jwks,
  [`${jwt}JwtAuthentication`]: { providers: { key: jwtProvider }, requirement_map: { key: { provider_name: 'key' } } },
  [`${jwt}JwtRequirement`]: { provider_name: 'key' },
  [`${jwt}ProviderWithAudiences`]: { provider_name: 'key' },
  [`${jwt}JwtRequirementOrList`]: { requirements: [{ provider_name: 'key' }, { provider_name: 'key' }] },
  [`${jwt}JwtRequirementAndList`]: { requirements: [{ provider_name: 'key' }, { provider_name: 'key' }] },
  [`${jwt}RequirementRule`]: { match: routeMatch },
  [statsConfig]: { reporter: 'SERVER_GATEWAY' },
  'stats.MetricDefinition': { name: 'x', value: '1' },
  [celFilter]: { expression: 'true' },
  [template]: { path_template: '/x' },
  [rewriting]: { path_template_rewrite: '/x' },
  [`${balancers}subset.v3.Subset`]: { subset_lb_policy: roundRobin },
  [`${balancers}subset.v3.Subset.LbSubsetSelector`]: { keys: ['a'] },
  [`${balancers}wrr_locality.v3.WrrLocality`]: { endpoint_picking_policy: roundRobin },
  [`${extensions}upstreams.http.v3.HttpProtocolOptions.http_filters`]: named(
    `${extensions}filters.http.upstream_codec.v3.UpstreamCodec`,
  ),
  [`${extensions}upstreams.http.v3.HttpProtocolOptions`]: { explicit_http_config: { http_protocol_options: {} } },
  [`${extensions}retry.priority.previous_priorities.v3.PreviousPrioritiesConfig`]: { update_frequency: 1 },
  [`${extensions}transport_sockets.tls.v3.DownstreamTlsContext`]: { common_tls_context: {} },
  [`${extensions}transport_sockets.tls.v3.Secret`]: { name: 'x', validation_context: {} },
  [`${extensions}transport_sockets.tls.v3.SdsSecretConfig`]: secretConfig,
  [`${extensions}transport_sockets.tls.v3.SubjectAltNameMatcher`]: { san_type: 'DNS', matcher: exact },
  [`${extensions}transport_sockets.tls.v3.TlsCertificate`]: { certificate_chain: inline, private_key: inline },
  'xds.type.matcher.v3.IPMatcher': {},
  'xds.type.matcher.v3.IPMatcher.IPRangeMatcher': {
    ranges: [{ address_prefix: '10.0.0.0', prefix_len: { value: 8 } }],
    on_match: onMatch,
  },
};

/** Each where other fields are read. */
const clusterBases: readonly Message[] = [
  { name: 'a' },
  { name: 'a', type: 'EDS', eds_cluster_config: { eds_config: ads } },
  { name: 'a', type: 'STRICT_DNS', load_assignment: { endpoints } },
  { name: 'a', type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED' },
  ...['LEAST_REQUEST', 'MAGLEV', 'RING_HASH'].map((policy) => ({ name: 'a', lb_policy: policy })),
];

const clusterTypes = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';

export function fieldRoots(env: Environment): readonly WalkRoot[] {
  const cluster = (message: Message) => compileCluster({ '@type': clusterTypes, name: 'a', ...message });
  const listener = (message: Message) =>
    compileListener({ name: 'a', address, filter_chains: [{ filters: [proxy] }], ...message }, env);
  const inCluster = (type: string, path: string, around: (any: Message) => Message): WalkRoot => ({
    type,
    path: `Cluster.${path}`,
    compile: (message) => cluster(around(typed(type, message))),
  });
  const inListener = (type: string, path: string, around: (any: Message) => Message): WalkRoot => ({
    type,
    path: `Listener.${path}`,
    compile: (message) => listener(around(typed(type, message))),
  });
  const networkFilter = (type: string, isLast: boolean) =>
    inListener(`${extensions}filters.network.${type}`, 'filter_chains[0].filters[0].typed_config', (any) => ({
      filter_chains: [{ filters: [{ name: 'x', typed_config: any }, ...(isLast ? [] : [proxy])] }],
    }));
  const hcm = (more: Message) => ({
    filter_chains: [
      {
        filters: [
          named(`${extensions}filters.network.http_connection_manager.v3.HttpConnectionManager`, {
            ...manager,
            ...more,
          }),
        ],
      },
    ],
  });
  const httpFilter = (type: string) =>
    inListener(
      `${extensions}filters.http.${type}`,
      'filter_chains[0].filters[0].typed_config.http_filters[0].typed_config',
      (any) =>
        hcm({
          http_filters: type.endsWith('.Router')
            ? [{ name: 'x', typed_config: any }]
            : [{ name: 'x', typed_config: any }, router],
        }),
    );
  const perRoute = (type: string): WalkRoot => ({
    type: `${extensions}filters.http.${type}`,
    path: 'RouteConfiguration.typed_per_filter_config[x]',
    compile: (message) =>
      compileRoutes(
        { ...routes, typed_per_filter_config: { x: typed(`${extensions}filters.http.${type}`, message) } },
        perFilterTypes,
      ),
  });
  const inRoute = (type: string, path: string, around: (any: Message) => Message): WalkRoot => ({
    type,
    path: `RouteConfiguration.virtual_hosts[0].routes[0].${path}`,
    compile: (message) =>
      compileRoutes(
        { virtual_hosts: [{ ...virtualHost, routes: [{ ...route, ...around(typed(type, message)) }] }] },
        perFilterTypes,
      ),
  });
  const inRetry = (type: string, field: string, isList: boolean) =>
    inRoute(type, `route.retry_policy.${field}${isList ? '[0]' : ''}.typed_config`, (any) => {
      const one = { name: 'x', typed_config: any };
      return { route: { cluster: 'a', retry_policy: { [field]: isList ? [one] : one } } };
    });
  const balancer = (type: string) =>
    inCluster(
      `${balancers}${type}`,
      'load_balancing_policy.policies[0].typed_extension_config.typed_config',
      (any) => ({
        ...(type.startsWith('cluster_provided') && { type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED' }),
        load_balancing_policy: { policies: [{ typed_extension_config: { name: 'x', typed_config: any } }] },
      }),
    );
  const socket = (type: string) =>
    inCluster(`${extensions}transport_sockets.${type}`, 'transport_socket.typed_config', (any) => ({
      transport_socket: { name: 'x', typed_config: any },
    }));
  const accessLog = (type: string) =>
    inListener(
      `${extensions}access_loggers.${type}`,
      'filter_chains[0].filters[0].typed_config.access_log[0].typed_config',
      (any) => hcm({ access_log: [{ name: 'x', typed_config: any }] }),
    );
  const listenerFilter = (type: string) =>
    inListener(`${extensions}filters.listener.${type}`, 'listener_filters[0].typed_config', (any) => ({
      listener_filters: [{ name: 'x', typed_config: any }],
    }));
  const input = (type: string) =>
    inListener(
      `${extensions}matching.common_inputs.network.v3.${type}`,
      'filter_chain_matcher.matcher_tree.input.typed_config',
      (any) => ({
        filter_chain_matcher: {
          matcher_tree: { input: { name: 'x', typed_config: any }, exact_match_map: { map: { '80': onMatch } } },
        },
      }),
    );
  return [
    ...clusterBases.map((base) => ({
      type: 'envoy.config.cluster.v3.Cluster',
      path: 'Cluster',
      base,
      compile: cluster,
    })),
    inCluster(
      `${extensions}upstreams.http.v3.HttpProtocolOptions`,
      `typed_extension_protocol_options[${extensions}upstreams.http.v3.HttpProtocolOptions]`,
      (any) => ({
        typed_extension_protocol_options: { [`${extensions}upstreams.http.v3.HttpProtocolOptions`]: any },
      }),
    ),
    balancer('cluster_provided.v3.ClusterProvided'),
    balancer('least_request.v3.LeastRequest'),
    balancer('maglev.v3.Maglev'),
    balancer('random.v3.Random'),
    balancer('ring_hash.v3.RingHash'),
    balancer('round_robin.v3.RoundRobin'),
    balancer('subset.v3.Subset'),
    balancer('wrr_locality.v3.WrrLocality'),
    socket('internal_upstream.v3.InternalUpstreamTransport'),
    socket('proxy_protocol.v3.ProxyProtocolUpstreamTransport'),
    socket('raw_buffer.v3.RawBuffer'),
    socket('tls.v3.UpstreamTlsContext'),
    {
      type: 'envoy.config.endpoint.v3.ClusterLoadAssignment',
      path: 'ClusterLoadAssignment',
      compile: (message) => compileAssignment(message),
    },
    {
      type: `${extensions}transport_sockets.tls.v3.Secret`,
      path: 'Secret',
      compile: (message) => checkFields(message, 'Secret', readSecret),
    },
    {
      type: 'envoy.config.route.v3.RouteConfiguration',
      path: 'RouteConfiguration',
      compile: (message) => compileRoutes(message, perFilterTypes),
    },
    inRoute(template, 'match.path_match_policy.typed_config', (any) => ({
      match: { path_match_policy: { name: 'x', typed_config: any } },
    })),
    inRoute(rewriting, 'route.path_rewrite_policy.typed_config', (any) => ({
      match: { path_match_policy: named(template, { path_template: '/x' }) },
      route: { cluster: 'a', path_rewrite_policy: { name: 'x', typed_config: any } },
    })),
    inRetry(`${extensions}retry.host.previous_hosts.v3.PreviousHostsPredicate`, 'retry_host_predicate', true),
    inRetry(`${extensions}retry.priority.previous_priorities.v3.PreviousPrioritiesConfig`, 'retry_priority', false),
    perRoute('compressor.v3.CompressorPerRoute'),
    perRoute('cors.v3.CorsPolicy'),
    perRoute('ext_authz.v3.ExtAuthzPerRoute'),
    perRoute('ext_proc.v3.ExtProcPerRoute'),
    perRoute('fault.v3.HTTPFault'),
    perRoute('grpc_json_transcoder.v3.GrpcJsonTranscoder'),
    perRoute('header_mutation.v3.HeaderMutationPerRoute'),
    perRoute('stateful_session.v3.StatefulSessionPerRoute'),
    perRoute('jwt_authn.v3.PerRouteConfig'),
    perRoute('local_ratelimit.v3.LocalRateLimit'),
    perRoute('ratelimit.v3.RateLimitPerRoute'),
    perRoute('rbac.v3.RBACPerRoute'),
    {
      type: 'envoy.config.route.v3.FilterConfig',
      path: 'RouteConfiguration.typed_per_filter_config[x]',
      compile: (message) =>
        compileRoutes(
          { ...routes, typed_per_filter_config: { x: typed('envoy.config.route.v3.FilterConfig', message) } },
          perFilterTypes,
        ),
    },
    { type: 'envoy.config.listener.v3.Listener', path: 'Listener', compile: listener },
    {
      type: 'envoy.config.listener.v3.Listener',
      path: 'Listener',
      base: { name: 'a', internal_listener: {}, filter_chains: [{ filters: [proxy] }] },
      compile: (message) => compileListener(message, env),
    },
    inListener(
      `${extensions}transport_sockets.tls.v3.DownstreamTlsContext`,
      'filter_chains[0].transport_socket.typed_config',
      (any) => ({ filter_chains: [{ filters: [proxy], transport_socket: { name: 'x', typed_config: any } }] }),
    ),
    networkFilter('http_connection_manager.v3.HttpConnectionManager', true),
    networkFilter('rbac.v3.RBAC', false),
    networkFilter('set_filter_state.v3.Config', false),
    networkFilter('tcp_proxy.v3.TcpProxy', true),
    httpFilter('compressor.v3.Compressor'),
    ...['gzip.compressor.v3.Gzip', 'brotli.compressor.v3.Brotli', 'zstd.compressor.v3.Zstd'].map((type) =>
      inListener(
        `${compression}${type}`,
        'filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.compressor_library.typed_config',
        (any) => {
          const config = { compressor_library: { name: 'x', typed_config: any } };
          return hcm({ http_filters: [named(`${compressor}Compressor`, config), router] });
        },
      ),
    ),
    httpFilter('decompressor.v3.Decompressor'),
    ...['gzip.decompressor.v3.Gzip', 'brotli.decompressor.v3.Brotli', 'zstd.decompressor.v3.Zstd'].map((type) =>
      inListener(
        `${compression}${type}`,
        'filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.decompressor_library.typed_config',
        (any) => {
          const config = { decompressor_library: { name: 'x', typed_config: any } };
          return hcm({ http_filters: [named(decompressor, config), router] });
        },
      ),
    ),
    httpFilter('cors.v3.Cors'),
    httpFilter('ext_authz.v3.ExtAuthz'),
    httpFilter('ext_proc.v3.ExternalProcessor'),
    httpFilter('fault.v3.HTTPFault'),
    httpFilter('grpc_json_transcoder.v3.GrpcJsonTranscoder'),
    httpFilter('header_mutation.v3.HeaderMutation'),
    httpFilter('stateful_session.v3.StatefulSession'),
    httpFilter('jwt_authn.v3.JwtAuthentication'),
    httpFilter('local_ratelimit.v3.LocalRateLimit'),
    httpFilter('ratelimit.v3.RateLimit'),
    httpFilter('rbac.v3.RBAC'),
    httpFilter('router.v3.Router'),
    httpFilter('set_filter_state.v3.Config'),
    inListener(statsConfig, 'filter_chains[0].filters[0].typed_config.http_filters[0].typed_config', (any) =>
      hcm({ http_filters: [{ name: 'x', typed_config: any }, router] }),
    ),
    inListener(otlpTracer, 'filter_chains[0].filters[0].typed_config.tracing.provider.typed_config', (any) =>
      hcm({ tracing: { provider: { name: 'x', typed_config: any } } }),
    ),
    inListener(zipkinTracer, 'filter_chains[0].filters[0].typed_config.tracing.provider.typed_config', (any) =>
      hcm({ tracing: { provider: { name: 'x', typed_config: any } } }),
    ),
    inListener(requestIds, 'filter_chains[0].filters[0].typed_config.request_id_extension.typed_config', (any) =>
      hcm({ request_id_extension: { typed_config: any } }),
    ),
    inListener(celFilter, 'access_log[0].filter.extension_filter.typed_config', (any) => ({
      access_log: [
        {
          ...bases['envoy.config.accesslog.v3.AccessLog'],
          filter: { extension_filter: { name: 'x', typed_config: any } },
        },
      ],
      filter_chains: [{ filters: [proxy] }],
    })),
    accessLog('file.v3.FileAccessLog'),
    accessLog('stream.v3.StderrAccessLog'),
    accessLog('stream.v3.StdoutAccessLog'),
    accessLog('open_telemetry.v3.OpenTelemetryAccessLogConfig'),
    accessLog('grpc.v3.HttpGrpcAccessLogConfig'),
    accessLog('grpc.v3.TcpGrpcAccessLogConfig'),
    listenerFilter('http_inspector.v3.HttpInspector'),
    listenerFilter('original_dst.v3.OriginalDst'),
    listenerFilter('proxy_protocol.v3.ProxyProtocol'),
    listenerFilter('tls_inspector.v3.TlsInspector'),
    input('DestinationPortInput'),
    inListener(
      'xds.type.matcher.v3.IPMatcher',
      'filter_chain_matcher.matcher_tree.custom_match.typed_config',
      (any) => ({
        filter_chain_matcher: { matcher_tree: { input: portInput, custom_match: { name: 'x', typed_config: any } } },
      }),
    ),
  ];
}
