/** Listeners of an Envoy towards the mesh, with names and order as Istio's sidecars have them. Pure. */
import type { Typed } from '../../../common/envoy/codec.ts';
import type { MeshFacts } from '../inputs.ts';
import { dynamicHttp } from '../listeners/dynamic-dns.ts';
import { httpManager } from '../listeners/http.ts';
import { byDestination, byPort, byProtocol, type OnMatch, toChain, toMatcher } from '../listeners/matchers.ts';
import { tcpProxy } from '../listeners/tcp.ts';
import type { ClientProxy } from '../proxy.ts';
import { extension, type Message, socketAddress, typed } from '../values.ts';
import { frozen } from '../waypoint/service.ts';
import { type Door, everywhere, loopback, nameOf } from './doors.ts';
import type { PortFront } from './front.ts';
import { blackHoleCluster, type Unknown } from './unknown.ts';

export const virtualOutbound = 'virtualOutbound';
const capturePort = 15_001;
/** How long the first bytes may take until a connection counts as one where the server speaks first. */
const detection = { seconds: 5 };
const unknownChain = 'unknown';

const inspector = (kind: 'http' | 'tls', type: string) =>
  extension(
    `envoy.filters.listener.${kind}_inspector`,
    `envoy.extensions.filters.listener.${kind}_inspector.v3.${type}`,
  );

export function doorListener(
  proxy: ClientProxy,
  facts: MeshFacts,
  door: Door,
  unknown: Unknown,
  logs: readonly Message[],
): Typed {
  const { address, port, routes, ranges, streams } = door;
  const name = nameOf(door);
  const [stream] = streams;
  const other = stream?.on ?? toChain(unknownChain);
  const http = routes === undefined ? undefined : httpChain(proxy, facts, door, routes, logs);
  const either = (rest: OnMatch) => (http === undefined ? rest : toMatcher(byProtocol(toChain(http.name), rest)));
  const ranged = ranges.flatMap((r) =>
    r.ranges.length === 0
      ? []
      : [
          {
            ranges: r.ranges,
            on: r.port.speaks === 'unknown' ? either(r.port.on) : r.port.on,
          },
        ],
  );
  const on = ranged.length === 0 ? either(other) : toMatcher({ ...byDestination(ranged), on_no_match: either(other) });
  const passed = [...streams.slice(0, 1), ...ranges.map((r) => r.port)];
  return typed('envoy.config.listener.v3.Listener', {
    name,
    address: socketAddress(address, port),
    additional_addresses: othersOf(proxy, address, port),
    traffic_direction: 'OUTBOUND',
    bind_to_port: { value: proxy.interception === 'NONE' },
    listener_filters: inspectors(http !== undefined, passed),
    listener_filters_timeout: detection,
    continue_on_listener_filters_timeout: true,
    filter_chains: [
      ...(http === undefined ? [] : [http]),
      ...passed.flatMap((p) => p.chains),
      { name: unknownChain, filters: unknown.filters },
    ],
    filter_chain_matcher: byPort(new Map([[port, on]])),
  });
}

function othersOf({ families }: ClientProxy, address: string, port: number): readonly Message[] {
  const same = [everywhere[families], loopback[families]].find(([first]) => first === address);
  return (same ?? []).slice(1).map((other) => ({ address: socketAddress(other, port) }));
}

function httpChain(proxy: ClientProxy, facts: MeshFacts, door: Door, routes: string, logs: readonly Message[]) {
  const first = door.isDynamic ? [dynamicHttp(proxy)] : [];
  const manager = httpManager(facts, `outbound_${nameOf(door)}`, { protocol: undefined }, routes, { first }, logs);
  return frozen({ name: routes, filters: [manager] });
}

/** They wait for the client's first bytes: none where nothing hangs on those. */
function inspectors(isHttp: boolean, passed: readonly PortFront[]): readonly Message[] {
  if (isHttp) return [inspector('http', 'HttpInspector')];
  return passed.some((p) => p.speaks === 'tls') ? [inspector('tls', 'TlsInspector')] : [];
}

/** Takes what the kernel leads to it, and hands it to the listener of the address that was wanted. */
export function captureListener(proxy: ClientProxy, unknown: Unknown, logs: readonly Message[]): Typed {
  const [address] = everywhere[proxy.families];
  return typed('envoy.config.listener.v3.Listener', {
    name: virtualOutbound,
    address: socketAddress(address, capturePort),
    additional_addresses: othersOf(proxy, address, capturePort),
    traffic_direction: 'OUTBOUND',
    use_original_dst: { value: true },
    transparent: { value: proxy.interception === 'TPROXY' },
    filter_chains: [
      {
        // Who connects here by itself would be led here again.
        name: `${virtualOutbound}-blackhole`,
        filter_chain_match: { destination_port: { value: capturePort } },
        filters: [tcpProxy(blackHoleCluster, [{ name: blackHoleCluster, weight: 1 }], logs)],
      },
      { name: `${virtualOutbound}-catchall-tcp`, filters: unknown.filters },
    ],
  });
}
