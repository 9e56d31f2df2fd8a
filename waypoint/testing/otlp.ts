/** What an OTLP collector reads: opentelemetry-proto 1 by protobufjs, strictly: what has no name there, or a wrong form, is refused. */
import assert from 'node:assert/strict';
import protobuf from 'protobufjs';
import { otlpProto } from '../../common/envoy/otlp.ts';

const { root } = protobuf.parse(
  `${otlpProto}
message InstrumentationScope {
  string name = 1;
  string version = 2;
  repeated KeyValue attributes = 3;
  uint32 dropped_attributes_count = 4;
}
message Resource {
  repeated KeyValue attributes = 1;
  uint32 dropped_attributes_count = 2;
}
enum SpanKind { SPAN_KIND_UNSPECIFIED = 0; INTERNAL = 1; SERVER = 2; CLIENT = 3; PRODUCER = 4; CONSUMER = 5; }
enum StatusCode { UNSET = 0; OK = 1; ERROR = 2; }
message Status {
  string message = 2;
  StatusCode code = 3;
}
message Span {
  bytes trace_id = 1;
  bytes span_id = 2;
  string trace_state = 3;
  bytes parent_span_id = 4;
  string name = 5;
  SpanKind kind = 6;
  fixed64 start_time_unix_nano = 7;
  fixed64 end_time_unix_nano = 8;
  repeated KeyValue attributes = 9;
  uint32 dropped_attributes_count = 10;
  Status status = 15;
  fixed32 flags = 16;
}
message ScopeSpans {
  InstrumentationScope scope = 1;
  repeated Span spans = 2;
  string schema_url = 3;
}
message ResourceSpans {
  Resource resource = 1;
  repeated ScopeSpans scope_spans = 2;
  string schema_url = 3;
}
message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
message LogRecord {
  fixed64 time_unix_nano = 1;
  int32 severity_number = 2;
  string severity_text = 3;
  AnyValue body = 5;
  repeated KeyValue attributes = 6;
  uint32 dropped_attributes_count = 7;
  fixed32 flags = 8;
  bytes trace_id = 9;
  bytes span_id = 10;
  fixed64 observed_time_unix_nano = 11;
  string event_name = 12;
}
message ScopeLogs {
  InstrumentationScope scope = 1;
  repeated LogRecord log_records = 2;
  string schema_url = 3;
}
message ResourceLogs {
  Resource resource = 1;
  repeated ScopeLogs scope_logs = 2;
  string schema_url = 3;
}
message ExportLogsServiceRequest { repeated ResourceLogs resource_logs = 1; }
`,
  { keepCase: true },
);

type Attributes = Readonly<Record<string, unknown>>;

export interface ReceivedSpan {
  readonly resource: Attributes;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: none. */
  readonly parentId: string;
  readonly state: string;
  readonly name: string;
  readonly kind: string;
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Attributes;
  readonly status: string;
}

export interface ReceivedRecord {
  readonly resource: Attributes;
  readonly time: bigint;
  readonly body: unknown;
  readonly attributes: Attributes;
  readonly traceId: string;
  readonly spanId: string;
}

type Plain = Readonly<Record<string, unknown>>;

/** An ExportTraceServiceRequest. */
export function receivedSpans(bytes: Uint8Array): readonly ReceivedSpan[] {
  return items(bytes, 'ExportTraceServiceRequest', 'resource_spans', 'scope_spans', 'spans').map(([resource, span]) => {
    const id = (name: string, length: number, absent = false) => idOf(span, name, length, absent);
    const status = span['status'] as { readonly code?: string } | undefined;
    return {
      resource,
      traceId: id('trace_id', 16),
      spanId: id('span_id', 8),
      parentId: id('parent_span_id', 8, true),
      state: (span['trace_state'] as string | undefined) ?? '',
      name: span['name'] as string,
      kind: span['kind'] as string,
      start: BigInt(span['start_time_unix_nano'] as string),
      end: BigInt(span['end_time_unix_nano'] as string),
      attributes: attributesOf(span),
      status: status?.code ?? 'UNSET',
    };
  });
}

/** An ExportLogsServiceRequest. */
export function receivedRecords(bytes: Uint8Array): readonly ReceivedRecord[] {
  return items(bytes, 'ExportLogsServiceRequest', 'resource_logs', 'scope_logs', 'log_records').map(
    ([resource, record]) => ({
      resource,
      time: BigInt(record['time_unix_nano'] as string),
      body: record['body'] && heldBy(record['body'] as Plain),
      attributes: attributesOf(record),
      traceId: idOf(record, 'trace_id', 16, true),
      spanId: idOf(record, 'span_id', 8, true),
    }),
  );
}

function items(bytes: Uint8Array, type: string, outer: string, middle: string, inner: string) {
  const message = root.lookupType(`opentelemetry.proto.common.v1.${type}`);
  const reader = protobuf.Reader.create(bytes);
  reader.discardUnknown = false;
  const decoded = message.decode(reader);
  refuseUnknown(decoded);
  const plain = message.toObject(decoded, { longs: String, enums: String });
  const list = (of: Plain | undefined, name: string) => (of?.[name] ?? []) as readonly Plain[];
  return list(plain, outer).flatMap((resource) =>
    list(resource, middle).flatMap((scope) =>
      list(scope, inner).map((item) => [attributesOf(resource['resource'] as Plain | undefined), item] as const),
    ),
  );
}

function refuseUnknown(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  assert.equal(
    (value as { readonly $unknowns?: readonly unknown[] }).$unknowns?.length ?? 0,
    0,
    'fields without a name',
  );
  for (const inner of Object.values(value)) refuseUnknown(inner);
}

function idOf(of: Plain, name: string, length: number, mayBeAbsent: boolean): string {
  const bytes = Buffer.from((of[name] as Uint8Array | undefined) ?? []);
  if (bytes.length === 0 && mayBeAbsent) return '';
  assert.equal(bytes.length, length, name);
  assert.notEqual(BigInt(`0x${bytes.toString('hex')}`), 0n, name);
  return bytes.toString('hex');
}

function attributesOf(of: Plain | undefined): Attributes {
  const list = (of?.['attributes'] ?? []) as readonly { readonly key: string; readonly value: Plain }[];
  const names = list.map(({ key }) => key);
  assert.equal(new Set(names).size, names.length, `an attribute twice: ${names.join()}`);
  return Object.fromEntries(list.map(({ key, value }) => [key, heldBy(value)]));
}

function heldBy(value: Plain): unknown {
  const [[kind, held] = []] = Object.entries(value);
  switch (kind) {
    case 'array_value':
      return ((held as Plain)['values'] as readonly Plain[]).map(heldBy);
    case 'kvlist_value':
      return attributesOf({ attributes: (held as Plain)['values'] });
    case 'int_value':
      return Number(held);
    default:
      return held;
  }
}
