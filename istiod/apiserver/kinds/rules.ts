/** Causes of refusals, and rules that several kinds have. */
import { isSameJson } from '../../../common/core/same-json.ts';
import type { LabelSelector } from '../../../common/kube/kinds/apps.ts';
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { ApiObject } from '../objects.ts';
import { matchesSelector } from '../selectors/objects.ts';
import type { Cause } from '../status.ts';
import { at, listAt, textAt } from './columns.ts';

/** Texts that must say something: protobuf and some clients send empty ones for what is absent. */
export const notEmpty = (object: unknown, ...fields: readonly string[]): readonly Cause[] =>
  fields.filter((field) => textAt(object, field) === '').map((field) => required(field));

export const required = (field: string, message = 'Required value'): Cause => ({
  reason: 'FieldValueRequired',
  field,
  message,
});
export const invalidValue = (field: string, value: unknown, message: string): Cause => ({
  reason: 'FieldValueInvalid',
  field,
  message: `Invalid value: ${JSON.stringify(value)}: ${message}`,
});
export const duplicate = (field: string, value: unknown): Cause => ({
  reason: 'FieldValueDuplicate',
  field,
  message: `Duplicate value: ${JSON.stringify(value)}`,
});
export const forbidden = (field: string, message: string): Cause => ({
  reason: 'FieldValueForbidden',
  field,
  message: `Forbidden: ${message}`,
});

/** What is at `path` is as it was, but for the members of it that are `free`. */
export function sameFields(
  object: ApiObject,
  old: ApiObject,
  path: readonly string[],
  free: readonly string[],
  message: string,
): readonly Cause[] {
  const without = (o: ApiObject) => {
    const value = at(o, ...path);
    return isObject(value) ? Object.fromEntries(Object.entries(value).filter(([k]) => !free.includes(k))) : value;
  };
  if (isSameJson(without(object), without(old))) return [];
  const field = path.join('.');
  return [
    forbidden(field, free.length === 0 ? `${field} ${message}` : `${field} ${message}, except ${free.join(', ')}`),
  ];
}

/** `a=b,c in (d,e),!f`, as kubectl shows a selector; empty for none. */
export function selectorText(selector: unknown): string {
  const equal = Object.entries((at(selector, 'matchLabels') ?? {}) as object).map(([k, v]) => `${k}=${v}`);
  const others = listAt(selector, 'matchExpressions').map((e) => {
    const [key, operator] = [textAt(e, 'key'), textAt(e, 'operator')];
    if (operator === 'Exists') return key;
    if (operator === 'DoesNotExist') return `!${key}`;
    return `${key} ${operator === 'In' ? 'in' : 'notin'} (${listAt(e, 'values').join(',')})`;
  });
  return [...equal, ...others].join(',');
}

/** A selector that selects nothing of its own template would make pods without end; it never changes. */
export function checkSelector(object: ApiObject, old: ApiObject | undefined): readonly Cause[] {
  const selector = at(object, 'spec', 'selector') as LabelSelector | undefined;
  const causes: Cause[] = [];
  if (Object.keys(selector?.matchLabels ?? {}).length + (selector?.matchExpressions ?? []).length === 0)
    causes.push(invalidValue('spec.selector', selector ?? {}, 'empty selector is invalid'));
  const labels = at(object, 'spec', 'template', 'metadata', 'labels') as Record<string, string> | undefined;
  if (causes.length === 0 && !matchesSelector(selector, labels))
    causes.push(
      invalidValue('spec.template.metadata.labels', labels ?? {}, '`selector` does not match template `labels`'),
    );
  if (old !== undefined && !isSameJson(selector, at(old, 'spec', 'selector')))
    causes.push(invalidValue('spec.selector', selector ?? {}, 'field is immutable'));
  return causes;
}
