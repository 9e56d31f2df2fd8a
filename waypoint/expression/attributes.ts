/** Envoy's attributes (and Istio's of the two peers) by their first name, made of what formats see. */
import { jsonValue } from '../../common/cel/json.ts';
import { type MapKey, toDuration, toTimestamp, type Value } from '../../common/cel/values.ts';
import { addressText } from '../cluster/compile/address.ts';
import type { FormatContext, StreamFacts } from '../format/format.ts';
import type { Headers } from '../request/headers.ts';
import type { Address } from '../request/view.ts';
import { destinationOf, localPrincipalOf, type Peer, principalOf, sourceOf } from '../telemetry/istio/peers.ts';

type Attribute = (context: FormatContext) => Value;

export const attributes: Readonly<Record<string, Attribute>> = {
  request: ({ request, facts }) => {
    const { headers } = request;
    const [path = '', query = ''] = request.path.split(/\?(.*)/s);
    return record({
      // A connection's log asks of no request.
      ...(request.method !== '' && {
        path: request.path,
        url_path: path,
        query,
        host: request.authority,
        scheme: request.scheme,
        method: request.method,
      }),
      headers: headerMap(headers, [
        [':method', request.method],
        [':path', request.path],
        [':authority', request.authority],
        [':scheme', request.scheme],
      ]),
      referer: headers.get('referer') ?? '',
      useragent: headers.get('user-agent') ?? '',
      id: headers.get('x-request-id') ?? '',
      protocol: request.protocol === 'http2' ? 'HTTP/2' : 'HTTP/1.1',
      time: toTimestamp(BigInt(facts.startTime) * 1_000_000n),
      duration: facts.duration === undefined ? undefined : toDuration(BigInt(Math.round(facts.duration)) * 1_000_000n),
      size: whole(facts.bytesReceived),
      total_size: whole(facts.wireReceived ?? facts.bytesReceived),
    });
  },
  response: ({ response, trailers, facts }) =>
    record({
      code: whole(response?.status ?? 0),
      code_details: facts.responseCodeDetails,
      headers: response && headerMap(response.headers, [[':status', String(response.status)]]),
      trailers: trailers && headerMap(trailers, []),
      grpc_status: whole(numberOf(trailers?.get('grpc-status') ?? response?.headers.get('grpc-status'))),
      size: whole(facts.bytesSent),
      total_size: whole(facts.wireSent ?? facts.bytesSent),
      backend_latency: backendLatency(facts),
    }),
  source: ({ request }) => address(request.connection.remote),
  destination: ({ request }) => address(request.connection.local),
  connection: ({ request: { connection }, facts }) =>
    record({
      id: whole(facts.connectionId),
      mtls: principalOf(connection) !== '',
      requested_server_name: connection.sni,
      uri_san_peer_certificate: principalOf(connection) || undefined,
      uri_san_local_certificate: localPrincipalOf(connection) || undefined,
      dns_san_peer_certificate: connection.dnsNames?.[0],
      subject_peer_certificate: connection.subject,
      termination_details: facts.connectionTerminationDetails,
    }),
  upstream: ({ facts }) =>
    record({
      address: facts.upstreamHost && addressText(facts.upstreamHost),
      port: facts.upstreamHost?.kind === 'ip' ? whole(facts.upstreamHost.port) : undefined,
      local_address: facts.upstreamLocal && addressText(facts.upstreamLocal),
      transport_failure_reason: facts.upstreamFailureReason,
      request_attempt_count: whole(facts.attempts ?? 0),
    }),
  xds: ({ facts }) =>
    record({
      cluster_name: facts.cluster?.name,
      cluster_metadata: facts.clusterMetadata && record({ filter_metadata: jsonValue(facts.clusterMetadata) }),
      route_name: facts.routeName,
      route_metadata: facts.routeMetadata && record({ filter_metadata: jsonValue(facts.routeMetadata) }),
      virtual_host_name: facts.virtualHost,
      upstream_host_metadata: facts.hostMetadata && record({ filter_metadata: jsonValue(facts.hostMetadata) }),
    }),
  metadata: ({ request }) => record({ filter_metadata: jsonValue(Object.fromEntries(request.metadata)) }),
  filter_state: ({ request, facts }) => {
    const map = new Map<MapKey, Value>(request.connection.filterState);
    const [source, destination] = [peer(sourceOf(request.connection)), peer(destinationOf(facts.hostMetadata))];
    for (const prefix of ['', 'wasm.']) {
      map.set(`${prefix}downstream_peer`, source);
      map.set(`${prefix}upstream_peer`, destination);
    }
    return map;
  },
  downstream_peer: ({ request }) => peer(sourceOf(request.connection)),
  upstream_peer: ({ facts }) => peer(destinationOf(facts.hostMetadata)),
};

function record(fields: Readonly<Record<string, Value | undefined>>): Value {
  return new Map<MapKey, Value>(
    Object.entries(fields).filter((entry): entry is [string, Value] => entry[1] !== undefined),
  );
}

function whole(value: number | undefined): bigint | undefined {
  return value === undefined ? undefined : BigInt(Math.round(value));
}

function numberOf(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}

function headerMap(headers: Headers, pseudo: readonly (readonly [string, string])[]): Value {
  const map = new Map<MapKey, Value>(pseudo.filter(([, value]) => value !== ''));
  for (const [name] of headers) map.set(name, headers.get(name)!);
  return map;
}

function text({ address, port }: Address): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function address(a: Address): Value {
  return record({ address: text(a), port: whole(a.port) });
}

function peer(p: Peer): Value {
  return record({
    workload: p.workload,
    namespace: p.namespace,
    cluster: p.cluster,
    service: p.service,
    revision: p.revision,
    app: p.service,
    version: p.revision,
    identity: p.identity,
    labels: record({ app: p.service, version: p.revision }),
  });
}

/** From the first byte that went to the host to the last that came from it. */
function backendLatency({ times }: StreamFacts) {
  const [from, to] = [times?.upstreamRequestStart, times?.upstreamResponseEnd];
  return from === undefined || to === undefined ? undefined : toDuration(BigInt(Math.round((to - from) * 1_000_000)));
}
