/** What becomes of traffic for nobody that the mesh knows: outboundTrafficPolicy of the Sidecar that counts, else of MeshConfig. */
import type { MeshView } from '../inputs.ts';
import { tcpProxy } from '../listeners/tcp.ts';
import { outboundCluster } from '../names.ts';
import type { ClientProxy } from '../proxy.ts';
import { type Message, none, typed } from '../values.ts';

/** Names that Istio's tools know. */
export const passthroughCluster = 'PassthroughCluster';
export const blackHoleCluster = 'BlackHoleCluster';

export interface Unknown {
  /** Where it goes. */
  readonly cluster: string;
  /** Filters of connections that are no requests for anybody. */
  readonly filters: readonly Message[];
  /** The virtual host of requests for other hosts. */
  readonly host: Message;
}

export function unknownTraffic(view: MeshView, proxy: ClientProxy, logs: readonly Message[]): Unknown {
  const cluster = clusterOf(view, proxy);
  const isRefused = cluster === blackHoleCluster;
  const name = isRefused ? 'block_all' : 'allow_any';
  const action = isRefused ? { direct_response: { status: 502 } } : { route: { cluster, timeout: none } };
  return {
    cluster,
    filters: [tcpProxy(cluster, [{ name: cluster, weight: 1 }], logs)],
    host: { name, domains: ['*'], routes: [{ name, match: { prefix: '/' }, ...action }] },
  };
}

function clusterOf(view: MeshView, proxy: ClientProxy): string {
  const own = view.sidecar(proxy.namespace, proxy.labels)?.spec?.outboundTrafficPolicy;
  // A policy without a mode refuses, as in Istio.
  const mode = own === undefined ? view.facts.outboundTrafficPolicy : own.mode;
  // Whoever connects to the proxy itself has said nowhere that it wants to go.
  if (mode !== 'ALLOW_ANY' || proxy.interception === 'NONE') return blackHoleCluster;
  const to = own?.egressProxy;
  if (to === undefined) return passthroughCluster;
  const hostname = view.resolve(to.host, proxy.namespace)?.hostname ?? to.host;
  return outboundCluster(hostname, to.port?.number ?? 0, to.subset ?? '');
}

const http = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Both, whatever the policy: it may change. */
export const unknownClusters = [
  {
    ...typed('envoy.config.cluster.v3.Cluster', {
      type: 'ORIGINAL_DST',
      lb_policy: 'CLUSTER_PROVIDED',
      connect_timeout: { seconds: 10 },
      typed_extension_protocol_options: {
        [http]: typed(http, {
          use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} },
        }),
      },
    }),
    name: passthroughCluster,
  },
  {
    ...typed('envoy.config.cluster.v3.Cluster', { type: 'STATIC', connect_timeout: { seconds: 10 } }),
    name: blackHoleCluster,
  },
] as const;
