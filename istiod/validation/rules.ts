/** The CEL rules of the mesh's kinds, as API servers run them. */

import { parseFieldPath } from '../../common/kube/manifests/documents.ts';
import { fieldsOf } from '../../common/kube/schema/check-object.ts';
import type { KindEntry, ObjectSchema } from '../../common/kube/schema/types.ts';
import { type CompiledRules, compileRules } from '../apiserver/crd/cel-rules.ts';
import type { Finding } from './finding.ts';

const compiled = new Map<ObjectSchema, CompiledRules>();

/** `object` fits the kind's schema and has its defaults; `old` is what it was before, where it is changed. */
export function checkRules(
  entry: KindEntry,
  object: Readonly<Record<string, unknown>>,
  old?: unknown,
): readonly Finding[] {
  const fields = fieldsOf(entry, String(object['apiVersion']));
  let rules = compiled.get(fields);
  if (rules === undefined) {
    rules = compileRules(fields, '');
    compiled.set(fields, rules);
  }
  return rules.check(object, old).map(({ field = '', message }) => ({
    level: 'error',
    path: parseFieldPath(field),
    at: 'value',
    reason: message,
  }));
}
