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
  // Objects have few of the members that their kind may have.
  for (const name of Object.keys(value)) {
    const property = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
    if (property === undefined) continue;
    const member = value[name];
    if (member === null && countsAsAbsent(property)) delete value[name];
    else if (typeof member === 'object') applyDefaults(property, member);
  }
  for (const [name, property] of defaultsOf(schema)) {
    if (value[name] !== undefined) continue;
    const { default: fill } = property;
    value[name] = typeof fill === 'object' ? structuredClone(fill) : fill;
    applyDefaults(property, value[name]);
  }
}

const withDefaults = new WeakMap<ObjectSchema, readonly (readonly [name: string, property: Schema])[]>();

function defaultsOf(schema: ObjectSchema): readonly (readonly [name: string, property: Schema])[] {
  let found = withDefaults.get(schema);
  if (found === undefined) {
    found = Object.entries(schema.properties ?? {}).filter(([, property]) => property.default !== undefined);
    withDefaults.set(schema, found);
  }
  return found;
}

/** A custom resource's null is nothing only where a default takes its place. */
function countsAsAbsent({ nullable, custom, default: fill }: Schema): boolean {
  return !nullable && (!custom || fill !== undefined);
}

/** Scalars have nothing inside to fill or to take away. */
function mayHaveDefaults(schema: Schema): boolean {
  return schema.type === 'object' || schema.type === 'array';
}
