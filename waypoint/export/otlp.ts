/** Messages of OTLP 1 (opentelemetry-proto: trace, logs): one span or record as bytes, and the request that takes many of them. */
import type { FinishedSpan } from '../tracing/span.ts';
import { ProtoWriter } from './protobuf.ts';

export interface Attribute {
  readonly name: string;
  readonly value: AttributeValue;
}

/** A text, or what OTLP's AnyValue can hold of JSON. */
export type AttributeValue =
  | string
  | number
  | boolean
  | readonly AttributeValue[]
  | { readonly [key: string]: AttributeValue };

/** What an export says of all its items. */
export interface ExportScope {
  readonly resource: readonly Attribute[];
  /** Of the program that made them; undefined: it is not said. */
  readonly scope: { readonly name: string; readonly version: string } | undefined;
}

export interface LogRecord {
  /** ms since 1970. */
  readonly time: number;
  /** undefined: none. */
  readonly body: AttributeValue | undefined;
  readonly attributes: readonly Attribute[];
  readonly traceId: string;
  readonly spanId: string;
}

export const traceService = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
export const logsService = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';

const kinds = { server: 2, client: 3 } as const;
const statusError = 2;
/** Number of the spans or records of a scope. */
const itemsField = 2;
const writer = new ProtoWriter();

/** opentelemetry.proto.trace.v1.Span, as one of those of its scope; lent until the next item is made. */
export function encodeSpan(span: FinishedSpan): Buffer {
  writer.message(itemsField, () => writeSpan(span));
  return writer.lend();
}

function writeSpan({ context, name, kind, start, duration, tags, isError }: FinishedSpan): void {
  writer.hex(1, context.traceId.padStart(32, '0'));
  writer.hex(2, context.spanId);
  writer.text(3, context.state);
  if (context.parentId !== undefined) writer.hex(4, context.parentId);
  writer.text(5, name);
  writer.number(6, kinds[kind]);
  writer.micros(7, microsOf(start));
  writer.micros(8, microsOf(start + duration));
  for (const tag of tags) {
    writer.message(9, () => {
      writer.text(1, tag.name);
      writer.message(2, () => writer.textAlways(1, tag.value));
    });
  }
  if (isError) writer.message(15, () => writer.number(3, statusError));
}

/** opentelemetry.proto.logs.v1.LogRecord, as one of those of its scope; lent until the next item is made. */
export function encodeLogRecord(record: LogRecord): Buffer {
  writer.message(itemsField, () => writeLogRecord(record));
  return writer.lend();
}

function writeLogRecord({ time, body, attributes, traceId, spanId }: LogRecord): void {
  writer.micros(1, microsOf(time));
  if (body !== undefined) writer.message(5, () => writeValue(body));
  for (const attribute of attributes) writer.message(6, () => writeAttribute(attribute));
  writer.hex(9, traceId);
  writer.hex(10, spanId);
}

/**
 * An ExportTraceServiceRequest of spans, or an ExportLogsServiceRequest of records: both have the same numbers. `items`: one behind the
 * other.
 */
export function encodeExport({ resource, scope }: ExportScope, items: Buffer): Buffer {
  writer.message(1, () => {
    writer.message(1, () => {
      for (const attribute of resource) writer.message(1, () => writeAttribute(attribute));
    });
    writer.message(2, () => {
      if (scope) {
        writer.message(1, () => {
          writer.text(1, scope.name);
          writer.text(2, scope.version);
        });
      }
      writer.fields(items);
    });
  });
  return writer.finish();
}

function writeAttribute({ name, value }: Attribute): void {
  writer.text(1, name);
  writer.message(2, () => writeValue(value));
}

/** An AnyValue. */
function writeValue(value: AttributeValue): void {
  if (typeof value === 'string') writer.textAlways(1, value);
  else if (typeof value === 'boolean') writer.numberAlways(2, value ? 1 : 0);
  else if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && value >= 0) writer.numberAlways(3, value);
    else writer.doubleAlways(4, value);
  } else if (Array.isArray(value)) {
    const items: readonly AttributeValue[] = value;
    writer.message(5, () => {
      for (const item of items) writer.message(1, () => writeValue(item));
    });
  } else {
    const entries = Object.entries(value as { readonly [key: string]: AttributeValue });
    writer.message(6, () => {
      for (const [name, inner] of entries) writer.message(1, () => writeAttribute({ name, value: inner }));
    });
  }
}

function microsOf(ms: number): number {
  return Math.round(ms * 1_000);
}
