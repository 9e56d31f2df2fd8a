/**
 * The schema of a version, read once for all that say the same: versions of a definition mostly do, and each write of a definition's
 * status checks it again.
 */
import { createHash } from 'node:crypto';
import type { Schema } from '../../../common/kube/schema/types.ts';
import type { Cause } from '../status.ts';
import { type CompiledRules, compileRules } from './cel-rules.ts';
import { checkDefaults } from './defaults.ts';
import { readRootSchema } from './structural.ts';

export interface ReadSchema {
  readonly schema: Schema;
  readonly rules: CompiledRules;
  /** What is wrong with it; fields begin below the schema. */
  readonly causes: readonly Cause[];
}

/** Definitions of a large cluster have some hundred schemas. */
const most = 256;
const read = new Map<string, ReadSchema>();

export function readSchemaOnce(value: unknown, namespaced: boolean): ReadSchema {
  const key = createHash('sha256')
    .update(`${namespaced}${JSON.stringify(value)}`)
    .digest('base64');
  const known = read.get(key);
  if (known !== undefined) return known;
  const { schema, causes } = readRootSchema(value, '', namespaced);
  const rules = compileRules(schema, '');
  const result = {
    schema,
    rules,
    causes: causes.length > 0 ? causes : [...checkDefaults(schema, ''), ...rules.causes],
  };
  if (read.size >= most) read.clear();
  read.set(key, result);
  return result;
}
