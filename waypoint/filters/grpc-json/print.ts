/** Messages as proto3's JSON, with what Envoy lets a user choose of its form. */
import protobuf from 'protobufjs';
import protojson from 'protobufjs/ext/protojson.js';

export interface PrintOptions {
  readonly whitespace: boolean;
  /** Also fields that have their default. */
  readonly defaults: boolean;
  readonly enumNumbers: boolean;
  readonly protoNames: boolean;
}

type Plain = Readonly<Record<string, unknown>>;

/** Messages within messages. */
const maxDepth = 100;

/** Throws Error: the message says what JSON cannot. */
export function printMessage(type: protobuf.Type, bytes: Uint8Array, options: PrintOptions): string {
  return text(messageJson(type, type.decode(bytes) as unknown as Plain, options, 0), options);
}

export function text(json: unknown, { whitespace }: PrintOptions): string {
  const plain = whitespace ? `${JSON.stringify(json, undefined, 1)}\n` : JSON.stringify(json);
  return plain.replace(/[<>\u007f\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

export function messageJson(type: protobuf.Type, message: Plain, options: PrintOptions, depth: number): unknown {
  if (depth > maxDepth) throw new Error(`the message is deeper than ${maxDepth} levels`);
  if (type.fullName === '.google.protobuf.Any') return anyJson(type, message, options, depth);
  if (wellKnown.test(type.fullName)) return protojson.toJson(type, message);
  // Without a prototype, so that a field may be called anything.
  const out: Record<string, unknown> = Object.create(null);
  for (const field of type.fieldsArray) {
    const isSet = Object.hasOwn(message, field.name) && message[field.name] != null;
    if (!(isSet ? isTold(field.resolve(), message[field.name]) : false) && !(options.defaults && !hasPresence(field)))
      continue;
    out[options.protoNames ? field.protoName : field.jsonName] = fieldJson(field, message[field.name], options, depth);
  }
  return out;
}

const wellKnown =
  /^\.google\.protobuf\.(?:Duration|Timestamp|FieldMask|Struct|Value|ListValue|(?:Double|Float|U?Int(?:32|64)|UInt64|Bool|String|Bytes)Value)$/;

function hasPresence(field: protobuf.Field): boolean {
  const isMessage = field.resolve().resolvedType instanceof protobuf.Type;
  return !field.repeated && !field.map && (isMessage || field.hasPresence);
}

function isTold(field: protobuf.Field, value: unknown): boolean {
  if (hasPresence(field)) return true;
  if (field.map) return Object.keys(value as object).length > 0;
  if (field.repeated || field.bytes) return (value as ArrayLike<unknown>).length > 0;
  if (typeof value === 'number') return value !== 0 || Object.is(value, -0);
  return value !== false && value !== '' && String(value) !== '0';
}

function fieldJson(field: protobuf.Field, value: unknown, options: PrintOptions, depth: number): unknown {
  if (field instanceof protobuf.MapField) {
    const out: Record<string, unknown> = Object.create(null);
    for (const [key, one] of Object.entries((value ?? {}) as Plain)) {
      const isLong = /64$/.test(field.keyType);
      const unsigned = field.keyType === 'uint64' || field.keyType === 'fixed64';
      out[isLong ? String(protobuf.util.longFromKey(key, unsigned)) : key] = oneJson(field, one, options, depth);
    }
    return out;
  }
  if (field.repeated) return ((value ?? []) as readonly unknown[]).map((one) => oneJson(field, one, options, depth));
  return oneJson(field, value ?? field.typeDefault, options, depth);
}

function oneJson(field: protobuf.Field, value: unknown, options: PrintOptions, depth: number): unknown {
  const { resolvedType, type } = field;
  if (resolvedType instanceof protobuf.Enum) {
    if (resolvedType.fullName === '.google.protobuf.NullValue') return null;
    return options.enumNumbers ? value : (resolvedType.valuesById[value as number] ?? value);
  }
  if (resolvedType instanceof protobuf.Type) return messageJson(resolvedType, value as Plain, options, depth + 1);
  if (/64$/.test(type)) return String(value);
  if (type === 'bytes') return Buffer.from(value as Uint8Array).toString('base64');
  if (type === 'float' && Number.isFinite(value)) return shortest(value as number);
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

/** The fewest digits that make the same float. */
function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}

function anyJson(type: protobuf.Type, message: Plain, options: PrintOptions, depth: number): unknown {
  const url = String(message['type_url'] ?? message['typeUrl'] ?? '');
  if (url === '') return {};
  const inner = type.root.lookup(`.${url.slice(url.lastIndexOf('/') + 1)}`);
  if (!(inner instanceof protobuf.Type)) throw new Error(`${url} is not among the descriptors`);
  const bytes = (message['value'] ?? new Uint8Array()) as Uint8Array;
  const json = messageJson(inner, inner.decode(bytes) as unknown as Plain, options, depth + 1);
  const isSpecial = wellKnown.test(inner.fullName) || inner.fullName === type.fullName;
  return isSpecial ? { '@type': url, value: json } : { '@type': url, ...(json as object) };
}
