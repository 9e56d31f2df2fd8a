/** The ends of HBONE at a waypoint: where CONNECT comes in, and where it goes out (ambient-wire 10). */
import type { Typed } from '../../../common/envoy/codec.ts';
import { limitless } from '../clusters/limits.ts';
import { protocolOptions } from '../clusters/protocol.ts';
import { internalUpstream, rawBuffer } from '../clusters/transport.ts';
import type { MeshFacts } from '../inputs.ts';
import { connectOriginate, connectTerminate, encap, mainInternal } from '../names.ts';
import type { WaypointProxy } from '../proxy.ts';
import { meshTls } from '../tls.ts';
import { durationOf, extension, internalAddress, type Message, none, statPrefix, typed } from '../values.ts';

export const hbonePort = 15_008;
export const hcm = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
export const originalDst = extension(
  'envoy.filters.listener.original_dst',
  'envoy.extensions.filters.listener.original_dst.v3.OriginalDst',
);
const keepalive = { interval: { seconds: 10 }, timeout: { seconds: 20 } };

/** Keys under which what the tunnel says of its ends goes along inside. */
export const localAddressKey = 'envoy.filters.listener.original_dst.local_ip';
export const peerPrincipalKey = 'io.istio.peer_principal';
const peerKey = 'downstream_peer';

function shared(key: string, format: string, factory?: string): Message {
  return {
    object_key: key,
    ...(factory !== undefined && { factory_key: factory }),
    format_string: { text_format_source: { inline_string: format } },
    shared_with_upstream: 'ONCE',
  };
}

/** Authorization inside sees the client's identity and address, not the tunnel's. */
function carried({ engine }: WaypointProxy): readonly Message[] {
  const text = engine === 'istio' ? 'istio.hashable_string' : 'envoy.string';
  return [
    shared(localAddressKey, '%REQ(:AUTHORITY)%'),
    shared('io.istio.connect_authority', '%REQ(:AUTHORITY)%', text),
    shared('envoy.filters.listener.original_dst.remote_ip', '%DOWNSTREAM_REMOTE_ADDRESS%'),
    shared(peerPrincipalKey, '%DOWNSTREAM_PEER_URI_SAN%', text),
    shared('io.istio.local_principal', '%DOWNSTREAM_LOCAL_URI_SAN%', text),
    // Who the caller is in metrics, by its node proxy's word.
    ...(engine === 'aquifer' ? [shared(peerKey, '%REQ(BAGGAGE)%', text)] : []),
  ];
}

/** Port 15008: TLS and CONNECT end here, and what is inside goes to the internal listener. */
export function terminateListener(proxy: WaypointProxy, facts: MeshFacts): Typed {
  const manager = {
    stat_prefix: connectTerminate,
    server_header_transformation: 'PASS_THROUGH',
    stream_idle_timeout: none,
    upgrade_configs: [{ upgrade_type: 'CONNECT' }],
    // Streams of one connection share a worker.
    http2_protocol_options: {
      allow_connect: true,
      max_concurrent_streams: { value: 100 },
      connection_keepalive: keepalive,
    },
    route_config: {
      name: 'default',
      virtual_hosts: [
        {
          name: 'default',
          domains: ['*'],
          routes: [
            {
              match: { connect_matcher: {} },
              route: {
                cluster: mainInternal,
                timeout: none,
                upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }],
              },
            },
          ],
        },
      ],
    },
    http_filters: [
      extension('connect_authority', 'envoy.extensions.filters.http.set_filter_state.v3.Config', {
        on_request_headers: carried(proxy),
      }),
      extension('envoy.filters.http.router', 'envoy.extensions.filters.http.router.v3.Router'),
    ],
  };
  const any = proxy.families === 'ipv4' ? '0.0.0.0' : '::';
  return typed('envoy.config.listener.v3.Listener', {
    name: connectTerminate,
    address: {
      socket_address: { address: any, port_value: hbonePort, ...(proxy.families === 'both' && { ipv4_compat: true }) },
    },
    traffic_direction: 'INBOUND',
    // Few connections that last long: chance would leave workers without any.
    connection_balance_config: { exact_balance: {} },
    filter_chains: [
      {
        name: 'default',
        transport_socket: extension('tls', 'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext', {
          common_tls_context: meshTls(facts),
          require_client_certificate: { value: true },
        }),
        filters: [extension('envoy.filters.network.http_connection_manager', hcm, manager)],
      },
    ],
  });
}

/** Behind each endpoint that takes HBONE: a CONNECT to the address that its metadata name. `logs`: of connections that failed. */
export function originateListener(logs: readonly Message[]): Typed {
  return typed('envoy.config.listener.v3.Listener', {
    name: connectOriginate,
    internal_listener: {},
    use_original_dst: { value: false },
    listener_filters: [originalDst],
    filter_chains: [
      {
        filters: [
          extension('envoy.filters.network.tcp_proxy', 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', {
            stat_prefix: connectOriginate,
            cluster: connectOriginate,
            tunneling_config: { hostname: '%DOWNSTREAM_LOCAL_ADDRESS%' },
            access_log: logs,
          }),
        ],
      },
    ],
  });
}

/** What is inside a tunnel, on its way to the listener that looks at it. */
export function mainInternalCluster(): Typed {
  return internalCluster(mainInternal, mainInternal);
}

/** Towards workloads that are addressed themselves. */
export function encapCluster(): Typed {
  return internalCluster(encap, connectOriginate, protocolOptions(undefined, {}));
}

function internalCluster(name: string, listener: string, options?: Message): Typed {
  return typed('envoy.config.cluster.v3.Cluster', {
    name,
    alt_stat_name: statPrefix(name),
    type: 'STATIC',
    circuit_breakers: limitless,
    ...(options && { typed_extension_protocol_options: options }),
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: internalAddress(listener) } }] }],
    },
    transport_socket: internalUpstream(rawBuffer, []),
  });
}

/** HTTP/2 with TLS to port 15008 of wherever the connection was to go. */
export function originateCluster(facts: MeshFacts): Typed {
  return typed('envoy.config.cluster.v3.Cluster', {
    name: connectOriginate,
    alt_stat_name: statPrefix(connectOriginate),
    type: 'ORIGINAL_DST',
    lb_policy: 'CLUSTER_PROVIDED',
    connect_timeout: durationOf(facts.connectTimeout),
    cleanup_interval: { seconds: 60 },
    circuit_breakers: limitless,
    original_dst_lb_config: {
      upstream_port_override: { value: hbonePort },
      // Where a waypoint of the destination's own comes first.
      metadata_key: { key: 'envoy.filters.listener.original_dst', path: [{ key: 'waypoint' }] },
    },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        {
          common_http_protocol_options: { idle_timeout: durationOf(facts.hboneIdleTimeout) },
          explicit_http_config: { http2_protocol_options: { allow_connect: true } },
        },
      ),
    },
    transport_socket: extension('tls', 'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
      common_tls_context: meshTls(facts),
    }),
  });
}
