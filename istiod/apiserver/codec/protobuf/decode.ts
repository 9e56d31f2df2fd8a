/** `application/vnd.kubernetes.protobuf` to values as JSON would have them. */
import protobuf from 'protobufjs/minimal.js';
import { assertNever, describeError } from '../../../../common/core/errors.ts';
import { badRequest, unsupportedMediaType } from '../../status.ts';
import type { Field, FieldType, Message } from './message.ts';
import { messages } from './messages.ts';

export const protobufType = 'application/vnd.kubernetes.protobuf';

/** Before the envelope. */
const magic = Buffer.from('k8s\0');
const depthLimit = 64;

/** Wire types. */
const [varint, delimited] = [0, 2];

/** ApiError 400, and 415 for a kind whose numbers are not known here. */
export function decodeProtobuf(body: Buffer): unknown {
  if (!body.subarray(0, magic.length).equals(magic)) throw badRequest('the body has no protobuf envelope');
  try {
    const { apiVersion, kind, raw } = readEnvelope(body.subarray(magic.length));
    const of = messages.get(`${apiVersion} ${kind}`);
    if (of === undefined)
      throw unsupportedMediaType(`${protobufType} of ${kind} in ${apiVersion}`, ['application/json']);
    return { apiVersion, kind, ...readMessage(new protobuf.Reader(raw), raw.length, of, 0) };
  } catch (e) {
    if (e instanceof RangeError || e instanceof TypeError || e instanceof SyntaxError) {
      throw badRequest(`the body is not protobuf of its kind: ${describeError(e)}`);
    }
    throw e;
  }
}

/** runtime.Unknown: typeMeta 1 (apiVersion 1, kind 2), raw 2, contentEncoding 3, contentType 4. */
function readEnvelope(bytes: Buffer): { readonly apiVersion: string; readonly kind: string; readonly raw: Uint8Array } {
  const reader = new protobuf.Reader(bytes);
  const envelope = { apiVersion: '', kind: '', raw: new Uint8Array() as Uint8Array };
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === (1 << 3) + delimited) {
      const end = reader.uint32() + reader.pos;
      while (reader.pos < end) {
        const inner = reader.uint32();
        if (inner === (1 << 3) + delimited) envelope.apiVersion = reader.string();
        else if (inner === (2 << 3) + delimited) envelope.kind = reader.string();
        else reader.skipType(inner & 7);
      }
    } else if (tag === (2 << 3) + delimited) envelope.raw = reader.bytes();
    else reader.skipType(tag & 7);
  }
  return envelope;
}

function readMessage(
  reader: protobuf.Reader,
  end: number,
  { fields }: Message,
  depth: number,
): Record<string, unknown> {
  if (depth > depthLimit) throw new RangeError(`nests deeper than ${depthLimit} levels`);
  if (end > reader.len) throw new RangeError('ends in the middle');
  const result = new Map<string, unknown>();
  while (reader.pos < end) {
    const tag = reader.uint32();
    const field = fields.get(tag >>> 3);
    // Of a newer client: the same as an unknown field of JSON that is dropped.
    if (field === undefined) reader.skipType(tag & 7);
    else readField(reader, tag & 7, field, result, depth);
  }
  return Object.fromEntries(result);
}

function readField(
  reader: protobuf.Reader,
  wire: number,
  field: Field,
  into: Map<string, unknown>,
  depth: number,
): void {
  const { name, type, pointer } = field;
  if (typeof type === 'object' && 'list' in type) {
    const items = (into.get(name) as unknown[] | undefined) ?? [];
    into.set(name, items);
    items.push(readValue(reader, wire, type.list, depth));
  } else if (typeof type === 'object' && 'map' in type) {
    const [key, value] = readEntry(reader, type.map, depth);
    const entries = (into.get(name) as Record<string, unknown> | undefined) ?? {};
    into.set(name, entries);
    entries[key] = value;
  } else {
    const value = readValue(reader, wire, type, depth);
    if (pointer || !isZero(value)) into.set(name, value);
  }
}

function readEntry(reader: protobuf.Reader, type: FieldType, depth: number): readonly [string, unknown] {
  const end = reader.uint32() + reader.pos;
  let key = '';
  let value: unknown;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) key = reader.string();
    else if (tag >>> 3 === 2) value = readValue(reader, tag & 7, type, depth);
    else reader.skipType(tag & 7);
  }
  if (key === '__proto__') throw new RangeError('no field can have the name "__proto__"');
  return [key, value ?? (type === 'string' || type === 'bytes' ? '' : null)];
}

function isZero(value: unknown): boolean {
  if (value === null || value === undefined || value === '' || value === 0 || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function readValue(reader: protobuf.Reader, wire: number, type: FieldType, depth: number): unknown {
  if (typeof type === 'object') {
    if (!('kind' in type)) throw new TypeError('a list or map inside of a list or map');
    expect(wire, delimited);
    return readMessage(reader, reader.uint32() + reader.pos, type, depth + 1);
  }
  switch (type) {
    case 'string':
      expect(wire, delimited);
      return reader.string();
    case 'bytes':
      expect(wire, delimited);
      return Buffer.from(reader.bytes()).toString('base64');
    case 'bool':
      expect(wire, varint);
      return reader.bool();
    case 'int':
      expect(wire, varint);
      return Number(reader.int64());
    case 'double':
      expect(wire, 1);
      return reader.double();
    case 'quantity':
      return readNested(reader, wire, depth, quantity)['string'] ?? '0';
    case 'json': {
      const raw = readNested(reader, wire, depth, json)['raw'];
      return raw === undefined ? null : JSON.parse(Buffer.from(raw as string, 'base64').toString('utf8'));
    }
    case 'int-or-string': {
      const v = readNested(reader, wire, depth, intOrString);
      return v['type'] === 1 ? (v['string'] ?? '') : (v['int'] ?? 0);
    }
    case 'time':
    case 'microtime':
      return timeOf(readNested(reader, wire, depth, time), type === 'microtime' ? 6 : 0);
    default:
      return assertNever(type);
  }
}

const nested = (fields: Readonly<Record<number, Field>>): Message => ({
  kind: 'message',
  fields: new Map(Object.entries(fields).map(([k, v]) => [Number(k), v])),
});
const kept = (name: string, type: FieldType): Field => ({ name, type, pointer: true });
const quantity = nested({ 1: kept('string', 'string') });
const json = nested({ 1: kept('raw', 'bytes') });
const intOrString = nested({ 1: kept('type', 'int'), 2: kept('int', 'int'), 3: kept('string', 'string') });
const time = nested({ 1: kept('seconds', 'int'), 2: kept('nanos', 'int') });

function readNested(reader: protobuf.Reader, wire: number, depth: number, of: Message): Record<string, unknown> {
  expect(wire, delimited);
  return readMessage(reader, reader.uint32() + reader.pos, of, depth + 1);
}

/** null for Go's zero time, which is sent as no field at all. */
function timeOf({ seconds, nanos = 0 }: Record<string, unknown>, digits: number): string | null {
  if (seconds === undefined) return null;
  const whole = new Date((seconds as number) * 1000).toISOString().slice(0, 19);
  const fraction = String(nanos).padStart(9, '0').slice(0, digits);
  return digits === 0 ? `${whole}Z` : `${whole}.${fraction}Z`;
}

function expect(found: number, wanted: number): void {
  if (found !== wanted) throw new TypeError(`wire type ${found} where ${wanted} belongs`);
}
