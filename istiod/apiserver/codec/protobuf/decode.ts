/** `application/vnd.kubernetes.protobuf` to values as JSON would have them. */
import protobuf from 'protobufjs/minimal.js';
import { assertNever, describeError } from '../../../../common/core/errors.ts';
import type { Field, Message, Scalar, ShapeType } from '../../shapes/notation.ts';
import { findShape } from '../../shapes/shapes.ts';
import { ApiError, badRequest, unsupportedMediaType } from '../../status.ts';
import { magic, protobufType, wireTypes } from './wire.ts';

const depthLimit = 64;
const { varint, fixed64, delimited, fixed32 } = wireTypes;

/** ApiError 400, and 415 for a kind that is not built in. */
export function decodeProtobuf(body: Buffer): unknown {
  if (!body.subarray(0, magic.length).equals(magic)) throw badRequest('the body has no protobuf envelope');
  try {
    const { apiVersion, kind, raw } = readEnvelope(body.subarray(magic.length));
    const shape = findShape(apiVersion, kind);
    if (shape === undefined)
      throw unsupportedMediaType(`${protobufType} of ${kind} in ${apiVersion}`, ['application/json']);
    return { apiVersion, kind, ...readMessage(new protobuf.Reader(raw), raw.length, shape, 0) };
  } catch (e) {
    // protobufjs throws plain errors at malformed bytes.
    if (e instanceof ApiError || !(e instanceof Error)) throw e;
    throw badRequest(`the body is not protobuf of its kind: ${describeError(e)}`);
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
        else skip(reader, inner & 7);
      }
    } else if (tag === (2 << 3) + delimited) envelope.raw = reader.bytes();
    else skip(reader, tag & 7);
  }
  return envelope;
}

/** Fields by number, which every message of a body asks for. */
const byNumber = new WeakMap<Message, ReadonlyMap<number, Field>>();

function fieldsOf(message: Message): ReadonlyMap<number, Field> {
  let fields = byNumber.get(message);
  if (fields === undefined) {
    fields = new Map(message.fields.map((f) => [f.number, f]));
    byNumber.set(message, fields);
  }
  return fields;
}

function readMessage(reader: protobuf.Reader, end: number, message: Message, depth: number): Record<string, unknown> {
  const result = new Map<string, unknown>();
  readInto(result, reader, end, message, depth);
  return Object.fromEntries(result);
}

function readInto(
  result: Map<string, unknown>,
  reader: protobuf.Reader,
  end: number,
  message: Message,
  depth: number,
): void {
  if (depth > depthLimit) throw new RangeError(`nests deeper than ${depthLimit} levels`);
  if (end > reader.len) throw new RangeError('ends in the middle');
  const fields = fieldsOf(message);
  while (reader.pos < end) {
    const tag = reader.uint32();
    const field = fields.get(tag >>> 3);
    // Of a newer client: the same as an unknown field of JSON that is dropped.
    if (field === undefined) skip(reader, tag & 7);
    else readField(reader, tag & 7, field, result, depth);
  }
  if (reader.pos !== end) throw new RangeError('a field is longer than its message');
  for (const { name, type, pointer, required } of message.fields) {
    if (required && !pointer && type.kind === 'scalar' && !result.has(name)) fillZero(result, name, type.scalar);
  }
}

/** Fields that JSON always has are sent as nothing by clients that leave out zeros. */
function fillZero(result: Map<string, unknown>, name: string, scalar: Scalar): void {
  if (scalar === 'string') result.set(name, '');
  else if (scalar === 'int' || scalar === 'double') result.set(name, 0);
  else if (scalar === 'bool') result.set(name, false);
}

function readField(
  reader: protobuf.Reader,
  wire: number,
  field: Field,
  into: Map<string, unknown>,
  depth: number,
): void {
  const { name, type, pointer, required } = field;
  if (name === '' && type.kind === 'message') {
    expect(wire, delimited);
    readInto(into, reader, reader.uint32() + reader.pos, type.message, depth + 1);
  } else if (type.kind === 'list') {
    const items = (into.get(name) as unknown[] | undefined) ?? [];
    into.set(name, items);
    items.push(readValue(reader, wire, type.of, depth));
  } else if (type.kind === 'map') {
    expect(wire, delimited);
    const [key, value] = readEntry(reader, type.of, depth);
    const entries = (into.get(name) as Record<string, unknown> | undefined) ?? {};
    into.set(name, entries);
    entries[key] = value;
  } else {
    const value = readValue(reader, wire, type, depth);
    if (value !== null && (pointer || required || !isZero(value))) into.set(name, value);
  }
}

function readEntry(reader: protobuf.Reader, type: ShapeType, depth: number): readonly [string, unknown] {
  const end = reader.uint32() + reader.pos;
  let key = '';
  let value: unknown;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) key = reader.string();
    else if (tag >>> 3 === 2) value = readValue(reader, tag & 7, type, depth);
    else skip(reader, tag & 7);
  }
  if (key === '__proto__') throw new RangeError('no field can have the name "__proto__"');
  const isText = type.kind === 'scalar' && (type.scalar === 'string' || type.scalar === 'bytes');
  return [key, value ?? (isText ? '' : null)];
}

function isZero(value: unknown): boolean {
  if (value === '' || value === 0 || value === false) return true;
  return typeof value === 'object' && Object.keys(value as object).length === 0;
}

function readValue(reader: protobuf.Reader, wire: number, type: ShapeType, depth: number): unknown {
  switch (type.kind) {
    case 'scalar':
      return readScalar(reader, wire, type.scalar, depth);
    case 'message':
      expect(wire, delimited);
      return readMessage(reader, reader.uint32() + reader.pos, type.message, depth + 1);
    case 'either':
      expect(wire, delimited);
      return eitherOf(type, readMessage(reader, reader.uint32() + reader.pos, wireFormOf(type), depth + 1));
    case 'list':
    case 'map':
      throw new TypeError('a list or map inside of a list or map');
    default:
      return assertNever(type);
  }
}

/** As encode.ts writes it. */
function wireFormOf({ message, or }: Either): Message {
  const schema = { kind: 'message', message } as const;
  const field = (number: number, name: string, type: ShapeType): Field => ({ ...kept(number, name, 'string'), type });
  const text = { kind: 'scalar', scalar: 'string' } as const;
  return or === 'bool'
    ? wrapper('OrBool', kept(1, 'allows', 'bool'), field(2, 'schema', schema))
    : wrapper(
        'OrList',
        field(1, 'schema', schema),
        field(2, 'items', { kind: 'list', of: or === 'list' ? schema : text }),
      );
}

function eitherOf({ or }: Either, { schema, allows, items }: Record<string, unknown>): unknown {
  return schema ?? (or === 'bool' ? allows === true : (items ?? []));
}

function readScalar(reader: protobuf.Reader, wire: number, scalar: Scalar, depth: number): unknown {
  expect(wire, scalar === 'bool' || scalar === 'int' ? varint : scalar === 'double' ? fixed64 : delimited);
  const nested = (of: Message) => readMessage(reader, reader.uint32() + reader.pos, of, depth + 1);
  switch (scalar) {
    case 'string':
      return reader.string();
    case 'bytes':
      return Buffer.from(reader.bytes()).toString('base64');
    case 'bool':
      return reader.bool();
    case 'int':
      return Number(reader.int64());
    case 'double':
      return reader.double();
    case 'quantity':
      return nested(quantity)['string'] ?? '0';
    case 'json': {
      const raw = nested(json)['raw'];
      return raw === undefined ? null : JSON.parse(Buffer.from(raw as string, 'base64').toString('utf8'));
    }
    case 'intstr': {
      const v = nested(intOrString);
      return v['type'] === 1 ? (v['string'] ?? '') : (v['int'] ?? 0);
    }
    case 'strings':
      return nested(strings)['items'] ?? [];
    case 'time':
    case 'microtime':
      return timeOf(nested(time), scalar === 'microtime' ? 6 : 0);
    default:
      return assertNever(scalar);
  }
}

type Either = Extract<ShapeType, { kind: 'either' }>;

const kept = (number: number, name: string, scalar: Scalar): Field => ({
  number,
  name,
  type: { kind: 'scalar', scalar },
  pointer: true,
  required: false,
  words: new Set(),
});
const wrapper = (name: string, ...fields: readonly Field[]): Message => ({ name, atomic: false, fields });
const quantity = wrapper('Quantity', kept(1, 'string', 'string'));
const json = wrapper('RawExtension', kept(1, 'raw', 'bytes'));
const intOrString = wrapper('IntOrString', kept(1, 'type', 'int'), kept(2, 'int', 'int'), kept(3, 'string', 'string'));
const time = wrapper('Time', kept(1, 'seconds', 'int'), kept(2, 'nanos', 'int'));
const strings = wrapper('Strings', {
  ...kept(1, 'items', 'string'),
  type: { kind: 'list', of: { kind: 'scalar', scalar: 'string' } },
});

/** null for Go's zero time, which is sent as no field at all. */
function timeOf({ seconds, nanos = 0 }: Record<string, unknown>, digits: number): string | null {
  if (seconds === undefined) return null;
  const whole = new Date((seconds as number) * 1000).toISOString().slice(0, 19);
  const fraction = String(nanos).padStart(9, '0').slice(0, digits);
  return digits === 0 ? `${whole}Z` : `${whole}.${fraction}Z`;
}

/** Groups (3 and 4) are not of this format, and could nest without end. */
function skip(reader: protobuf.Reader, wire: number): void {
  if (wire !== varint && wire !== fixed64 && wire !== delimited && wire !== fixed32)
    throw new TypeError(`wire type ${wire}`);
  reader.skipType(wire);
}

function expect(found: number, wanted: number): void {
  if (found !== wanted) throw new TypeError(`wire type ${found} where ${wanted} belongs`);
}
