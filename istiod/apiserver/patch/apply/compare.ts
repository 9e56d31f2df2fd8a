/** Which fields a value has, and which differ between two of them. */

import { isSameJson } from '../../../../common/core/same-json.ts';
import type { Schema } from '../../../../common/kube/schema/types.ts';
import { isObject } from '../../../../common/kube/schema/validate.ts';
import { isDeclared } from '../members.ts';
import { emptySet, type FieldSet, isEmpty, leaf, setOf } from './field-set.ts';
import { type Part, type Parts, partsOf } from './steps.ts';

/**
 * What an applier owns who applies this: leaves, items of lists, and keys that are no fields of the kind. Not the objects
 * around them, which others fill too.
 */
export function appliedFields(schema: Schema | undefined, value: unknown): FieldSet {
  const parts = partsOf(schema, value);
  switch (parts.kind) {
    case 'leaf':
      return leaf;
    case 'list':
      return setOf(
        false,
        [...parts.items].map(([step, part]) => [step, asMember(fieldsOfPart(part))]),
      );
    case 'map':
      return setOf(
        false,
        [...parts.members].map(([step, part]) => {
          const inside = fieldsOfPart(part);
          const empty = isObject(part.value) && Object.keys(part.value).length === 0;
          const own = part.value === null || empty || !isDeclared(schema, step.slice(2));
          return [step, own ? asMember(inside) : inside];
        }),
      );
  }
}

function fieldsOfPart({ value, schema, repeated }: Part): FieldSet {
  return repeated ? leaf : appliedFields(schema, value);
}

function asMember(set: FieldSet): FieldSet {
  return set.children.size === 0 ? leaf : { member: true, children: set.children };
}

/** Every path there is, objects and items included. */
export function allFields(schema: Schema | undefined, value: unknown): FieldSet {
  const parts = partsOf(schema, value);
  if (parts.kind === 'leaf') return leaf;
  const children = new Map<string, FieldSet>();
  for (const [step, part] of insideOf(parts))
    children.set(step, part.repeated ? leaf : allFields(part.schema, part.value));
  return children.size === 0 ? leaf : { member: true, children };
}

export interface Difference {
  /** New, or with another value. */
  readonly set: FieldSet;
  readonly removed: FieldSet;
}

const none: Difference = { set: emptySet, removed: emptySet };

export function compare(schema: Schema | undefined, old: unknown, now: unknown): Difference {
  if (old === now) return none;
  const [before, after] = [partsOf(schema, old), partsOf(schema, now)];
  if (before.kind === 'leaf' && after.kind === 'leaf') {
    return isSameJson(old, now) ? none : { set: leaf, removed: emptySet };
  }
  if (before.kind === 'leaf' || after.kind === 'leaf' || before.kind !== after.kind) {
    return { set: allFields(schema, now), removed: allFields(schema, old) };
  }
  const [was, is] = [insideOf(before), insideOf(after)];
  const set: [string, FieldSet][] = [];
  const removed: [string, FieldSet][] = [];
  for (const [step, part] of is) {
    const other = was.get(step);
    if (other === undefined) set.push([step, part.repeated ? leaf : allFields(part.schema, part.value)]);
    else {
      const inside = comparePart(other, part);
      set.push([step, inside.set]);
      removed.push([step, inside.removed]);
    }
  }
  for (const [step, part] of was) {
    if (!is.has(step)) removed.push([step, part.repeated ? leaf : allFields(part.schema, part.value)]);
  }
  return { set: setOf(false, set), removed: setOf(false, removed) };
}

function comparePart(old: Part, now: Part): Difference {
  if (!old.repeated && !now.repeated) return compare(now.schema, old.value, now.value);
  return isSameJson(old.value, now.value) ? none : { set: leaf, removed: emptySet };
}

export function isSame({ set, removed }: Difference): boolean {
  return isEmpty(set) && isEmpty(removed);
}

function insideOf(parts: Exclude<Parts, { kind: 'leaf' }>): ReadonlyMap<string, Part> {
  return parts.kind === 'map' ? parts.members : parts.items;
}
