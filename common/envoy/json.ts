/**
 * Proto3's JSON of Envoy's messages, as bootstrap files have it, in the form that the codec takes: durations as text, wrappers as bare
 * values, bytes in base64, names in either case. Names that a type has not stay, for the codec to refuse.
 */
import protobuf from 'protobufjs';
import { MeshError } from '../core/errors.ts';
import type { Typed } from './codec.ts';
import { envoyMessage } from './protos.ts';

const google = '.google.protobuf.';
const maxDepth = 100;

/** MeshError CONFIG for a value that is not of its field's type. */
export function messageFromJson(url: string, json: unknown): Typed {
  const type = typeOf(url);
  if (!type) throw new MeshError('CONFIG', `${url} is no message of Envoy's API`);
  return { '@type': url, ...(convert(type, json, type.name, 0) as object) };
}

function typeOf(url: string): protobuf.Type | undefined {
  return envoyMessage(url.slice(url.indexOf('/') + 1));
}

function convert(type: protobuf.Type, json: unknown, path: string, depth: number): unknown {
  if (depth > maxDepth) throw new MeshError('CONFIG', `${path}: deeper than ${maxDepth} messages`);
  const name = type.fullName.startsWith(google) ? type.fullName.slice(google.length) : undefined;
  switch (name) {
    case 'Duration':
      return duration(json, path);
    case 'Timestamp':
      return timestamp(json, path);
    case 'Struct':
      return struct(object(json, path));
    case 'Value':
      return value(json);
    case 'ListValue':
      return value(json)['listValue'];
    case 'Any':
      return any(object(json, path), path, depth);
    case 'BytesValue':
      return { value: Buffer.from(String(json), 'base64') };
    case 'BoolValue':
    case 'StringValue':
    case 'UInt32Value':
    case 'UInt64Value':
    case 'Int32Value':
    case 'Int64Value':
    case 'DoubleValue':
    case 'FloatValue':
      return { value: scalar(type.fields['value']!.type, json, path) };
  }
  return fields(type, object(json, path), path, depth);
}

function fields(type: protobuf.Type, json: object, path: string, depth: number): object {
  const out: Record<string, unknown> = {};
  for (const [key, given] of Object.entries(json)) {
    if (given === null || key === '@type') continue;
    const field = type.fields[key] ?? type.fieldsArray.find((f) => camel(f.name) === key);
    const inner = `${path}.${key}`;
    if (!field) throw new MeshError('CONFIG', `${inner}: ${type.fullName.slice(1)} has no such field`);
    const one = (item: unknown, at: string): unknown => {
      if (field.resolvedType instanceof protobuf.Type) return convert(field.resolvedType, item, at, depth + 1);
      return field.resolvedType ? item : scalar(field.type, item, at);
    };
    if (field.map) {
      const entries = Object.entries(object(given, inner)).map(([k, v]) => [k, one(v, `${inner}[${k}]`)]);
      out[field.name] = Object.fromEntries(entries);
    } else if (field.repeated) {
      if (!Array.isArray(given)) throw new MeshError('CONFIG', `${inner}: expected a list`);
      out[field.name] = given.map((item, i) => one(item, `${inner}[${i}]`));
    } else out[field.name] = one(given, inner);
  }
  return out;
}

function scalar(type: string, given: unknown, path: string): unknown {
  const wrong = (expected: string) => new MeshError('CONFIG', `${path}: expected ${expected}`);
  switch (type) {
    case 'bool':
      if (typeof given !== 'boolean') throw wrong('true or false');
      return given;
    case 'string':
      if (typeof given !== 'string') throw wrong('text');
      return given;
    case 'bytes':
      if (typeof given !== 'string') throw wrong('bytes in base64');
      return Buffer.from(given, 'base64');
    default: {
      const number = typeof given === 'string' && given.trim() !== '' ? Number(given) : given;
      if (typeof number !== 'number' || Number.isNaN(number)) throw wrong('a number');
      return number;
    }
  }
}

function object(json: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  throw new MeshError('CONFIG', `${path}: expected an object`);
}

function any(json: Readonly<Record<string, unknown>>, path: string, depth: number): object {
  // One that holds nothing, as enables a filter.
  if (Object.keys(json).length === 0) return {};
  const url = String(json['@type'] ?? '');
  const type = typeOf(url);
  if (!type) throw new MeshError('CONFIG', `${path}: "${url}" is no message of Envoy's API`);
  const { '@type': _type, ...rest } = json;
  // Google's own have their JSON in `value`.
  const inner = type.fullName.startsWith(google) && 'value' in rest ? rest['value'] : rest;
  return { '@type': url, ...(convert(type, inner, path, depth + 1) as object) };
}

function duration(json: unknown, path: string): object {
  const parts = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(String(json));
  if (!parts) throw new MeshError('CONFIG', `${path}: expected a duration such as 1.5s`);
  const sign = parts[1] === '-' ? -1 : 1;
  return { seconds: sign * Number(parts[2]), nanos: sign * Number((parts[3] ?? '').padEnd(9, '0')) };
}

function timestamp(json: unknown, path: string): object {
  const ms = Date.parse(String(json));
  if (Number.isNaN(ms)) throw new MeshError('CONFIG', `${path}: expected a time such as 2026-01-01T00:00:00Z`);
  return { seconds: Math.floor(ms / 1_000), nanos: (ms % 1_000) * 1_000_000 };
}

function struct(json: Readonly<Record<string, unknown>>): object {
  return { fields: Object.fromEntries(Object.entries(json).map(([k, v]) => [k, value(v)])) };
}

/** Names as protobufjs has them, which knows google.protobuf by itself. */
function value(json: unknown): Record<string, unknown> {
  if (json === null || json === undefined) return { nullValue: 0 };
  if (typeof json === 'string') return { stringValue: json };
  if (typeof json === 'number') return { numberValue: json };
  if (typeof json === 'boolean') return { boolValue: json };
  if (Array.isArray(json)) return { listValue: { values: json.map(value) } };
  return { structValue: struct(json as Record<string, unknown>) };
}

function camel(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
