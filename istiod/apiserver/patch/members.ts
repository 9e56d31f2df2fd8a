/** The schema of what is inside of a value; undefined where the table says nothing of it. */
import type { Schema } from '../../../common/kube/schema/types.ts';

export function memberSchema(schema: Schema | undefined, name: string): Schema | undefined {
  if (schema?.type !== 'object') return undefined;
  const { properties = {}, additionalProperties } = schema;
  return Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
}

export function itemSchema(schema: Schema | undefined): Schema | undefined {
  return schema?.type === 'array' ? schema.items : undefined;
}

/** It is a field of the kind, and not a key that a user chose. */
export function isDeclared(schema: Schema | undefined, name: string): boolean {
  return schema?.type === 'object' && Object.hasOwn(schema.properties ?? {}, name);
}
