/** What CEL sees of an object, by its schema: types for the checker, values for programs. Fields without a schema are not seen. */

import { CelError } from '../../../common/cel/ast.ts';
import { dyn, simple, type Type } from '../../../common/cel/check.ts';
import { parseDuration, parseTimestamp } from '../../../common/cel/time.ts';
import { listKinds, type MapKey, type Value } from '../../../common/cel/values.ts';
import type { ObjectSchema, Schema } from '../../../common/kube/schema/types.ts';
import { isObject } from '../../../common/kube/schema/validate.ts';

const keywords = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

/** A property's name as expressions write it; undefined: they cannot. */
export function celName(name: string): string | undefined {
  if (keywords.has(name)) return `__${name}__`;
  const escaped = name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__');
  return /^[A-Za-z_]\w*$/.test(escaped) ? escaped : undefined;
}

export function celType(schema: Schema): Type {
  if (schema.type === undefined) return dyn;
  switch (schema.type) {
    case 'string':
      return simple(stringTypes[schema.format ?? ''] ?? 'string');
    case 'integer':
      return simple('int');
    case 'number':
      return simple('double');
    case 'boolean':
      return simple('bool');
    case 'array':
      return { kind: 'list', item: celType(schema.items) };
    case 'object': {
      if (schema.additionalProperties !== undefined)
        return { kind: 'map', key: simple('string'), value: celType(schema.additionalProperties) };
      return { kind: 'object', fields: new Map(fieldsOf(schema).map(([, name, member]) => [name, celType(member)])) };
    }
  }
}

const stringTypes: Readonly<Record<string, string>> = {
  byte: 'bytes',
  date: 'timestamp',
  'date-time': 'timestamp',
  duration: 'duration',
};

/** Property, its name in CEL, its schema. Untyped ones are not seen. */
function fieldsOf({ properties = {} }: ObjectSchema): readonly (readonly [string, string, Schema])[] {
  return Object.entries(properties).flatMap(([name, member]) => {
    const escaped = celName(name);
    const seen = member.type !== undefined || member['x-kubernetes-int-or-string'] === true;
    return escaped === undefined || !seen ? [] : [[name, escaped, member] as const];
  });
}

/** The value is valid under the schema. */
export function celValue(schema: Schema, value: unknown): Value {
  if (value === null || value === undefined) return null;
  switch (schema.type) {
    case undefined:
      return typeof value === 'number' ? BigInt(value) : (value as string);
    case 'string':
      return stringValue(schema.format, value as string);
    case 'integer':
      return BigInt(value as number);
    case 'array': {
      const items = (value as readonly unknown[]).map((item) => celValue(schema.items, item));
      const keys = schema['x-kubernetes-list-map-keys'];
      if (schema['x-kubernetes-list-type'] === 'set') listKinds.set(items, { kind: 'set' });
      else if (keys !== undefined) listKinds.set(items, { kind: 'map', keys: keys.map((k) => celName(k) ?? k) });
      return items;
    }
    case 'object':
      return isObject(value) ? objectValue(schema, value) : null;
    default:
      return value as Value;
  }
}

function objectValue(schema: ObjectSchema, value: Readonly<Record<string, unknown>>): Value {
  const map = new Map<MapKey, Value>();
  const { additionalProperties } = schema;
  if (additionalProperties !== undefined) {
    for (const [key, member] of Object.entries(value)) map.set(key, celValue(additionalProperties, member));
    return map;
  }
  for (const [name, escaped, member] of fieldsOf(schema)) {
    if (Object.hasOwn(value, name)) map.set(escaped, celValue(member, value[name]));
  }
  return map;
}

function stringValue(format: string | undefined, text: string): Value {
  try {
    switch (format) {
      case 'byte':
        return new Uint8Array(Buffer.from(text, 'base64'));
      case 'date':
        return parseTimestamp(`${text}T00:00:00Z`);
      case 'date-time':
        return parseTimestamp(text.replace(' ', 'T').toUpperCase());
      case 'duration':
        return parseDuration(text);
      default:
        return text;
    }
  } catch (e) {
    // Formats take more spellings than CEL knows.
    if (e instanceof CelError) return text;
    throw e;
  }
}
