/** Where the metrics of connected proxies are read. Pure. */
import { type Ip, parseIp } from '../../../common/core/net.ts';

export interface ConnectedProxy {
  /** Envoy's node id, `ztunnel~...`; another one than a proxy's has no metrics that are read. */
  readonly id: string;
  /** From where its stream came, which nobody can forge: `ADDRESS:PORT`, as gRPC writes it, IPv6 without brackets. */
  readonly peer: string;
}

export function* proxyAddresses(proxies: Iterable<ConnectedProxy>): Generator<Ip> {
  for (const { id, peer } of proxies) {
    const ip = /^(ztunnel|waypoint)~/.test(id) ? parseIp(peer.slice(0, peer.lastIndexOf(':'))) : undefined;
    if (ip !== undefined) yield ip;
  }
}
