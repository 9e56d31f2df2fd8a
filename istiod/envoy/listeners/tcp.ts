/** Connections that are passed on as they are. */
import { durationOf, extension, type Message } from '../values.ts';

export interface Share {
  readonly name: string;
  readonly weight: number;
}

/** To one cluster, or to several by weight. */
export function tcpProxy(
  name: string,
  clusters: readonly Share[],
  logs: readonly Message[],
  idleTimeout?: string,
): Message {
  const [first] = clusters;
  const to =
    clusters.length === 1 && first !== undefined
      ? { cluster: first.name }
      : { weighted_clusters: { clusters: clusters.map((c) => ({ name: c.name, weight: c.weight })) } };
  return extension('envoy.filters.network.tcp_proxy', 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', {
    stat_prefix: name,
    ...to,
    ...(idleTimeout !== undefined && { idle_timeout: durationOf(idleTimeout) }),
    access_log: logs,
  });
}
