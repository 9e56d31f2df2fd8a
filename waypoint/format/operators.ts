/** Envoy's command operators by name. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { textOf } from '../../common/cel/standard.ts';
import type { Value } from '../../common/cel/values.ts';
import { firstOf, formatCidr, formatSocketAddr, type Ip, type Port, parseIp } from '../../common/core/net.ts';
import { operators } from '../../common/envoy/operators.ts';
import type { HostAddress } from '../cluster/types.ts';
import { compileExpression, compileText } from '../expression/expression.ts';
import { headerBytes, requestHeaderBytes, statusBytes } from '../request/header-bytes.ts';
import type { Address, ConnectionView } from '../request/view.ts';
import { firstHeaderOf } from '../request/view.ts';
import { destinationOf, sourceOf } from '../telemetry/istio/peers.ts';
import { certificateOperators, validityOperators } from './certificates.ts';
import { commonDuration, durationOperators } from './durations.ts';
import type { FormatContext, Operator, StreamFacts, TriedHost } from './format.ts';
import { grpcStatus } from './grpc-status.ts';
import { path, queryParam, queryParams, serverName, variable } from './request-operators.ts';
import { longResponseFlags } from './response-flags.ts';
import { compileTime } from './time.ts';

/** Throws Error for a name or argument that has no meaning here. `args`: what stands in parentheses. */
export function readOperator(name: string, args: string | undefined): Operator {
  const shape = Object.hasOwn(operators, name) ? operators[name] : undefined;
  if (!shape) throw new Error(`%${name}% is not supported`);
  if (args !== undefined && shape.argument === 'none') throw new Error(`%${name}% takes no argument`);
  const read = operatorOf(name, args ?? '');
  if (!shape.isNumber) return read;
  const json = (context: FormatContext) => {
    const value = read(context);
    return value === undefined || value === '' ? undefined : Number(value);
  };
  return Object.assign((context: FormatContext) => read(context), { json });
}

function operatorOf(name: string, args: string): Operator {
  if (Object.hasOwn(withoutArguments, name)) return withoutArguments[name]!;
  if (Object.hasOwn(withArguments, name)) return withArguments[name]!(args);
  // What the list says there is never a value of.
  const constant = Object.hasOwn(constants, name) ? constants[name] : undefined;
  return () => constant;
}

/** What Envoy writes where it has no value, if not `-`. */
const constants: Readonly<Record<string, string>> = {
  BYTES_RETRANSMITTED: '0',
  CUSTOM_FLAGS: '',
  DOWNSTREAM_DETECTED_CLOSE_TYPE: 'Normal',
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID: '',
  DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID: '',
  PACKETS_RETRANSMITTED: '0',
};

const text = (value: number | undefined) => (value === undefined ? undefined : String(value));

const withoutArguments: Readonly<Record<string, Operator>> = {
  ...certificateOperators,
  ...durationOperators,
  PROTOCOL: ({ request, facts }) => {
    // What is no request that could be read came by HTTP all the same.
    if (request.method === '' && facts.logType !== 'DownstreamEnd') return undefined;
    return request.protocol === 'http2' ? 'HTTP/2' : 'HTTP/1.1';
  },
  UPSTREAM_PROTOCOL: ({ facts }) => facts.upstreamProtocol,
  ACCESS_LOG_TYPE: ({ facts }) => facts.logType ?? 'NotSet',
  FILTER_CHAIN_NAME: ({ facts }) => facts.chain,
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS: ({ request }) => address(direct(request.connection)),
  DOWNSTREAM_DIRECT_LOCAL_PORT: ({ request }) => text(direct(request.connection).port),
  REQUEST_HEADERS_BYTES: ({ request }) => text(request.method === '' ? 0 : requestHeaderBytes(request)),
  RESPONSE_HEADERS_BYTES: ({ response }) => text(response ? headerBytes(response.headers) + statusBytes : 0),
  RESPONSE_TRAILERS_BYTES: ({ trailers }) => text(trailers ? headerBytes(trailers) : 0),
  DOWNSTREAM_WIRE_BYTES_RECEIVED: ({ facts }) => text(facts.wireReceived ?? facts.bytesReceived ?? 0),
  DOWNSTREAM_WIRE_BYTES_SENT: ({ facts }) => text(facts.wireSent ?? facts.bytesSent ?? 0),
  UPSTREAM_WIRE_BYTES_RECEIVED: ({ facts }) => text(facts.upstreamWireReceived ?? 0),
  UPSTREAM_WIRE_BYTES_SENT: ({ facts }) => text(facts.upstreamWireSent ?? 0),
  DOWNSTREAM_HEADER_BYTES_RECEIVED: ({ facts }) => text(facts.heads?.received ?? 0),
  DOWNSTREAM_HEADER_BYTES_SENT: ({ facts }) => text(facts.heads?.sent ?? 0),
  DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED: ({ facts }) => text(facts.heads?.received ?? 0),
  DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT: ({ facts }) => text(facts.heads?.sent ?? 0),
  UPSTREAM_HEADER_BYTES_RECEIVED: ({ facts }) => text(facts.heads?.upstreamReceived ?? 0),
  UPSTREAM_HEADER_BYTES_SENT: ({ facts }) => text(facts.heads?.upstreamSent ?? 0),
  UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED: ({ facts }) => text(facts.heads?.upstreamReceived ?? 0),
  UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT: ({ facts }) => text(facts.heads?.upstreamSent ?? 0),
  UPSTREAM_HOST_NAME: ({ facts }) => facts.upstreamHostname ?? hostAddress(facts.upstreamHost),
  UPSTREAM_HOST_NAME_WITHOUT_PORT: ({ facts }) => facts.upstreamHostname ?? bare(facts.upstreamHost),
  UPSTREAM_HOSTS_ATTEMPTED: tried((host) => hostAddress(host.address)),
  UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT: tried((host) => bare(host.address)),
  UPSTREAM_HOST_NAMES_ATTEMPTED: tried((host) => host.hostname || hostAddress(host.address)),
  UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT: tried((host) => host.hostname || bare(host.address)),
  UPSTREAM_CONNECTION_ID: ({ facts }) => text(facts.upstreamConnections?.at(-1) ?? 0),
  UPSTREAM_CONNECTION_IDS_ATTEMPTED: ({ facts }) => facts.upstreamConnections?.join(',') || undefined,
  UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID: ({ facts: { upstreamHost } }) =>
    upstreamHost?.kind === 'internal' ? upstreamHost.endpointId : upstreamHost && '',
  DOWNSTREAM_REMOTE_ADDRESS: ({ request }) => address(request.connection.remote),
  DOWNSTREAM_REMOTE_PORT: ({ request }) => text(request.connection.remote.port),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: ({ request }) => address(request.connection.directRemote),
  DOWNSTREAM_DIRECT_REMOTE_PORT: ({ request }) => text(request.connection.directRemote.port),
  DOWNSTREAM_LOCAL_ADDRESS: ({ request }) => address(request.connection.local),
  DOWNSTREAM_LOCAL_PORT: ({ request }) => text(request.connection.local.port),
  DOWNSTREAM_PEER_URI_SAN: ({ request }) => request.connection.principal,
  DOWNSTREAM_LOCAL_URI_SAN: ({ request }) => request.connection.localPrincipal,
  DOWNSTREAM_PEER_DNS_SAN: ({ request }) => request.connection.dnsNames?.join(','),
  DOWNSTREAM_PEER_SUBJECT: ({ request }) => request.connection.subject,
  CONNECTION_ID: ({ facts }) => text(facts.connectionId),
  CONNECTION_TERMINATION_DETAILS: ({ facts }) => facts.connectionTerminationDetails,
  STREAM_ID: ({ facts }) => facts.requestId,
  HOSTNAME: () => ownName,
  UPSTREAM_DETECTED_CLOSE_TYPE: ({ facts }) => facts.tried && 'Normal',
  ROUTE_NAME: ({ facts }) => facts.routeName,
  UPSTREAM_CLUSTER: ({ facts }) => facts.cluster?.statName,
  UPSTREAM_CLUSTER_RAW: ({ facts }) => facts.cluster?.name,
  UPSTREAM_HOST: ({ facts }) => hostAddress(facts.upstreamHost),
  UPSTREAM_REMOTE_ADDRESS: ({ facts }) => hostAddress(facts.upstreamHost),
  UPSTREAM_REMOTE_PORT: ({ facts }) => hostPort(facts.upstreamHost),
  UPSTREAM_LOCAL_ADDRESS: ({ facts }) => hostAddress(facts.upstreamLocal),
  UPSTREAM_LOCAL_PORT: ({ facts }) => hostPort(facts.upstreamLocal),
  UPSTREAM_TRANSPORT_FAILURE_REASON: ({ facts }) => facts.upstreamFailureReason,
  UPSTREAM_REQUEST_ATTEMPT_COUNT: ({ facts }) => text(facts.attempts ?? 0),
  RESPONSE_CODE: ({ response }) => text(response?.status ?? 0),
  RESPONSE_FLAGS: ({ facts }) => facts.responseFlags ?? '-',
  RESPONSE_FLAGS_LONG: longResponseFlags,
  GRPC_STATUS_NUMBER: grpcStatus('NUMBER'),
  UNIQUE_ID: () => randomUUID(),
  DURATION: ({ facts }) => text(facts.duration),
  BYTES_RECEIVED: ({ facts }) => text(facts.bytesReceived ?? 0),
  BYTES_SENT: ({ facts }) => text(facts.bytesSent ?? 0),
  TRACE_ID: ({ facts }) => facts.trace?.traceId || undefined,
  SPAN_ID: ({ facts }) => facts.trace?.spanId || undefined,
  LOCAL_REPLY_BODY: ({ facts }) => facts.localReplyBody ?? '',
};

const ownName = hostname();

type Maker = (args: string) => Operator;

const withArguments: Readonly<Record<string, Maker>> = {
  REQ: requestHeader,
  REQUEST_HEADER: requestHeader,
  RESP: responseHeader,
  RESPONSE_HEADER: responseHeader,
  TRAILER: trailer,
  RESPONSE_TRAILER: trailer,
  ...validityOperators,
  COALESCE: coalesce,
  COMMON_DURATION: commonDuration,
  ENVIRONMENT: variable,
  PATH: path,
  QUERY_PARAMS: queryParams,
  REQUESTED_SERVER_NAME: serverName,
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: masked(({ request }) => host(request.connection.remote)),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: masked(({ request }) => host(request.connection.directRemote)),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: masked(({ request }) => host(request.connection.local)),
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT: masked(({ request }) => host(direct(request.connection))),
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: masked(({ facts }) => bare(facts.upstreamHost)),
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: masked(({ facts }) => bare(facts.upstreamLocal)),
  RESPONSE_CODE_DETAILS: (args) => {
    if (args === 'ALLOW_WHITESPACES') return ({ facts }) => facts.responseCodeDetails;
    if (args !== '') throw new Error(`%RESPONSE_CODE_DETAILS(${args})%: ALLOW_WHITESPACES is expected`);
    return ({ facts: { responseCodeDetails: details } }) =>
      details !== undefined && /\s/.test(details) ? details.replaceAll(/\s/g, '_') : details;
  },
  EMIT_TIME: (args) => timeOf(args, (facts) => facts.startTime + (facts.duration ?? 0)),
  EMIT_TIME_LOCAL: (args) => timeOf(localFormat(args), (facts) => localTime(facts.startTime + (facts.duration ?? 0))),
  REQ_WITHOUT_QUERY: (args) => either(args, ({ request }, name) => firstHeaderOf(request, name)?.replace(/\?.*/s, '')),
  START_TIME: (args) => timeOf(args, (facts) => facts.startTime),
  START_TIME_LOCAL: (args) => timeOf(localFormat(args), (facts) => localTime(facts.startTime)),
  GRPC_STATUS: grpcStatus,
  QUERY_PARAM: queryParam,
  CEL: compileText,
  TYPED_CEL: (args) => {
    const value = compileExpression(args);
    const textual = compileText(args);
    return Object.assign((context: FormatContext) => textual(context), {
      json: (context: FormatContext) => plainOf(value(context)),
    });
  },
  DYNAMIC_METADATA: (args) => {
    const [namespace, ...path] = keys('DYNAMIC_METADATA', args);
    return metadata(({ request }) => request.metadata.get(namespace!), path);
  },
  CLUSTER_METADATA: (args) => {
    const [namespace, ...path] = keys('CLUSTER_METADATA', args);
    return metadata(({ facts }) => facts.clusterMetadata?.[namespace!], path);
  },
  UPSTREAM_METADATA: (args) => {
    const [namespace, ...path] = keys('UPSTREAM_METADATA', args);
    return metadata(({ facts }) => facts.hostMetadata?.[namespace!], path);
  },
  METADATA: (args) => {
    const [source, namespace = '', ...path] = keys('METADATA', args);
    switch (source) {
      case 'DYNAMIC':
        return metadata(({ request }) => request.metadata.get(namespace), path);
      case 'ROUTE':
        return metadata(({ facts }) => facts.routeMetadata?.[namespace], path);
      case 'CLUSTER':
        return metadata(({ facts }) => facts.clusterMetadata?.[namespace], path);
      case 'UPSTREAM_HOST':
        return metadata(({ facts }) => facts.hostMetadata?.[namespace], path);
      // Those of which nothing is kept.
      case 'LISTENER':
      case 'LISTENER_FILTER_CHAIN':
      case 'VIRTUAL_HOST':
        return () => undefined;
      default:
        throw new Error(`%METADATA(${args})%: ${source} is no kind of metadata`);
    }
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

/** A value of CEL as JSON has it; what JSON has no form of, as a text. */
function plainOf(value: Value | undefined): unknown {
  if (value === undefined || value === null || typeof value !== 'object')
    return typeof value === 'bigint' ? Number(value) : value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(plainOf);
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, inner]) => [String(key), plainOf(inner as Value)]));
  return textOf(value);
}

function requestHeader(args: string): Operator {
  return either(args, ({ request }, name) => firstHeaderOf(request, name));
}

function responseHeader(args: string): Operator {
  return either(args, ({ response }, name) =>
    name === ':status' ? text(response?.status) : response?.headers.first(name),
  );
}

function trailer(args: string): Operator {
  return either(args, ({ trailers }, name) => trailers?.first(name));
}

function timeOf(args: string, read: (facts: StreamFacts) => number): Operator {
  const format = compileTime(args);
  return ({ facts }) => format(read(facts));
}

/** The letters are those of UTC. */
function localTime(time: number): number {
  return time - new Date(time).getTimezoneOffset() * 60_000;
}

/** Envoy's form of local times has their distance from UTC. */
function localFormat(args: string): string {
  return args === '' ? '%Y-%m-%dT%H:%M:%S.%3f%z' : args;
}

/** `%COALESCE({"operators": ["REQUESTED_SERVER_NAME", {"command": "REQ", "param": ":authority"}]})%`: the first that has a value. */
function coalesce(args: string): Operator {
  const mistake = (what: string) => new Error(`%COALESCE(${args})%: ${what}`);
  let json: unknown;
  try {
    json = JSON.parse(args);
  } catch (e) {
    throw mistake((e as Error).message);
  }
  const list = (json as { readonly operators?: unknown } | null)?.operators;
  if (!Array.isArray(list) || list.length === 0) throw mistake('a list "operators" is expected');
  const made = list.map((entry: unknown): Operator => {
    if (typeof entry === 'string') return readOperator(entry, undefined);
    const { command, param, max_length: most } = (entry ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof command !== 'string') throw mistake('each is a name, or an object with "command"');
    const read = readOperator(command, typeof param === 'string' ? param : undefined);
    return typeof most === 'number' ? (context) => read(context)?.slice(0, most) : read;
  });
  return (context) => {
    for (const read of made) {
      const value = read(context);
      if (value !== undefined && value !== '') return value;
    }
    return undefined;
  };
}

/** `%..._WITHOUT_PORT(16)%`: with its first bits alone, as a CIDR range. */
function masked(read: (context: FormatContext) => string | undefined): Maker {
  return (args) => {
    if (args === '') return read;
    const bits = /^\d{1,3}$/.test(args) ? Number(args) : Number.NaN;
    if (!(bits <= 128)) throw new Error(`a length of a prefix is expected, not ${JSON.stringify(args)}`);
    return (context) => {
      const text = read(context);
      const ip = parseIp(text ?? '');
      // Of a listener inside there is nothing to mask.
      if (ip === undefined) return text && '';
      if (bits > (ip.includes(':') ? 128 : 32)) return undefined;
      return formatCidr(firstOf({ ip, length: bits }));
    };
  };
}

function tried(tell: (host: TriedHost) => string | undefined): Operator {
  return ({ facts }) => facts.tried?.map(tell).join(',') || undefined;
}

function metadata(root: (context: FormatContext) => unknown, path: readonly string[]): Operator {
  const text = (context: FormatContext) => found(root(context), path);
  return Object.assign(text, { json: (context: FormatContext) => at(root(context), path) ?? undefined });
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

function at(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return value;
}

function found(root: unknown, path: readonly string[]): string | undefined {
  const value = at(root, path);
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

function bare(a: HostAddress | undefined): string | undefined {
  return a?.kind === 'ip' ? a.ip : hostAddress(a);
}

/** Listeners inside have none, which is not the same as that nobody knows it. */
function hostPort(a: HostAddress | undefined): string | undefined {
  if (a?.kind === 'internal') return '';
  return a?.kind === 'ip' ? text(a.port) : undefined;
}

function direct({ directLocal, local }: ConnectionView): Address {
  return directLocal ?? local;
}

function host(a: Address | undefined): string | undefined {
  return a === undefined || a.address === '' ? undefined : a.address;
}

/** Those that may have a value. */
export const knownOperators: ReadonlySet<string> = new Set([
  ...Object.keys(withoutArguments),
  ...Object.keys(withArguments),
]);
