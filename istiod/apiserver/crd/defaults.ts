/** Defaults of a schema have to fit it. */
import { applyDefaults } from '../../../common/kube/schema/defaults.ts';
import { pruneUnknown } from '../../../common/kube/schema/prune.ts';
import type { Schema } from '../../../common/kube/schema/types.ts';
import { formatPath, validate } from '../../../common/kube/schema/validate.ts';
import type { Cause } from '../status.ts';

/** A default that is not valid itself would make every object invalid that it fills in. */
export function checkDefaults(schema: Schema, field: string): Cause[] {
  const causes: Cause[] = [];
  if (schema.default !== undefined) {
    const value = structuredClone(schema.default);
    for (const path of pruneUnknown(schema, value)) {
      causes.push({
        reason: 'FieldValueInvalid',
        field: `${field}.default`,
        message: `has the unknown field ${formatPath(path)}`,
      });
    }
    applyDefaults(schema, value);
    for (const issue of validate(schema, value)) {
      const where = issue.path.length === 0 ? '' : `${formatPath(issue.path)}: `;
      causes.push({ reason: 'FieldValueInvalid', field: `${field}.default`, message: `${where}${issue.message}` });
    }
  }
  if (schema.type === 'array') causes.push(...checkDefaults(schema.items, `${field}.items`));
  if (schema.type === 'object') {
    for (const [name, member] of Object.entries(schema.properties ?? {})) {
      causes.push(...checkDefaults(member, `${field}.properties[${name}]`));
    }
    if (schema.additionalProperties !== undefined) {
      causes.push(...checkDefaults(schema.additionalProperties, `${field}.additionalProperties`));
    }
  }
  return causes;
}
