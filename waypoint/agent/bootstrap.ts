/**
 * The bootstrap of a stock Envoy that is a waypoint: who it is, that all else comes by one ADS stream, and that stream and its own
 * certificate come from the agent's socket. Pure.
 */
import type { JsonValue } from '../../common/api/index.ts';
import { nodeId, nodeMetadata, type WaypointConfig } from '../config.ts';

export interface BootstrapOptions {
  readonly config: WaypointConfig;
  /** Path of the agent's unix socket. */
  readonly socket: string;
}

type Json = Readonly<Record<string, JsonValue>>;

const type = (name: string) => `type.googleapis.com/${name}`;

/** Clusters of this name are what istiod's resources name for the proxy's own certificate (ambient-wire 10). */
export const secretsCluster = 'sds-grpc';
const xdsCluster = 'xds-grpc';
/**
 * Envoy's own rules end a name of a cluster or connection manager at its first dot, which host names have: the rest would become part of
 * the metric's name. So the part that follows decides, as in our waypoint (waypoint/telemetry/stats.ts).
 */
const statsTags = [
  ...['response_code', 'response_code_class', 'tcp_prefix', 'listener_address', 'ssl_version', 'ssl_cipher'].map(
    (t) => ({
      tag_name: `envoy.${t}`,
    }),
  ),
  {
    tag_name: 'envoy.cluster_name',
    regex: String.raw`^cluster\.((.+?);?\.)(?:default\.|external\.|internal\.|canary\.|retry\.|upstream_|membership_|lb_|bind_|assignment_|circuit_breakers\.|outlier_detection\.|health_check\.|update_|retry_|http[123]\.|ssl\.|tls_|max_host|original_dst|version|warming|init_)`,
  },
  {
    tag_name: 'envoy.http_conn_manager_prefix',
    regex: String.raw`^(?:listener\..+?\.)?http\.((.+?)\.)(?:downstream_|rq_|passthrough_|tracing\.|rbac\.|fault\.|no_|rs_|rds\.|user_agent\.)`,
  },
];
const adminCluster = 'prometheus_stats';

export function bootstrap({ config, socket }: BootstrapOptions): Json {
  return {
    node: {
      id: nodeId(config),
      cluster: config.serviceCluster,
      metadata: nodeMetadata(config),
    },
    // Without it Envoy refuses listeners that have no socket, of which a waypoint has two.
    bootstrap_extensions: [
      {
        name: 'envoy.bootstrap.internal_listener',
        typed_config: { '@type': type('envoy.extensions.bootstrap.internal_listener.v3.InternalListener') },
      },
    ],
    admin: { address: tcp('127.0.0.1', config.adminPort) },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: xdsCluster } }],
      },
      // Never goes on without: a waypoint that knows nothing is not ready, whatever the control plane's state.
      lds_config: { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' },
      cds_config: { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' },
    },
    static_resources: {
      clusters: [
        agentCluster(xdsCluster, socket),
        agentCluster(secretsCluster, socket),
        staticCluster(adminCluster, tcp('127.0.0.1', config.adminPort)),
      ],
      listeners: [metricsListener(config.prometheusPort)],
    },
    stats_config: { use_all_default_tags: false, stats_tags: statsTags },
    // As Istio's: Envoy's own limit of 100 instructions refuses expressions that users write, and all routes and policies with them.
    layered_runtime: {
      layers: [{ name: 'static', static_layer: { 're2.max_program_size.error_level': mostInstructions } }],
    },
    // What connections of peers may take before new ones are refused: Envoy warns where nothing is said.
    overload_manager: {
      resource_monitors: [
        {
          name: 'envoy.resource_monitors.global_downstream_max_connections',
          typed_config: {
            '@type': type('envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig'),
            max_active_downstream_connections: mostConnections,
          },
        },
      ],
    },
  };
}

/** Of a regular expression. */
const mostInstructions = 32_768;
/** Each may carry many streams; 50,000 descriptors is what container runtimes allow at the least. */
const mostConnections = 50_000;

function agentCluster(name: string, socket: string): Json {
  return {
    ...staticCluster(name, { pipe: { path: socket } }),
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': type('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
}

function staticCluster(name: string, address: Json): Json {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}

/** Envoy's metrics for scrapers that know its port, beside the agent's that merges them with its own. */
function metricsListener(port: number): Json {
  return {
    name: 'prometheus',
    address: tcp('0.0.0.0', port),
    ignore_global_conn_limit: true,
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type': type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
              stat_prefix: 'stats',
              route_config: {
                virtual_hosts: [
                  {
                    name: 'stats',
                    domains: ['*'],
                    routes: [{ match: { path: '/stats/prometheus' }, route: { cluster: adminCluster } }],
                  },
                ],
              },
              http_filters: [
                {
                  name: 'envoy.filters.http.router',
                  typed_config: { '@type': type('envoy.extensions.filters.http.router.v3.Router') },
                },
              ],
            },
          },
        ],
      },
    ],
  };
}

function tcp(address: string, port: number): Json {
  return { socket_address: { address, port_value: port } };
}
