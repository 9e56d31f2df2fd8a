/** Envoy's resources as its admin pages show them: protobuf's JSON with the field names of the .proto files. */
import protobuf from 'protobufjs';
import type { TypedObject } from './codec.ts';
import { envoyMessage } from './protos.ts';

const prefix = 'type.googleapis.com/';

type Fields = Readonly<Record<string, unknown>>;

/** Of what `decodeEnvoy` made. A type that is not known stays as it is. */
export function shownEnvoy(resource: TypedObject): object {
  return anyJson(resource) as object;
}

function anyJson(value: Fields): unknown {
  const { '@type': url, ...fields } = value;
  const type = typeof url === 'string' && url.startsWith(prefix) ? envoyMessage(url.slice(prefix.length)) : undefined;
  if (type === undefined) return { '@type': url, ...bytesAsText(fields) };
  const json = messageJson(type, fields);
  // Messages that have a JSON of their own go beside the type (ProtoJSON, Any).
  return wellKnown.has(type.fullName) ? { '@type': url, value: json } : { '@type': url, ...(json as object) };
}

function messageJson(type: protobuf.Type, message: Fields): unknown {
  const own = wellKnown.get(type.fullName);
  if (own !== undefined) return own(message);
  if (type.fullName === '.google.protobuf.Any') return anyJson(message);
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(message)) {
    const field = type.fields[name];
    if (field === undefined) continue;
    const one = (v: unknown) => fieldJson(field, v);
    if (field.map) out[name] = Object.fromEntries(Object.entries(value as Fields).map(([k, v]) => [k, one(v)]));
    else out[name] = field.repeated ? (value as readonly unknown[]).map(one) : one(value);
  }
  return out;
}

function fieldJson(field: protobuf.Field, value: unknown): unknown {
  // Types are looked up when they are needed first.
  const { resolvedType, type } = field.resolve();
  if (resolvedType instanceof protobuf.Type) return messageJson(resolvedType, value as Fields);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  // 64 bits are texts in protobuf's JSON.
  return /64$/.test(type) && typeof value === 'number' ? String(value) : value;
}

function bytesAsText(fields: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).map(([k, v]) => [k, v instanceof Uint8Array ? Buffer.from(v).toString('base64') : v]),
  );
}

const wrapper = (preset: unknown) => (m: Fields) => m['value'] ?? preset;
const text64 = (m: Fields) => String(m['value'] ?? 0);

/** Messages whose JSON is not an object of their fields. */
const wellKnown: ReadonlyMap<string, (message: Fields) => unknown> = new Map([
  ['.google.protobuf.BoolValue', wrapper(false)],
  ['.google.protobuf.StringValue', wrapper('')],
  ['.google.protobuf.Int32Value', wrapper(0)],
  ['.google.protobuf.UInt32Value', wrapper(0)],
  ['.google.protobuf.FloatValue', wrapper(0)],
  ['.google.protobuf.DoubleValue', wrapper(0)],
  ['.google.protobuf.Int64Value', text64],
  ['.google.protobuf.UInt64Value', text64],
  ['.google.protobuf.Duration', (m) => durationJson(Number(m['seconds'] ?? 0), Number(m['nanos'] ?? 0))],
  ['.google.protobuf.Struct', structJson],
  ['.google.protobuf.Value', valueJson],
  ['.google.protobuf.ListValue', listJson],
]);

function durationJson(seconds: number, nanos: number): string {
  const sign = seconds < 0 || nanos < 0 ? '-' : '';
  const fraction = nanos === 0 ? '' : `.${String(Math.abs(nanos)).padStart(9, '0').replace(/0+$/, '')}`;
  return `${sign}${Math.abs(seconds)}${fraction}s`;
}

function structJson(struct: Fields): unknown {
  const fields = (struct['fields'] ?? {}) as Readonly<Record<string, Fields>>;
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, valueJson(value)]));
}

function listJson(list: Fields): unknown {
  return ((list['values'] ?? []) as readonly Fields[]).map(valueJson);
}

/** protobufjs' own definition of these messages has names in camel case. */
function valueJson(value: Fields): unknown {
  const get = (camel: string, snake: string) => value[camel] ?? value[snake];
  const struct = get('structValue', 'struct_value');
  const list = get('listValue', 'list_value');
  if (struct !== undefined) return structJson(struct as Fields);
  if (list !== undefined) return listJson(list as Fields);
  return (
    get('stringValue', 'string_value') ?? get('numberValue', 'number_value') ?? get('boolValue', 'bool_value') ?? null
  );
}
