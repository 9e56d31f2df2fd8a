/** The listener that looks at what is inside of tunnels, and finds the service by the address that the client wanted. */
import type { Typed } from '../../../common/envoy/codec.ts';
import { byAuthority, byDestination, byPort, type Ranges, toMatcher } from '../listeners/matchers.ts';
import { mainInternal } from '../names.ts';
import { extension, hostPort, type Message, typed } from '../values.ts';
import type { DirectAccess } from './direct.ts';
import type { PortMatch, WaypointFront } from './service.ts';
import { originalDst } from './tunnels.ts';

/** How long the first bytes may take until a connection counts as one where the server speaks first. */
const detection = { seconds: 5 };
/** Envoy asks for a chain at least; a waypoint of no services refuses everything. */
const nothing = { name: 'nothing', filters: [] };

/** `isNamed`: clients may say `hostname:port` in place of an address. */
export function mainInternalListener(
  services: readonly WaypointFront[],
  direct: DirectAccess | undefined,
  isNamed: boolean,
): Typed {
  const reachable = services.filter((s) => s.ranges.length > 0 && s.ports.size > 0);
  const chains = [...reachable.flatMap((s) => s.chains), ...(direct?.chains ?? [])];
  const ports = reachable.flatMap((s) => [...s.ports]);
  const ranges = [
    ...reachable.map((s) => ({
      ranges: s.ranges,
      on: toMatcher(byPort(new Map([...s.ports].map(([port, { on }]) => [port, on])))),
    })),
    ...(direct ? [direct.ranges] : []),
  ];
  return typed('envoy.config.listener.v3.Listener', {
    name: mainInternal,
    internal_listener: {},
    traffic_direction: 'INBOUND',
    listener_filters: [originalDst, ...inspectors(ports, direct !== undefined)],
    listener_filters_timeout: detection,
    continue_on_listener_filters_timeout: true,
    filter_chains: chains.length === 0 ? [nothing] : chains,
    ...(ranges.length > 0 && { filter_chain_matcher: isNamed ? byName(reachable, ranges) : byDestination(ranges) }),
  });
}

function byName(services: readonly WaypointFront[], ranges: readonly Ranges[]): Message {
  const names = services.flatMap(({ hostname, ports }) =>
    [...ports].map(([port, { on }]) => [hostPort(hostname, port), on] as const),
  );
  return byAuthority(new Map(names), toMatcher(byDestination(ranges)));
}

/** Inspectors wait for the client's first bytes: ports where nothing hangs on those are left out. `anyPort`: there are none. */
function inspectors(ports: readonly (readonly [number, PortMatch])[], anyPort: boolean): readonly Message[] {
  const all = [...new Set(ports.map(([port]) => port))].sort((a, b) => a - b);
  const speaks = (port: number) => new Set(ports.filter(([p]) => p === port).map(([, { speaks }]) => speaks));
  const http = inspector(
    extension(
      'envoy.filters.listener.http_inspector',
      'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector',
    ),
    anyPort ? all : all.filter((p) => speaks(p).has('unknown')),
    all,
    anyPort,
  );
  const tls = inspector(
    extension(
      'envoy.filters.listener.tls_inspector',
      'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector',
    ),
    all.filter((p) => speaks(p).has('tls')),
    all,
    false,
  );
  return [...http, ...tls];
}

function inspector(
  filter: Message,
  wanted: readonly number[],
  all: readonly number[],
  always: boolean,
): readonly Message[] {
  if (always) return [filter];
  if (wanted.length === 0) return [];
  const rules = all
    .filter((port) => !wanted.includes(port))
    .map((port) => ({ destination_port_range: { start: port, end: port + 1 } }));
  if (rules.length === 0) return [filter];
  return [{ ...filter, filter_disabled: rules.length === 1 ? rules[0] : { or_match: { rules } } }];
}
