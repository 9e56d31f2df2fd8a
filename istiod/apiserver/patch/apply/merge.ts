/** Puts what is applied into what is there, and takes away what nobody wants any more. Arguments are not changed. */
import type { ArraySchema, Schema } from '../../../../common/kube/schema/types.ts';
import { isObject } from '../../../../common/kube/schema/validate.ts';
import { isDeclared, memberSchema } from '../members.ts';
import { type FieldSet, setOf } from './field-set.ts';
import { itemSteps, partsOf } from './steps.ts';

/** `applied` wins; what it does not name stays. */
export function mergeApplied(schema: Schema | undefined, live: unknown, applied: unknown): unknown {
  // An empty object or null says nothing of what is inside.
  if (applied === null && typeof live === 'object' && partsOf(schema, live).kind !== 'leaf') return live;
  const parts = partsOf(schema, applied);
  if (parts.kind === 'map') {
    const result = new Map(isObject(live) ? Object.entries(live) : []);
    for (const [name, value] of Object.entries(applied as object)) {
      result.set(name, mergeApplied(memberSchema(schema, name), result.get(name), value));
    }
    return Object.fromEntries(result);
  }
  if (parts.kind === 'list' && Array.isArray(live) && partsOf(schema, live).kind === 'list') {
    return mergeList(schema as ArraySchema, live, applied as readonly unknown[]);
  }
  return applied;
}

/**
 * Items that both have come in the order of `applied`. Others of `live` keep their place among those that stay where they
 * were; others of `applied` come behind what stands before the next item that both have.
 */
function mergeList(schema: ArraySchema, live: readonly unknown[], applied: readonly unknown[]): unknown[] {
  const [liveSteps, appliedSteps] = [stepsOf(schema, live), stepsOf(schema, applied)];
  const present = new Map(liveSteps.map((step, i) => [step, live[i]]));
  const wanted = new Set(appliedSteps);
  const result: unknown[] = [];
  let at = 0;
  applied.forEach((item, i) => {
    const nextShared = appliedSteps.slice(i).find((step) => present.has(step));
    while (at < live.length && liveSteps[at] !== nextShared) {
      if (!wanted.has(liveSteps[at]!)) result.push(live[at]);
      at++;
    }
    result.push(mergeApplied(schema.items, present.get(appliedSteps[i]!), item));
    // Behind it, and behind those that repeat its keys.
    while (at < live.length && liveSteps[at] === appliedSteps[i]) at++;
  });
  for (; at < live.length; at++) if (!wanted.has(liveSteps[at]!)) result.push(live[at]);
  return result;
}

function stepsOf(schema: ArraySchema, list: readonly unknown[]): readonly string[] {
  const steps = itemSteps(schema, list);
  return steps.kind === 'items' ? steps.steps : [];
}

/** Without the paths of `set`; with a path goes all that is below it. undefined: nothing is left of it. */
export function removeFields(schema: Schema | undefined, value: unknown, set: FieldSet): unknown {
  const parts = partsOf(schema, value);
  if (parts.kind === 'leaf' || set.children.size === 0) return value;
  if (parts.kind === 'map') {
    const kept: [string, unknown][] = [];
    for (const [name, member] of Object.entries(value as object)) {
      const below = set.children.get(`f:${name}`);
      if (below?.member) continue;
      const rest = below === undefined ? member : removeFields(memberSchema(schema, name), member, below);
      if (rest !== undefined) kept.push([name, rest]);
    }
    return kept.length === 0 && parts.members.size > 0 ? undefined : Object.fromEntries(kept);
  }
  const { items } = schema as ArraySchema;
  const list = value as readonly unknown[];
  const steps = stepsOf(schema as ArraySchema, list);
  const kept = list.flatMap((item, i) => {
    const below = set.children.get(steps[i]!);
    if (below?.member) return [];
    const rest = below === undefined ? item : removeFields(items, item, below);
    return rest === undefined ? [] : [rest];
  });
  return kept.length === 0 && list.length > 0 ? undefined : kept;
}

/** With the objects that are fields of the kind around each path, which appliers do not name. */
export function withNamedFields(schema: Schema | undefined, set: FieldSet): FieldSet {
  return setOf(
    set.member,
    [...set.children].map(([step, child]) => {
      const name = step.slice(2);
      const isField = step.startsWith('f:');
      const inside = isField ? memberSchema(schema, name) : schema?.type === 'array' ? schema.items : undefined;
      const below = withNamedFields(inside, child);
      const member = below.member || (isField && isDeclared(schema, name));
      return [step, member === below.member ? below : { ...below, member }];
    }),
  );
}
