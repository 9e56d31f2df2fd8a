/**
 * Envoy's resources between bytes and plain objects, with the field names of their .proto files: those are the names that Envoy's
 * documentation, its config_dump and its NACKs use. A google.protobuf.Any is the message that it holds, with its type in `@type`.
 */
import protobuf from 'protobufjs';
import type { Decoded } from '../api/codec.ts';
import { describeError, MeshError } from '../core/errors.ts';
import { envoyMessage } from './protos.ts';

/** A message with its type URL, `type.googleapis.com/envoy.config.listener.v3.Listener`. */
export interface Typed {
  readonly '@type': string;
}

/** What `decodeEnvoy` makes: only fields that were on the wire, enums by name, 64-bit numbers as numbers, bytes as Buffer. */
export interface TypedObject extends Typed {
  readonly [field: string]: unknown;
}

/** Google's prefix of type URLs, which all of xDS uses. */
const prefix = 'type.googleapis.com/';
/** Deeper messages are refused: RBAC rules, the deepest in use, stay below 30. */
const maxDepth = 100;

/** The type URL of a message's full name. */
export function typeUrl(name: string): string {
  return prefix + name;
}

/**
 * Bytes of the message that `@type` names. MeshError CONFIG for a type that we do not know, and for a field that its type has not:
 * protobufjs would leave it out, and a policy with it.
 */
export function encodeEnvoy(resource: Typed): Buffer {
  const type = messageOf(resource['@type']);
  if (!type) throw new MeshError('CONFIG', `${resource['@type']} is no message of Envoy's API`);
  checkNames(type, resource, type.name, 0);
  const bytes = type.encode(type.fromObject(resource)).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Never throws. Rejected: bytes that are not this message, and fields without a name in this version of Envoy's API, by their
 * number. An Any of a type that we do not know stays `{ '@type', value }`: whoever reads it must refuse it.
 */
export function decodeEnvoy(url: string, bytes: Uint8Array): Decoded<TypedObject> {
  try {
    const type = messageOf(url);
    if (!type) return { kind: 'rejected', reason: `${url} is no message of Envoy's API` };
    return { kind: 'ok', value: { '@type': url, ...plain(type, decode(type, bytes), type.name, 0) } };
  } catch (e) {
    return { kind: 'rejected', reason: describeError(e) };
  }
}

function messageOf(url: string): protobuf.Type | undefined {
  return url.startsWith(prefix) ? envoyMessage(url.slice(prefix.length)) : undefined;
}

type Fields = Readonly<Record<string, unknown>>;

interface WithUnknowns {
  readonly $unknowns?: readonly Uint8Array[];
}

function decode(type: protobuf.Type, bytes: Uint8Array): Fields & WithUnknowns {
  const reader = protobuf.Reader.create(bytes);
  reader.discardUnknown = false;
  return type.decode(reader) as unknown as Fields & WithUnknowns;
}

function plain(type: protobuf.Type, message: Fields & WithUnknowns, path: string, depth: number): Fields {
  if (depth > maxDepth) throw new MeshError('CONFIG', `${path}: deeper than ${maxDepth} messages`);
  const unknown = message.$unknowns?.[0];
  if (unknown) {
    const number = protobuf.Reader.create(unknown).uint32() >>> 3;
    throw new MeshError('CONFIG', `${path}: field ${number} of ${type.fullName.slice(1)} is unknown here`);
  }
  const out: Record<string, unknown> = {};
  for (const field of type.fieldsArray) {
    const { name, resolvedType } = field;
    // Lists and maps are always there.
    if (!Object.hasOwn(message, name) || ((field.repeated || field.map) && isEmpty(message[name]))) continue;
    const inner = `${path}.${name}`;
    const one = (value: unknown, at: string): unknown => {
      if (resolvedType instanceof protobuf.Enum) return resolvedType.valuesById[value as number] ?? value;
      if (resolvedType) return nested(resolvedType, value as Fields, at, depth + 1);
      // Exact up to 2^53, which no duration or size of Envoy's comes near.
      if (isLong(value)) return value.toNumber();
      return value instanceof Uint8Array ? Buffer.from(value) : value;
    };
    const value = message[name];
    if (field.map) {
      const entries = Object.entries(value as Fields).map(([k, v]) => [k, one(v, `${inner}[${k}]`)]);
      out[name] = Object.fromEntries(entries);
    } else if (field.repeated) out[name] = (value as readonly unknown[]).map((v, i) => one(v, `${inner}[${i}]`));
    else out[name] = one(value, inner);
  }
  return out;
}

function nested(type: protobuf.Type, message: Fields & WithUnknowns, path: string, depth: number): Fields {
  if (type.fullName !== '.google.protobuf.Any') return plain(type, message, path, depth);
  const { type_url: url, value } = message as { readonly type_url?: string; readonly value?: Uint8Array };
  const held = url === undefined ? undefined : messageOf(url);
  if (!held) return { '@type': url ?? '', value: Buffer.from(value ?? []) };
  return { '@type': url, ...plain(held, decode(held, value ?? new Uint8Array()), path, depth) };
}

function isLong(value: unknown): value is { toNumber(): number } {
  return typeof value === 'object' && value !== null && '__isLong__' in value;
}

function isEmpty(value: unknown): boolean {
  return Object.keys(value as object).length === 0;
}

/** protobufjs leaves names out that it does not know. */
function checkNames(type: protobuf.Type, object: object, path: string, depth: number): void {
  if (depth > maxDepth) throw new MeshError('CONFIG', `${path}: deeper than ${maxDepth} messages`);
  for (const [name, value] of Object.entries(object)) {
    if (name === '@type' || value === undefined || value === null) continue;
    const field = type.fields[name];
    if (!field) throw new MeshError('CONFIG', `${path}.${name}: ${type.fullName.slice(1)} has no such field`);
    const inner = field.resolvedType;
    if (inner instanceof protobuf.Enum) {
      for (const v of Array.isArray(value) ? value : [value]) {
        if (typeof v === 'string' && !(v in inner.values))
          throw new MeshError('CONFIG', `${path}.${name}: ${v} is no ${inner.name}`);
      }
    } else if (inner) {
      const values = field.map ? Object.values(value) : Array.isArray(value) ? value : [value];
      for (const v of values) checkMessage(inner, v as object, `${path}.${name}`, depth + 1);
    }
  }
}

function checkMessage(type: protobuf.Type, value: object, path: string, depth: number): void {
  const url = type.fullName === '.google.protobuf.Any' ? (value as Partial<Typed>)['@type'] : undefined;
  const held = url === undefined ? type : messageOf(url);
  if (!held) throw new MeshError('CONFIG', `${path}: ${url} is no message of Envoy's API`);
  checkNames(held, value, path, depth);
}
