/** `aquifer proxy-config listener`. Pure. */

import { chainMatches } from './chain-matches.ts';
import { at, get, type Json, objects } from './dump.ts';
import { matchOf, texts } from './routes.ts';
import type { Table } from './table.ts';

/** undefined: all. Case does not count. */
export interface ListenerFilter {
  readonly address?: string | undefined;
  readonly port?: string | undefined;
  readonly type?: string | undefined;
}

const http = 'envoy.filters.network.http_connection_manager';
const tcp = 'envoy.filters.network.tcp_proxy';
const blackHole = 'BlackHoleCluster';

export function chosenListeners(listeners: readonly Json[], filter: ListenerFilter): readonly Json[] {
  const same = (wanted: string | undefined, value: string) =>
    wanted === undefined || wanted.toLowerCase() === value.toLowerCase();
  return listeners
    .filter(
      (l) =>
        (filter.address === undefined || addressesOf(l).some((a) => same(filter.address, a))) &&
        same(filter.port, String(portOf(l))) &&
        same(filter.type, typeOf(l)),
    )
    .toSorted(
      (a, b) =>
        portOf(a) - portOf(b) ||
        compare(addressesOf(a)[0] ?? '', addressesOf(b)[0] ?? '') ||
        compare(typeOf(a), typeOf(b)) ||
        compare(String(a['name']), String(b['name'])),
    );
}

export function listenerTable(listeners: readonly Json[], verbose: boolean): Table {
  const place = (l: Json) => [addressesOf(l).join(','), String(portOf(l))];
  if (!verbose) return { header: ['ADDRESSES', 'PORT', 'TYPE'], rows: listeners.map((l) => [...place(l), typeOf(l)]) };
  return {
    header: ['ADDRESSES', 'PORT', 'MATCH', 'DESTINATION'],
    rows: listeners.flatMap((l) =>
      chainsOf(l)
        .map((chain) => ({ match: matchText((chain['filter_chain_match'] ?? {}) as Json), to: destinationOf(chain) }))
        .toSorted((a, b) => compare(b.to, a.to))
        .map(({ match, to }) => [...place(l), match, to]),
    ),
  };
}

/** A waypoint's listeners hand over to each other by matchers: their chains say more than addresses. */
export function waypointListenerTable(listeners: readonly Json[]): Table {
  return {
    header: ['LISTENER', 'CHAIN', 'MATCH', 'DESTINATION'],
    rows: listeners.flatMap((l) => {
      const chains = chainsOf(l);
      const title = `envoy://${l['name']}`;
      return chains.flatMap((chain) =>
        chainMatches(l, chain, matchText).map((match) => [
          title,
          String(chain['name'] ?? ''),
          match,
          destinationOf(chain),
        ]),
      );
    }),
  };
}

function chainsOf(listener: Json): readonly Json[] {
  return [...objects(listener['filter_chains']), ...at(listener, ['default_filter_chain'])];
}

/** HTTP, TCP, HTTP+TCP or UNKNOWN. */
function typeOf(listener: Json): string {
  const filters = chainsOf(listener).flatMap((chain) => objects(chain['filters']));
  const isHttp = filters.some((f) => f['name'] === http);
  const isTcp = filters.some((f) => f['name'] === tcp && get(f, 'typed_config', 'cluster') !== blackHole);
  return isHttp ? (isTcp ? 'HTTP+TCP' : 'HTTP') : isTcp ? 'TCP' : 'UNKNOWN';
}

function addressesOf(listener: Json): readonly string[] {
  const own = get(listener, 'address', 'socket_address', 'address') ?? get(listener, 'address', 'pipe', 'path');
  const more = objects(listener['additional_addresses']).map((a) => get(a, 'address', 'socket_address', 'address'));
  return [own, ...more].filter((a) => a !== undefined).map(String);
}

function portOf(listener: Json): number {
  return Number(get(listener, 'address', 'socket_address', 'port_value') ?? 0);
}

/** ALPN lists that have a name. */
const applications: Readonly<Record<string, string>> = {
  'http/1.0,http/1.1,h2c,istio-http/1.0,istio-http/1.1,istio-h2': 'App: HTTP TLS',
  'istio,istio-http/1.0,istio-http/1.1,istio-h2': 'App: Istio HTTP Plain',
  'istio-peer-exchange,istio': 'App: TCP TLS',
  'http/1.0,http/1.1,h2c': 'App: HTTP',
};

function matchText(match: Json): string {
  const names = texts(match['server_names']).join(',');
  const transport = match['transport_protocol'] ?? '';
  const alpn = texts(match['application_protocols']).join(',');
  const port = match['destination_port'] === undefined ? '' : `:${match['destination_port']}`;
  const ranges = objects(match['prefix_ranges']).map((r) => `${r['address_prefix']}/${r['prefix_len'] ?? 0}`);
  const parts = [
    ...(names === '' ? [] : [`SNI: ${names}`]),
    ...(transport === '' ? [] : [`Trans: ${transport}`]),
    ...(alpn === '' ? [] : [applications[alpn] ?? `App: ${alpn}`]),
    ...(ranges.length > 0 ? [`Addr: ${ranges.join(',')}${port}`] : port === '' ? [] : [`Addr: *${port}`]),
  ];
  return parts.length === 0 ? 'ALL' : parts.join('; ');
}

function destinationOf(chain: Json): string {
  for (const filter of objects(chain['filters'])) {
    const config = (filter['typed_config'] ?? {}) as Json;
    if (filter['name'] === http) {
      const inline = config['route_config'];
      if (inline !== undefined) return inlineRoute(inline as Json);
      const name = get(config, 'rds', 'route_config_name');
      return name === undefined ? 'HTTP' : `Route: ${name}`;
    }
    if (filter['name'] === tcp && config['cluster'] !== blackHole) return clusterText(String(config['cluster'] ?? ''));
  }
  return 'Non-HTTP/Non-TCP';
}

function clusterText(cluster: string): string {
  return cluster.includes('Cluster') ? cluster : `Cluster: ${cluster}`;
}

/** One that takes all to a cluster is that cluster. */
function inlineRoute(config: Json): string {
  const hosts = objects(config['virtual_hosts']);
  const [host] = hosts;
  const isAll = hosts.length === 1 && texts(host?.['domains']).join() === '*';
  const [route, ...more] = objects(host?.['routes']);
  const cluster = get(route, 'route', 'cluster');
  if (isAll && more.length === 0 && get(route, 'match', 'prefix') === '/' && typeof cluster === 'string')
    return clusterText(cluster);
  const described = hosts.map((h) => {
    const domains = texts(h['domains']).join('/');
    const matches = objects(h['routes']).map((r) => matchOf((r['match'] ?? {}) as Json));
    return `${domains === '*' || domains === '' ? '' : `${domains} `}${matches.join(', ')}`;
  });
  return `Inline Route: ${described.join('; ')}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
