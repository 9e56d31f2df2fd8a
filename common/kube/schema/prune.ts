/** Takes away what the schema does not know. */
import type { Schema } from './types.ts';
import { isObject, type Path } from './validate.ts';

/** Changes `value` in place; returns the paths of what was taken away. */
export function pruneUnknown(schema: Schema, value: unknown): readonly Path[] {
  const pruned: Path[] = [];
  visit(schema, value, [], pruned);
  return pruned;
}

function visit(schema: Schema, value: unknown, path: Path, pruned: Path[]): void {
  if (schema.type === 'array' && Array.isArray(value)) {
    const { items } = schema;
    if (items.type === 'object' || items.type === 'array')
      value.forEach((v, i) => void visit(items, v, [...path, i], pruned));
  } else if (schema.type === 'object' && isObject(value)) {
    const { properties = {}, additionalProperties } = schema;
    for (const [name, member] of Object.entries(value)) {
      const known = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
      if (known !== undefined) {
        if (typeof member === 'object') visit(known, member, [...path, name], pruned);
      } else if (!schema['x-kubernetes-preserve-unknown-fields']) {
        delete value[name];
        pruned.push([...path, name]);
      }
    }
  }
}
