/** Envoy's command operators by name. */
import { randomUUID } from 'node:crypto';
import { formatSocketAddr, type Ip, type Port } from '../../common/core/net.ts';
import type { HostAddress } from '../cluster/types.ts';
import { compileText } from '../expression/expression.ts';
import type { Address } from '../request/view.ts';
import { firstHeaderOf } from '../request/view.ts';
import { destinationOf, sourceOf } from '../telemetry/istio/peers.ts';
import type { FormatContext, Operator } from './format.ts';
import { grpcStatus } from './grpc-status.ts';
import { longResponseFlags } from './response-flags.ts';
import { compileTime } from './time.ts';

/** Throws Error for a name or argument that has no meaning here. `args`: what stands in parentheses. */
export function readOperator(name: string, args: string | undefined): Operator {
  const plain = Object.hasOwn(withoutArguments, name) ? withoutArguments[name] : undefined;
  if (plain) {
    if (args !== undefined) throw new Error(`%${name}% takes no argument`);
    return plain;
  }
  const made = Object.hasOwn(withArguments, name) ? withArguments[name] : undefined;
  if (!made) throw new Error(`%${name}% is not supported`);
  return made(args ?? '');
}

const text = (value: number | undefined) => (value === undefined ? undefined : String(value));

const withoutArguments: Readonly<Record<string, Operator>> = {
  PROTOCOL: ({ request }) => (request.protocol === 'http2' ? 'HTTP/2' : 'HTTP/1.1'),
  DOWNSTREAM_REMOTE_ADDRESS: ({ request }) => address(request.connection.remote),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ request }) => host(request.connection.remote),
  DOWNSTREAM_REMOTE_PORT: ({ request }) => text(request.connection.remote.port),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: ({ request }) => address(request.connection.directRemote),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: ({ request }) => host(request.connection.directRemote),
  DOWNSTREAM_DIRECT_REMOTE_PORT: ({ request }) => text(request.connection.directRemote.port),
  DOWNSTREAM_LOCAL_ADDRESS: ({ request }) => address(request.connection.local),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ({ request }) => host(request.connection.local),
  DOWNSTREAM_LOCAL_PORT: ({ request }) => text(request.connection.local.port),
  DOWNSTREAM_PEER_URI_SAN: ({ request }) => request.connection.principal,
  DOWNSTREAM_LOCAL_URI_SAN: ({ request }) => request.connection.localPrincipal,
  DOWNSTREAM_PEER_DNS_SAN: ({ request }) => request.connection.dnsNames?.join(','),
  DOWNSTREAM_PEER_SUBJECT: ({ request }) => request.connection.subject,
  REQUESTED_SERVER_NAME: ({ request }) => request.connection.sni,
  CONNECTION_ID: ({ facts }) => text(facts.connectionId),
  CONNECTION_TERMINATION_DETAILS: ({ facts }) => facts.connectionTerminationDetails,
  STREAM_ID: ({ facts }) => facts.requestId,
  HOSTNAME: ({ facts }) => facts.hostname,
  ROUTE_NAME: ({ facts }) => facts.routeName,
  VIRTUAL_HOST_NAME: ({ facts }) => facts.virtualHost,
  // There are no virtual clusters here.
  VIRTUAL_CLUSTER_NAME: () => undefined,
  UPSTREAM_CLUSTER: ({ facts }) => facts.cluster?.statName,
  UPSTREAM_CLUSTER_RAW: ({ facts }) => facts.cluster?.name,
  UPSTREAM_HOST: ({ facts }) => hostAddress(facts.upstreamHost),
  UPSTREAM_REMOTE_ADDRESS: ({ facts }) => hostAddress(facts.upstreamHost),
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ facts }) => ipOf(facts.upstreamHost) ?? hostAddress(facts.upstreamHost),
  UPSTREAM_REMOTE_PORT: ({ facts }) => (facts.upstreamHost?.kind === 'ip' ? text(facts.upstreamHost.port) : undefined),
  UPSTREAM_LOCAL_ADDRESS: ({ facts }) => address(facts.upstreamLocal),
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ({ facts }) => host(facts.upstreamLocal),
  UPSTREAM_LOCAL_PORT: ({ facts }) => text(facts.upstreamLocal?.port),
  UPSTREAM_TRANSPORT_FAILURE_REASON: ({ facts }) => facts.upstreamFailureReason,
  UPSTREAM_REQUEST_ATTEMPT_COUNT: ({ facts }) => text(facts.attempts ?? 0),
  RESPONSE_CODE: ({ response }) => text(response?.status ?? 0),
  RESPONSE_CODE_DETAILS: ({ facts }) => facts.responseCodeDetails,
  RESPONSE_FLAGS: ({ facts }) => facts.responseFlags ?? '-',
  RESPONSE_FLAGS_LONG: longResponseFlags,
  GRPC_STATUS_NUMBER: grpcStatus('NUMBER'),
  UNIQUE_ID: () => randomUUID(),
  DURATION: ({ facts }) => text(facts.duration),
  RESPONSE_DURATION: ({ facts }) => text(facts.responseDuration),
  BYTES_RECEIVED: ({ facts }) => text(facts.bytesReceived ?? 0),
  BYTES_SENT: ({ facts }) => text(facts.bytesSent ?? 0),
  TRACE_ID: ({ facts }) => facts.trace?.traceId || undefined,
  SPAN_ID: ({ facts }) => facts.trace?.spanId || undefined,
  LOCAL_REPLY_BODY: ({ facts }) => facts.localReplyBody,
};

type Maker = (args: string) => Operator;

const withArguments: Readonly<Record<string, Maker>> = {
  REQ: (args) => either(args, ({ request }, name) => firstHeaderOf(request, name)),
  RESP: (args) =>
    either(args, ({ response }, name) => (name === ':status' ? text(response?.status) : response?.headers.first(name))),
  TRAILER: (args) => either(args, ({ trailers }, name) => trailers?.first(name)),
  REQ_WITHOUT_QUERY: (args) => either(args, ({ request }, name) => firstHeaderOf(request, name)?.replace(/\?.*/s, '')),
  START_TIME: (args) => {
    const format = compileTime(args);
    return ({ facts }) => format(facts.startTime);
  },
  START_TIME_LOCAL: (args) => {
    const format = compileTime(args);
    // The letters are those of UTC.
    const local = (time: number) => time - new Date(time).getTimezoneOffset() * 60_000;
    return ({ facts }) => format(local(facts.startTime));
  },
  GRPC_STATUS: grpcStatus,
  QUERY_PARAM: (args) => {
    if (args === '') throw new Error('%QUERY_PARAM(NAME)%: a name is expected in the parentheses');
    return ({ request }) => parameter(request.path, args);
  },
  CEL: compileText,
  DYNAMIC_METADATA: (args) => {
    const [namespace, ...path] = keys('DYNAMIC_METADATA', args);
    return ({ request }) => found(request.metadata.get(namespace!), path);
  },
  METADATA: (args) => {
    const [source, namespace, ...path] = keys('METADATA', args);
    if (source === 'DYNAMIC') return ({ request }) => found(request.metadata.get(namespace ?? ''), path);
    if (source === 'ROUTE') return ({ facts }) => found(facts.routeMetadata?.[namespace ?? ''], path);
    throw new Error(`%METADATA(${args})%: of DYNAMIC and ROUTE only`);
  },
  FILTER_STATE: (args) => {
    const [key = '', kind = 'TYPED', field = ''] = args.split(':');
    if (kind === 'FIELD') return peerField(key, field);
    if (key === '' || !['PLAIN', 'TYPED'].includes(kind))
      throw new Error(`%FILTER_STATE(${args})%: KEY:PLAIN is expected`);
    const quote = kind === 'TYPED';
    return ({ request }) => {
      const value = request.connection.filterState.get(key);
      return value !== undefined && quote ? JSON.stringify(value) : value;
    };
  },
};

/** The first of that name, with its percent escapes decoded byte by byte, as Envoy does it. */
function parameter(path: string, name: string): string | undefined {
  const query = path.split('?', 2)[1];
  const found = query?.split('&').find((pair) => pair === name || pair.startsWith(`${name}=`));
  return found
    ?.slice(name.length + 1)
    .replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Of the ends of a request, by Istio's names; other objects have no fields here, and so no value. */
function peerField(key: string, field: string): Operator {
  const name = Object.hasOwn(peerFields, field) ? peerFields[field] : undefined;
  if (!name) return () => undefined;
  if (key === 'downstream_peer_obj') return ({ request }) => sourceOf(request.connection)[name] || undefined;
  if (key === 'upstream_peer_obj') return ({ facts }) => destinationOf(facts.hostMetadata)[name] || undefined;
  return () => undefined;
}

const peerFields: Readonly<Record<string, 'workload' | 'namespace' | 'cluster' | 'service' | 'revision'>> = {
  workload: 'workload',
  namespace: 'namespace',
  cluster: 'cluster',
  service: 'service',
  revision: 'revision',
  app: 'service',
  version: 'revision',
};

function either(args: string, read: (context: FormatContext, name: string) => string | undefined): Operator {
  const [first = '', second] = args.split('?').map((name) => name.trim().toLowerCase());
  if (first === '') throw new Error('a name of a header is expected in the parentheses');
  if (second === undefined) return (context) => read(context, first);
  return (context) => read(context, first) ?? read(context, second);
}

function keys(operator: string, args: string): readonly string[] {
  const names = args.split(':');
  if (names[0] === '') throw new Error(`%${operator}(${args})%: NAMESPACE:KEY:KEY is expected`);
  return names;
}

function found(root: unknown, path: readonly string[]): string | undefined {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  if (value === undefined || value === null) return undefined;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function address(a: Address | undefined): string | undefined {
  if (a === undefined || a.address === '') return undefined;
  return formatSocketAddr({ ip: a.address as Ip, port: a.port as Port });
}

/** Behind a tunnel that is the listener which makes it, with the endpoint's own address, as Envoy writes it. */
function hostAddress(a: HostAddress | undefined): string | undefined {
  switch (a?.kind) {
    case undefined:
      return undefined;
    case 'ip':
      return formatSocketAddr({ ip: a.ip as Ip, port: a.port as Port });
    case 'pipe':
      return a.path;
    case 'internal':
      return `envoy://${a.listener}/${a.endpointId}`;
  }
}

function ipOf(a: HostAddress | undefined): string | undefined {
  return a?.kind === 'ip' ? a.ip : undefined;
}

function host(a: Address | undefined): string | undefined {
  return a === undefined || a.address === '' ? undefined : a.address;
}
