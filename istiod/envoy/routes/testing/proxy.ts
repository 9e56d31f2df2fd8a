/** Who asks, for tests of what is made for waypoints. */
import type { WaypointProxy } from '../../proxy.ts';

/** A stock Envoy as the waypoint `shop/waypoint`, but for what is said otherwise. */
export function waypointProxy(more: Partial<WaypointProxy> = {}): WaypointProxy {
  return {
    kind: 'waypoint',
    account: undefined,
    gateway: 'shop/waypoint',
    namespace: 'shop',
    locality: { region: '', zone: '', subzone: '' },
    node: '',
    network: '',
    families: 'ipv4',
    engine: 'envoy',
    ...more,
  };
}
