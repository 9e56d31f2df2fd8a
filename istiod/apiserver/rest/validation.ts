/** Objects against their schema and their kind's own rules, with every mistake as a cause. */
import { fits } from '../../../common/kube/schema/fits.ts';
import { formatPath, type Issue, type IssueReason, validate } from '../../../common/kube/schema/validate.ts';
import type { ApiObject } from '../objects.ts';
import type { Resource } from '../resources/resource.ts';
import { type Cause, type CauseType, invalid } from '../status.ts';

const causeTypes: Readonly<Record<IssueReason, CauseType>> = {
  required: 'FieldValueRequired',
  invalid: 'FieldValueInvalid',
  type: 'FieldValueTypeInvalid',
  'not-supported': 'FieldValueNotSupported',
  unknown: 'FieldValueForbidden',
  duplicate: 'FieldValueDuplicate',
  'too-many': 'FieldValueTooMany',
  'too-long': 'FieldValueTooLong',
};

export function causeOf({ path, message, reason }: Issue): Cause {
  const field = formatPath(path);
  return { reason: causeTypes[reason], message, ...(field === '' ? {} : { field }) };
}

/** ApiError 422 that names all that is wrong. `old` is undefined at a creation. */
export function checkObject(
  resource: Resource,
  object: ApiObject,
  old: ApiObject | undefined,
  subresource: string,
): void {
  // Rules beyond the schema may rely on its types.
  checkSchema(resource, object);
  refuse(resource, object, [
    ...checkMetadata(object, old),
    ...(resource.strategy.validate?.(object, old, subresource) ?? []),
  ]);
}

/** ApiError 422 where a member has another type than its kind says, or is missing. */
export function checkSchema(resource: Resource, object: ApiObject): void {
  if (!fits(resource.schema, object)) refuse(resource, object, validate(resource.schema, object).map(causeOf));
}

function refuse({ group, kind }: Resource, { metadata }: ApiObject, causes: readonly Cause[]): void {
  if (causes.length > 0) throw invalid(group, kind, metadata.name ?? '', causes);
}

/** Bytes of all annotations together. */
const annotationLimit = 256 * 1024;
const key =
  /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

function checkMetadata({ metadata }: ApiObject, old: ApiObject | undefined): Cause[] {
  const causes: Cause[] = [];
  const bad = (field: string, message: string, reason: CauseType = 'FieldValueInvalid') =>
    causes.push({ reason, field: `metadata.${field}`, message });
  for (const field of ['labels', 'annotations'] as const) {
    for (const name of Object.keys(metadata[field] ?? {})) {
      const named = field === 'labels' ? name : name.toLowerCase();
      if (!key.test(named))
        bad(field, `${JSON.stringify(name)} is not a qualified name such as app or example.com/app`);
    }
  }
  const bytes = Object.entries(metadata.annotations ?? {}).reduce(
    (n, [k, v]) => n + Buffer.byteLength(k) + Buffer.byteLength(v),
    0,
  );
  if (bytes > annotationLimit)
    bad('annotations', `${bytes} bytes in all; at most ${annotationLimit} are allowed`, 'FieldValueTooLong');
  const owners = metadata.ownerReferences ?? [];
  if (owners.filter((o) => o.controller).length > 1) bad('ownerReferences', 'only one owner can be the controller');
  for (const finalizer of metadata.finalizers ?? []) {
    if (!key.test(finalizer)) bad('finalizers', `${JSON.stringify(finalizer)} is not a qualified name`);
  }
  if (old?.metadata.deletionTimestamp !== undefined) {
    const before = new Set(old.metadata.finalizers);
    const added = (metadata.finalizers ?? []).filter((f) => !before.has(f));
    if (added.length > 0) {
      bad(
        'finalizers',
        `no new finalizers can be added while the object is being deleted: ${added.join(', ')}`,
        'FieldValueForbidden',
      );
    }
  }
  return causes;
}
