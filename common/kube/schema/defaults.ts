/** Fills in what the schema says an absent field means. */
import type { ObjectSchema, Schema } from './types.ts';
import { isObject } from './validate.ts';

/** Changes `value` in place. Members that are null count as absent unless the schema is nullable or custom, and are taken away. */
export function applyDefaults(schema: Schema, value: unknown): void {
  if (schema.type === 'array' && Array.isArray(value)) {
    if (mayHaveDefaults(schema.items)) for (const item of value) applyDefaults(schema.items, item);
  } else if (schema.type === 'object' && isObject(value)) {
    applyToObject(schema, value);
  }
}

function applyToObject(schema: ObjectSchema, value: Record<string, unknown>): void {
  const { properties = {}, additionalProperties } = schema;
  for (const [name, property] of Object.entries(properties)) {
    if (value[name] === null && countsAsAbsent(property)) delete value[name];
    if (property.default !== undefined && value[name] === undefined) {
      const { default: fill } = property;
      value[name] = typeof fill === 'object' ? structuredClone(fill) : fill;
    }
    if (Object.hasOwn(value, name)) applyDefaults(property, value[name]);
  }
  if (additionalProperties === undefined) return;
  for (const [name, member] of Object.entries(value)) {
    if (Object.hasOwn(properties, name)) continue;
    if (member === null && countsAsAbsent(additionalProperties)) delete value[name];
    else applyDefaults(additionalProperties, member);
  }
}

/** A custom resource's null is nothing only where a default takes its place. */
function countsAsAbsent({ nullable, custom, default: fill }: Schema): boolean {
  return !nullable && (!custom || fill !== undefined);
}

/** Scalars have nothing inside to fill or to take away. */
function mayHaveDefaults(schema: Schema): boolean {
  return schema.type === 'object' || schema.type === 'array';
}
