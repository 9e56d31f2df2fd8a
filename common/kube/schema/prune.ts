/** Takes away what the schema does not know. */
import type { Schema } from './types.ts';
import { isObject, type Path } from './validate.ts';

/** Changes `value` in place; returns the paths of what was taken away. */
export function pruneUnknown(schema: Schema, value: unknown): readonly Path[] {
  const pruned: Path[] = [];
  visit(schema, value, [], pruned);
  return pruned;
}

/** `path`: where we are, for this visit to change. */
function visit(schema: Schema, value: unknown, path: (string | number)[], pruned: Path[]): void {
  if (schema.type === 'array' && Array.isArray(value)) {
    const { items } = schema;
    if (items.type !== 'object' && items.type !== 'array') return;
    for (let i = 0; i < value.length; i++) {
      path.push(i);
      visit(items, value[i], path, pruned);
      path.pop();
    }
  } else if (schema.type === 'object' && isObject(value)) {
    const { properties = {}, additionalProperties } = schema;
    for (const name of Object.keys(value)) {
      const known = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
      if (known !== undefined) {
        const member = value[name];
        if (typeof member !== 'object' || member === null) continue;
        path.push(name);
        visit(known, member, path, pruned);
        path.pop();
      } else if (!schema['x-kubernetes-preserve-unknown-fields']) {
        delete value[name];
        pruned.push([...path, name]);
      }
    }
  }
}
