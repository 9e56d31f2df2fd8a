/**
 * Sets of fields of an object, as metadata.managedFields has them (FieldsV1). A path is a list of steps in their written form:
 * `f:NAME` a member, `k:{"name":"a"}` an item by its keys, `v:"a"` an item of a set. A path can be in a set without those
 * below it, and these without it.
 */
import { isObject } from '../../../../common/kube/schema/validate.ts';

export interface FieldSet {
  /** The path that leads here is in the set. */
  readonly member: boolean;
  readonly children: ReadonlyMap<string, FieldSet>;
}

const nothing: ReadonlyMap<string, FieldSet> = new Map();

export const emptySet: FieldSet = { member: false, children: nothing };
/** One path alone. */
export const leaf: FieldSet = { member: true, children: nothing };

export function isEmpty({ member, children }: FieldSet): boolean {
  return !member && children.size === 0;
}

/** Without branches that hold nothing. */
export function setOf(member: boolean, children: Iterable<readonly [string, FieldSet]>): FieldSet {
  const kept = new Map<string, FieldSet>();
  for (const [step, child] of children) if (!isEmpty(child)) kept.set(step, child);
  if (kept.size > 0) return { member, children: kept };
  return member ? leaf : emptySet;
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmpty(a)) return b;
  if (isEmpty(b)) return a;
  const children = new Map(a.children);
  for (const [step, child] of b.children) {
    const own = children.get(step);
    children.set(step, own === undefined ? child : union(own, child));
  }
  return { member: a.member || b.member, children };
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  return setOf(
    a.member && b.member,
    [...a.children].map(([step, child]) => [step, intersection(child, b.children.get(step) ?? emptySet)]),
  );
}

/** Paths of `a` that are not in `b`, one by one: that a path is in `b` says nothing of those below it. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmpty(b)) return a;
  return setOf(
    a.member && !b.member,
    [...a.children].map(([step, child]) => {
      const other = b.children.get(step);
      return [step, other === undefined ? child : difference(child, other)];
    }),
  );
}

export function sameSet(a: FieldSet, b: FieldSet): boolean {
  if (a.member !== b.member || a.children.size !== b.children.size) return false;
  for (const [step, child] of a.children) {
    const other = b.children.get(step);
    if (other === undefined || !sameSet(child, other)) return false;
  }
  return true;
}

/** Paths in order. */
export function* pathsOf(set: FieldSet, path: readonly string[] = []): Generator<readonly string[]> {
  if (set.member) yield path;
  for (const step of [...set.children.keys()].sort()) yield* pathsOf(set.children.get(step)!, [...path, step]);
}

/** A path that is in the set and has none below it is `{}`; one that has some holds `.` besides them. */
export function toFieldsV1({ member, children }: FieldSet): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  if (member && children.size > 0) fields['.'] = {};
  for (const step of [...children.keys()].sort()) fields[step] = toFieldsV1(children.get(step)!);
  return fields;
}

/** undefined: it is not FieldsV1. */
export function fromFieldsV1(fields: unknown): FieldSet | undefined {
  if (!isObject(fields)) return undefined;
  const names = Object.keys(fields);
  if (names.length === 0) return emptySet;
  return branch(fields);
}

function branch(fields: Readonly<Record<string, unknown>>): FieldSet | undefined {
  const children = new Map<string, FieldSet>();
  let member = false;
  let any = false;
  for (const [step, below] of Object.entries(fields)) {
    any = true;
    if (!isObject(below)) return undefined;
    if (step === '.') {
      member = true;
      continue;
    }
    if (!/^[fkvi]:/.test(step)) return undefined;
    const child = branch(below);
    if (child === undefined) return undefined;
    children.set(step, child);
  }
  return any ? { member, children } : leaf;
}
