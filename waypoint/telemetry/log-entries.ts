/** Access logs as entries of envoy.data.accesslog.v3 (accesslog.proto), which access log services take. */
import type { HostAddress } from '../cluster/types.ts';
import { ProtoWriter } from '../export/protobuf.ts';
import type { FormatContext, StreamFacts } from '../format/format.ts';
import { headerBytes, requestHeaderBytes, statusBytes } from '../request/header-bytes.ts';
import type { Address, RequestView } from '../request/view.ts';
import { firstHeaderOf } from '../request/view.ts';
import type { CustomTag } from '../tracing/custom-tags.ts';

export interface EntryOptions {
  readonly states: readonly string[];
  readonly tags: readonly CustomTag[];
}

export interface HttpEntryOptions extends EntryOptions {
  /** Headers that are told besides, in lower case. */
  readonly requestHeaders: readonly string[];
  readonly responseHeaders: readonly string[];
  readonly responseTrailers: readonly string[];
}

const writer = new ProtoWriter();
/** Number of the entries of HTTPAccessLogEntries and TCPAccessLogEntries. */
const entriesField = 1;

/** An HTTPAccessLogEntry, of a connection too, as one of many; lent until the next entry is made. */
export function encodeHttpEntry(context: FormatContext, options: HttpEntryOptions): Buffer {
  writer.message(entriesField, () => writeHttpEntry(context, options));
  return writer.lend();
}

function writeHttpEntry(context: FormatContext, options: HttpEntryOptions): void {
  const { request } = context;
  writer.message(1, () => writeCommon(context, options));
  const isRequest = request.method !== '' || context.facts.logType === 'DownstreamEnd';
  if (isRequest) writer.number(2, request.protocol === 'http2' ? 3 : 2);
  writer.message(3, () => writeRequest(context, options.requestHeaders));
  writer.message(4, () => writeResponse(context, options));
}

/** A TCPAccessLogEntry, of a request too, as one of many; lent until the next entry is made. */
export function encodeTcpEntry(context: FormatContext, options: EntryOptions): Buffer {
  writer.message(entriesField, () => writeTcpEntry(context, options));
  return writer.lend();
}

function writeTcpEntry(context: FormatContext, options: EntryOptions): void {
  const { facts } = context;
  writer.message(1, () => writeCommon(context, options));
  writer.message(2, () => {
    writer.number(1, facts.bytesReceived ?? 0);
    writer.number(2, facts.bytesSent ?? 0);
  });
}

/** AccessLogCommon. */
function writeCommon(context: FormatContext, { states, tags }: EntryOptions): void {
  const { request, facts } = context;
  const { connection } = request;
  writeAddress(2, connection.remote);
  writeAddress(3, connection.local);
  if (connection.tls || connection.sni !== undefined) writer.message(4, () => writeTls(request));
  const seconds = Math.floor(facts.startTime / 1_000);
  writer.message(5, () => writeTime(seconds, Math.round((facts.startTime - seconds * 1_000) * 1_000_000)));
  writeTimes(facts);
  writeHost(13, facts.upstreamHost);
  writeHost(14, facts.upstreamLocal);
  if (facts.upstreamHost && facts.cluster) writer.text(15, facts.cluster.name);
  writeFlags(facts);
  if (request.metadata.size > 0) {
    writer.message(17, () => {
      for (const [name, value] of request.metadata) {
        writer.message(1, () => {
          writer.text(1, name);
          writer.message(2, () => writeStruct(value));
        });
      }
    });
  }
  writer.text(18, facts.upstreamFailureReason ?? '');
  writer.text(19, facts.routeName ?? '');
  writeAddress(20, connection.directRemote);
  for (const name of states) {
    const value = connection.filterState.get(name);
    if (value !== undefined) writePair(21, name, () => writeAny(value));
  }
  for (const tag of tags) {
    const value = tag.value(context);
    if (value !== '') writePair(22, tag.name, () => writer.textAlways(2, value));
  }
  if (facts.duration !== undefined) writeMillis(23, facts.duration);
  writer.number(24, facts.attempts ?? 0);
  writer.text(25, facts.connectionTerminationDetails ?? '');
  writer.text(26, facts.requestId ?? '');
  writer.number(29, facts.wireSent ?? 0);
  writer.number(30, facts.wireReceived ?? 0);
  writer.number(31, facts.upstreamWireSent ?? 0);
  writer.number(32, facts.upstreamWireReceived ?? 0);
  writer.number(33, facts.logType === undefined ? 0 : logTypes[facts.logType]);
}

/** Numbers of AccessLogType. */
const logTypes = { TcpConnectionEnd: 3, DownstreamEnd: 6 } as const;

/** Fields that say when a point of the request's life was, after its start. */
function writeTimes({ times }: StreamFacts): void {
  if (!times) return;
  const fields = [
    [6, times.requestEnd],
    [7, times.upstreamRequestStart],
    [8, times.upstreamRequestEnd],
    [9, times.upstreamResponseStart],
    [10, times.upstreamResponseEnd],
    [11, times.responseStart],
    [12, times.responseEnd],
  ] as const;
  for (const [field, ms] of fields) if (ms !== undefined) writeMillis(field, ms);
}

/** Numbers of RequestMethod. */
const methods = ['', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];

function writeRequest({ request, facts }: FormatContext, more: readonly string[]): void {
  if (request.method === '') {
    writer.number(12, facts.bytesReceived ?? 0);
    return;
  }
  const { headers } = request;
  writer.number(1, Math.max(0, methods.indexOf(request.method)));
  writer.text(2, request.scheme);
  writer.text(3, request.authority);
  writer.text(5, request.path);
  writer.text(6, headers.first('user-agent') ?? '');
  writer.text(7, headers.first('referer') ?? '');
  writer.text(8, headers.first('x-forwarded-for') ?? '');
  writer.text(9, headers.first('x-request-id') ?? '');
  writer.text(10, headers.first('x-envoy-original-path') ?? '');
  writer.number(11, requestHeaderBytes(request));
  writer.number(12, facts.bytesReceived ?? 0);
  for (const name of more) {
    const value = firstHeaderOf(request, name);
    if (value !== undefined) writePair(13, name, () => writer.textAlways(2, value));
  }
  writer.number(14, facts.heads?.upstreamSent ?? 0);
  writer.number(15, facts.heads?.received ?? 0);
}

function writeResponse({ response, trailers, facts }: FormatContext, options: HttpEntryOptions): void {
  if (response) writer.message(1, () => writer.number(1, response.status));
  if (response) writer.number(2, headerBytes(response.headers) + statusBytes);
  writer.number(3, facts.bytesSent ?? 0);
  for (const name of options.responseHeaders) {
    const value = name === ':status' ? response && String(response.status) : response?.headers.first(name);
    if (value !== undefined) writePair(4, name, () => writer.textAlways(2, value));
  }
  for (const name of options.responseTrailers) {
    const value = trailers?.first(name);
    if (value !== undefined) writePair(5, name, () => writer.textAlways(2, value));
  }
  writer.text(6, facts.responseCodeDetails ?? '');
  writer.number(7, facts.heads?.upstreamReceived ?? 0);
  writer.number(8, facts.heads?.sent ?? 0);
}

/** TLSProperties. */
function writeTls({ connection }: RequestView): void {
  writer.text(3, connection.sni ?? '');
  if (!connection.tls) return;
  const { localPrincipal, principal, subject, dnsNames } = connection;
  writer.message(4, () => {
    if (localPrincipal !== undefined) writer.message(1, () => writer.text(1, localPrincipal));
  });
  writer.message(5, () => {
    if (principal !== undefined) writer.message(1, () => writer.text(1, principal));
    for (const name of dnsNames ?? []) writer.message(1, () => writer.text(2, name));
    writer.text(2, subject ?? '');
  });
}

/** Numbers of the fields of ResponseFlags by Envoy's short names. */
const flagFields: Readonly<Record<string, number>> = {
  LH: 1,
  UH: 2,
  UT: 3,
  LR: 4,
  UR: 5,
  UF: 6,
  UC: 7,
  UO: 8,
  NR: 9,
  DI: 10,
  FI: 11,
  RL: 12,
  RLSE: 14,
  DC: 15,
  URX: 16,
  SI: 17,
  IH: 18,
  DPE: 19,
  UMSDR: 20,
  NFCF: 22,
  DT: 23,
  UPE: 24,
  NC: 25,
  OM: 26,
  DF: 27,
  DR: 28,
};
const unauthorized = 13;
const byExternalService = 1;

function writeFlags({ responseFlags = '-' }: StreamFacts): void {
  const flags = responseFlags.split(',').filter((flag) => flag !== '-' && flag !== '');
  if (flags.length === 0) return;
  writer.message(16, () => {
    for (const flag of flags) {
      const field = Object.hasOwn(flagFields, flag) ? flagFields[flag] : undefined;
      if (flag === 'UAEX') writer.message(unauthorized, () => writer.number(1, byExternalService));
      else if (field !== undefined) writer.flag(field, true);
    }
  });
}

/** A core.v3.Address. */
function writeAddress(field: number, { address, port }: Address): void {
  if (address === '') return;
  writer.message(field, () => {
    writer.message(1, () => {
      writer.text(2, address);
      writer.numberAlways(3, port);
    });
  });
}

function writeHost(field: number, host: HostAddress | undefined): void {
  switch (host?.kind) {
    case undefined:
      return;
    case 'ip':
      writeAddress(field, { address: host.ip, port: host.port });
      return;
    case 'pipe':
      writer.message(field, () => writer.message(2, () => writer.text(1, host.path)));
      return;
    case 'internal':
      writer.message(field, () => {
        writer.message(3, () => {
          writer.text(1, host.listener);
          writer.text(2, host.endpointId);
        });
      });
  }
}

/** A Timestamp or a Duration. */
function writeTime(seconds: number, nanos: number): void {
  writer.number(1, seconds);
  writer.number(2, nanos);
}

function writeMillis(field: number, ms: number): void {
  const seconds = Math.floor(ms / 1_000);
  writer.message(field, () => writeTime(seconds, Math.round((ms - seconds * 1_000) * 1_000_000)));
}

/** An entry of a map with texts as its keys. */
function writePair(field: number, name: string, value: () => void): void {
  writer.message(field, () => {
    writer.text(1, name);
    value();
  });
}

const textType = 'type.googleapis.com/google.protobuf.StringValue';
const inner = new ProtoWriter();

function writeAny(value: string): void {
  inner.text(1, value);
  const bytes = inner.finish();
  writer.message(2, () => {
    writer.text(1, textType);
    writer.bytes(2, bytes);
  });
}

/** A google.protobuf.Struct. */
function writeStruct(struct: object): void {
  for (const [name, value] of Object.entries(struct)) {
    writer.message(1, () => {
      writer.text(1, name);
      writer.message(2, () => writeValue(value));
    });
  }
}

/** A google.protobuf.Value. */
function writeValue(value: unknown): void {
  if (typeof value === 'number') writer.doubleAlways(2, value);
  else if (typeof value === 'string') writer.textAlways(3, value);
  else if (typeof value === 'boolean') writer.numberAlways(4, value ? 1 : 0);
  else if (Array.isArray(value)) {
    writer.message(6, () => {
      for (const item of value) writer.message(1, () => writeValue(item));
    });
  } else if (typeof value === 'object' && value !== null) {
    writer.message(5, () => writeStruct(value));
  } else writer.numberAlways(1, 0);
}
