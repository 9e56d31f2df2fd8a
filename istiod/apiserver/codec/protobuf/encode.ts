/** Values as JSON has them to `application/vnd.kubernetes.protobuf`. */
import protobuf from 'protobufjs/minimal.js';
import { assertNever } from '../../../../common/core/errors.ts';
import { isObject } from '../../../../common/kube/schema/validate.ts';
import type { Field, Message, Scalar, ShapeType } from '../../shapes/notation.ts';
import { findShape, listMeta } from '../../shapes/shapes.ts';
import { magic, wireTypes } from './wire.ts';

const { varint, fixed64, delimited } = wireTypes;

type Either = Extract<ShapeType, { kind: 'either' }>;

/** Whether an object of this kind has a shape. */
export function hasProtobuf(apiVersion: string, kind: string): boolean {
  return findShape(apiVersion, kind) !== undefined;
}

/** With its envelope. The object is of a kind that has a shape; what the shape does not know is left out. */
export function encodeProtobuf(object: Readonly<Record<string, unknown>>): Buffer {
  const [apiVersion, kind] = [String(object['apiVersion']), String(object['kind'])];
  const shape = findShape(apiVersion, kind);
  if (shape === undefined) throw new Error(`no shape of ${kind} in ${apiVersion}`);
  return envelope(apiVersion, kind, bytesOf(shape, object));
}

/** `listKind` of objects of `itemKind`. */
export function encodeProtobufList(
  apiVersion: string,
  listKind: string,
  itemKind: string,
  metadata: object,
  items: Iterable<Readonly<Record<string, unknown>>>,
): Buffer {
  const shape = findShape(apiVersion, itemKind);
  if (shape === undefined) throw new Error(`no shape of ${itemKind} in ${apiVersion}`);
  const writer = protobuf.Writer.create();
  writer.uint32((1 << 3) + delimited).bytes(bytesOf(listMeta, metadata));
  for (const item of items) writer.uint32((2 << 3) + delimited).bytes(bytesOf(shape, item));
  return envelope(apiVersion, listKind, writer.finish());
}

/** meta.v1.WatchEvent (type 1, object 2 with its envelope in field 1), after its length in four bytes. */
export function encodeProtobufEvent(type: string, object: Buffer): Buffer {
  const event = protobuf.Writer.create();
  event.uint32((1 << 3) + delimited).string(type);
  event.uint32((2 << 3) + delimited).fork();
  event.uint32((1 << 3) + delimited).bytes(object);
  const body = event.ldelim().finish();
  const frame = Buffer.allocUnsafe(4 + body.length);
  frame.writeUInt32BE(body.length);
  frame.set(body, 4);
  return frame;
}

/** runtime.Unknown, as decode.ts reads it. Go's decoders take absent encodings for empty ones. */
function envelope(apiVersion: string, kind: string, raw: Uint8Array): Buffer {
  const writer = protobuf.Writer.create();
  writer.uint32((1 << 3) + delimited).fork();
  writer.uint32((1 << 3) + delimited).string(apiVersion);
  writer.uint32((2 << 3) + delimited).string(kind);
  writer.ldelim();
  writer.uint32((2 << 3) + delimited).bytes(raw);
  return Buffer.concat([magic, writer.finish()]);
}

function bytesOf(message: Message, value: object): Uint8Array {
  const writer = protobuf.Writer.create();
  writeFields(writer, message, value as Record<string, unknown>);
  return writer.finish();
}

function writeFields(writer: protobuf.Writer, { fields }: Message, object: Readonly<Record<string, unknown>>): void {
  for (const field of fields) {
    // The fields of an inlined message are the object's own.
    const value = field.name === '' ? object : Object.hasOwn(object, field.name) ? object[field.name] : undefined;
    if (value !== undefined && value !== null) writeField(writer, field, value);
  }
}

function writeField(writer: protobuf.Writer, { number, type }: Field, value: unknown): void {
  if (type.kind === 'list') {
    if (Array.isArray(value)) for (const item of value) writeValue(writer, number, type.of, item);
  } else if (type.kind === 'map') {
    if (!isObject(value)) return;
    for (const [key, member] of Object.entries(value)) {
      writer.uint32((number << 3) + delimited).fork();
      writer.uint32((1 << 3) + delimited).string(key);
      if (member !== null) writeValue(writer, 2, type.of, member);
      writer.ldelim();
    }
  } else writeValue(writer, number, type, value);
}

function writeValue(writer: protobuf.Writer, number: number, type: ShapeType, value: unknown): void {
  switch (type.kind) {
    case 'scalar':
      writeScalar(writer, number, type.scalar, value);
      break;
    case 'message':
      writer.uint32((number << 3) + delimited).fork();
      if (isObject(value)) writeFields(writer, type.message, value);
      writer.ldelim();
      break;
    case 'either':
      writer.uint32((number << 3) + delimited).fork();
      writeEither(writer, type, value);
      writer.ldelim();
      break;
    case 'list':
    case 'map':
      throw new TypeError('a list or map inside of a list or map');
    default:
      assertNever(type);
  }
}

/** Of `bool` 1 is whether anything is allowed, 2 the schema; of the others 1 the schema, 2 each item. */
function writeEither(writer: protobuf.Writer, { message, or }: Either, value: unknown): void {
  const schema = { kind: 'message', message } as const;
  if (or === 'bool') {
    writer.uint32((1 << 3) + varint).bool(value !== false);
    if (isObject(value)) writeValue(writer, 2, schema, value);
  } else if (!Array.isArray(value)) writeValue(writer, 1, schema, value);
  else
    for (const item of value)
      writeValue(writer, 2, or === 'list' ? schema : { kind: 'scalar', scalar: 'string' }, item);
}

function writeScalar(writer: protobuf.Writer, number: number, scalar: Scalar, value: unknown): void {
  const nested = (write: () => unknown): void => {
    writer.uint32((number << 3) + delimited).fork();
    write();
    writer.ldelim();
  };
  switch (scalar) {
    case 'string':
      writer.uint32((number << 3) + delimited).string(String(value));
      break;
    case 'bytes':
      writer.uint32((number << 3) + delimited).bytes(Buffer.from(String(value), 'base64'));
      break;
    case 'bool':
      writer.uint32((number << 3) + varint).bool(value === true);
      break;
    case 'int':
      writer.uint32((number << 3) + varint).int64(Number(value));
      break;
    case 'double':
      writer.uint32((number << 3) + fixed64).double(Number(value));
      break;
    case 'quantity':
      nested(() => writer.uint32((1 << 3) + delimited).string(String(value)));
      break;
    case 'json':
      nested(() => writer.uint32((1 << 3) + delimited).bytes(Buffer.from(JSON.stringify(value))));
      break;
    case 'intstr':
      nested(() => writeIntOrString(writer, value));
      break;
    case 'strings':
      nested(() => {
        for (const item of value as readonly unknown[]) writer.uint32((1 << 3) + delimited).string(String(item));
      });
      break;
    case 'time':
    case 'microtime':
      nested(() => writeTime(writer, String(value)));
      break;
    default:
      assertNever(scalar);
  }
}

/** type 1 (0: integer, 1: string), intVal 2, strVal 3. */
function writeIntOrString(writer: protobuf.Writer, value: unknown): void {
  const isText = typeof value === 'string';
  writer.uint32((1 << 3) + varint).int64(isText ? 1 : 0);
  if (isText) writer.uint32((3 << 3) + delimited).string(value);
  else writer.uint32((2 << 3) + varint).int64(Number(value));
}

/** seconds 1, nanos 2. What is no time (the schema does not check it) is Go's zero time. */
function writeTime(writer: protobuf.Writer, text: string): void {
  const ms = Date.parse(text);
  if (!Number.isFinite(ms)) return;
  writer.uint32((1 << 3) + varint).int64(Math.floor(ms / 1000));
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? '';
  writer.uint32((2 << 3) + varint).int64(Number(fraction.padEnd(9, '0').slice(0, 9)));
}
