/** google.protobuf.Struct to and from JSON: node metadata of xDS and the metadata of a certificate request. */
import type { Encodable, PbStruct, PbValue } from './messages.ts';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export function structFromJson(object: Readonly<Record<string, JsonValue>>): Encodable<PbStruct> {
  return { fields: Object.fromEntries(Object.entries(object).map(([k, v]) => [k, valueFromJson(v)])) };
}

/** The text of a string field; undefined where the struct, the field, or a string in it is missing. */
export function stringField(struct: PbStruct | null, name: string): string | undefined {
  if (!struct || !Object.hasOwn(struct.fields, name)) return undefined;
  const value = struct.fields[name]!;
  return value.kind === 'stringValue' ? value.stringValue! : undefined;
}

/** The texts in a field that is a struct of them, as node metadata have LABELS and ANNOTATIONS. */
export function textsField(struct: PbStruct | null, name: string): Readonly<Record<string, string>> {
  if (!struct || !Object.hasOwn(struct.fields, name)) return {};
  const value = struct.fields[name]!;
  const inner = value.kind === 'structValue' ? (value.structValue ?? null) : null;
  const names = Object.keys(inner?.fields ?? {});
  return Object.fromEntries(
    names.flatMap((n) => [[n, stringField(inner, n)]]).filter(([, text]) => text !== undefined),
  );
}

function valueFromJson(value: JsonValue): Encodable<PbValue> {
  if (value === null) return { nullValue: 0 };
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'number') return { numberValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (isList(value)) return { listValue: { values: value.map(valueFromJson) } };
  return { structValue: structFromJson(value) };
}

function isList(value: object): value is readonly JsonValue[] {
  return Array.isArray(value);
}
