/** Connections that are passed on as they are. */
import type { Tunnel } from '../clusters/rules.ts';
import { durationOf, extension, type Message } from '../values.ts';

export interface Share {
  readonly name: string;
  readonly weight: number;
}

export interface TcpOptions {
  readonly idleTimeout?: string | undefined;
  /** What is asked of the upstream proxy before bytes go to it. */
  readonly tunnel?: Tunnel | undefined;
}

/** To one cluster, or to several by weight. */
export function tcpProxy(
  name: string,
  clusters: readonly Share[],
  logs: readonly Message[],
  { idleTimeout, tunnel }: TcpOptions = {},
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
    ...(tunnel && { tunneling_config: tunneling(tunnel) }),
    access_log: logs,
  });
}

function tunneling({ protocol = 'CONNECT', targetHost, targetPort }: Tunnel): Message {
  return {
    hostname: `${targetHost.includes(':') ? `[${targetHost}]` : targetHost}:${targetPort}`,
    use_post: protocol.toUpperCase() === 'POST',
  };
}
