/** One bootstrap for our waypoint and for Envoy: the listeners that hostile peers come to, and what is behind them. */
import { typeUrl } from '../../../common/envoy/codec.ts';
import type { WorkloadCertificate } from '../../../common/identity/types.ts';
import { httpFilter, staticCluster } from '../../../waypoint/testing/rig.ts';
import type { Bootstrap } from '../../harness/envoy.ts';

type Json = Readonly<Record<string, unknown>>;

export interface Backends {
  readonly http1: number;
  readonly http2: number;
  /** What answers `/neighbour`. */
  readonly neighbours: number;
}

export interface HbonePeer {
  readonly certificate: WorkloadCertificate;
  /** PEM. */
  readonly root: string;
}

const routes = [
  { match: { path: '/neighbour' }, route: { cluster: 'neighbours', timeout: '0s' } },
  { match: { prefix: '/none' }, direct_response: { status: 404 } },
  { match: { prefix: '/h2/' }, route: { cluster: 'http2', timeout: '0s' } },
  {
    match: { prefix: '/again/' },
    route: { cluster: 'http1', timeout: '0s', retry_policy: { retry_on: '5xx', num_retries: 3 } },
  },
  { match: { prefix: '/' }, route: { cluster: 'http1', timeout: '0s' } },
];

/** As istiod's (istiod/envoy/listeners/http.ts). */
const manager: Json = {
  normalize_path: true,
  strip_trailing_host_dot: true,
  use_remote_address: false,
  stream_idle_timeout: '0s',
  upgrade_configs: [{ upgrade_type: 'websocket' }],
};

/** Time-outs of these names, short, on a listener each. */
export const timeouts = {
  request_headers_timeout: '1s',
  stream_idle_timeout: '1s',
  request_timeout: '1s',
} as const;

const http2 = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': typeUrl('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

/** Listeners `plain`, one for each of `timeouts`, and `hbone` where there is a certificate for it. */
export function hostileBootstrap(backends: Backends, hbone: HbonePeer | undefined): Bootstrap {
  return {
    node: { id: 'hostile', cluster: 'hostile' },
    bootstrap_extensions: [
      {
        name: 'envoy.bootstrap.internal_listener',
        typed_config: { '@type': typeUrl('envoy.extensions.bootstrap.internal_listener.v3.InternalListener') },
      },
    ],
    static_resources: {
      clusters: [
        staticCluster('neighbours', [backends.neighbours]),
        staticCluster('http1', [backends.http1]),
        staticCluster('http2', [backends.http2], http2),
        ...(hbone ? [internalCluster('main_internal')] : []),
      ],
      listeners: [
        listener('plain', httpFilter(routes, { stat_prefix: 'plain', ...manager })),
        ...Object.entries(timeouts).map(([name, value]) =>
          listener(name, httpFilter(routes, { stat_prefix: name, ...manager, [name]: value })),
        ),
        ...(hbone ? [terminateListener(hbone), insideListener()] : []),
      ],
    },
  };
}

function listener(name: string, filter: Json): Json {
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [{ filters: [filter] }],
  };
}

function internalCluster(name: string): Json {
  const address = { envoy_internal_address: { server_listener_name: name, endpoint_id: 'x' } };
  return {
    name,
    type: 'STATIC',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}

function insideListener(): Json {
  return {
    name: 'main_internal',
    internal_listener: {},
    filter_chains: [{ filters: [httpFilter(routes, { stat_prefix: 'inside', ...manager })] }],
  };
}

/** As istiod's (istiod/envoy/waypoint/tunnels.ts). */
function terminateListener({ certificate, root }: HbonePeer): Json {
  const connect = {
    match: { connect_matcher: {} },
    route: {
      cluster: 'main_internal',
      timeout: '0s',
      upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }],
    },
  };
  const filter = httpFilter([connect], {
    stat_prefix: 'hbone',
    stream_idle_timeout: '0s',
    upgrade_configs: [{ upgrade_type: 'CONNECT' }],
    http2_protocol_options: { allow_connect: true, max_concurrent_streams: 100 },
  });
  const tls = {
    '@type': typeUrl('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
    require_client_certificate: true,
    common_tls_context: {
      tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
      alpn_protocols: ['h2'],
      tls_certificates: [
        {
          certificate_chain: { inline_string: certificate.chain.join('\n') },
          private_key: { inline_string: certificate.privateKey },
        },
      ],
      validation_context: { trusted_ca: { inline_string: root } },
    },
  };
  return {
    name: 'hbone',
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [{ filters: [filter], transport_socket: { name: 'tls', typed_config: tls } }],
  };
}
