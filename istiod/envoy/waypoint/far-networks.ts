/**
 * Endpoints of other networks: a tunnel to the service by its name, within a tunnel to the gateway of that network (ambient-wire 2.3, 10).
 * An endpoint's metadata name both; two internal listeners and their clusters make one tunnel each.
 */
import { type Typed, typeUrl } from '../../../common/envoy/codec.ts';
import { limitless } from '../clusters/limits.ts';
import { internalUpstream } from '../clusters/transport.ts';
import type { MeshFacts } from '../inputs.ts';
import { innerConnectOriginate, outerConnectOriginate } from '../names.ts';
import type { WaypointProxy } from '../proxy.ts';
import { meshTls } from '../tls.ts';
import { clusterTypeUrl, listenerTypeUrl } from '../types.ts';
import { durationOf, extension, internalAddress, type Message, statPrefix, typed } from '../values.ts';
import { localAddressKey, originalDst } from './tunnels.ts';

interface Named {
  readonly type: typeof clusterTypeUrl | typeof listenerTypeUrl;
  readonly message: Typed & { readonly name: string };
}

const targetKey = 'istio.double_hbone.hbone_target_address';

/** `logs`: of connections that failed. */
export function farNetworks(proxy: WaypointProxy, facts: MeshFacts, logs: readonly Message[]): readonly Named[] {
  return [innerCluster(facts), outerCluster(facts), innerListener(proxy, logs), outerListener(logs)];
}

/** What the endpoint says goes along through both tunnels. */
function transitive(key: string, format: string, factory?: string): Message {
  return {
    object_key: key,
    ...(factory !== undefined && { factory_key: factory }),
    format_string: { text_format_source: { inline_string: format } },
    shared_with_upstream: 'TRANSITIVE',
  };
}

function innerListener({ network, engine }: WaypointProxy, logs: readonly Message[]): Named {
  const text = engine === 'istio' ? 'istio.hashable_string' : 'envoy.string';
  const carried = extension(
    'propagate_endpoint_metadata',
    'envoy.extensions.filters.network.set_filter_state.v3.Config',
    {
      on_new_connection: [
        transitive(localAddressKey, '%DYNAMIC_METADATA(envoy.filters.listener.original_dst:local)%'),
        transitive(targetKey, '%DYNAMIC_METADATA(istio:double_hbone:hbone_target_address)%', text),
      ],
    },
  );
  const from = header('x-forwarded-network', network);
  return listener(innerConnectOriginate, [], [carried, connectTo(innerConnectOriginate, logs, from)]);
}

/** The gateway is told that L7 is done: it does not lead to the service's waypoint there. */
function outerListener(logs: readonly Message[]): Named {
  const done = header('x-istio-source', 'waypoint');
  return listener(outerConnectOriginate, [originalDst], [connectTo(outerConnectOriginate, logs, done)]);
}

function header(key: string, value: string): Message {
  return { append_action: 'OVERWRITE_IF_EXISTS_OR_ADD', header: { key, value } };
}

function connectTo(cluster: string, logs: readonly Message[], more: Message): Message {
  return extension('envoy.filters.network.tcp_proxy', 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', {
    stat_prefix: cluster,
    cluster,
    tunneling_config: { hostname: `%FILTER_STATE(${targetKey}:PLAIN)%`, headers_to_add: [more] },
    access_log: logs,
  });
}

function listener(name: string, listener_filters: readonly Message[], filters: readonly Message[]): Named {
  const message = {
    '@type': typeUrl('envoy.config.listener.v3.Listener'),
    name,
    internal_listener: {},
    use_original_dst: { value: false },
    listener_filters,
    filter_chains: [{ filters }],
  };
  return { type: listenerTypeUrl, message };
}

/** The inner tunnel's own TLS, whose peer is a workload of the other network. */
function innerCluster(facts: MeshFacts): Named {
  return cluster(innerConnectOriginate, facts, {
    type: 'STATIC',
    load_assignment: {
      cluster_name: innerConnectOriginate,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: internalAddress(outerConnectOriginate) } }] }],
    },
    transport_socket: internalUpstream(tls(facts), []),
  });
}

/** To the address of the gateway, which the filter state says with its port. */
function outerCluster(facts: MeshFacts): Named {
  return cluster(outerConnectOriginate, facts, {
    type: 'ORIGINAL_DST',
    lb_policy: 'CLUSTER_PROVIDED',
    connect_timeout: durationOf(facts.connectTimeout),
    cleanup_interval: { seconds: 60 },
    transport_socket: tls(facts),
  });
}

function tls(facts: MeshFacts): Message {
  return extension('tls', 'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
    common_tls_context: meshTls(facts),
  });
}

function cluster(name: string, { hboneIdleTimeout }: MeshFacts, more: Message): Named {
  const options = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  const message = {
    '@type': typeUrl('envoy.config.cluster.v3.Cluster'),
    name,
    alt_stat_name: statPrefix(name),
    circuit_breakers: limitless,
    typed_extension_protocol_options: {
      [options]: typed(options, {
        // The far end chooses an endpoint for each connection: what shared one would stay with it, and where it leads is not part of the pool.
        common_http_protocol_options: {
          max_requests_per_connection: { value: 1 },
          idle_timeout: durationOf(hboneIdleTimeout),
        },
        explicit_http_config: { http2_protocol_options: { allow_connect: true } },
      }),
    },
    ...more,
  };
  return { type: clusterTypeUrl, message };
}
