/** How lists and objects are taken apart for owners: by which steps, and where ownership stops. */
import type { ArraySchema, Schema } from '../../../../common/kube/schema/types.ts';
import { isObject } from '../../../../common/kube/schema/validate.ts';
import { itemSchema, memberSchema } from '../members.ts';

/** A value seen as what its owners share. */
export type Parts =
  /** Owned as one. */
  | { readonly kind: 'leaf' }
  | { readonly kind: 'map'; readonly members: ReadonlyMap<string, Part> }
  /** Told apart by their keys or, in a set, by their value. */
  | { readonly kind: 'list'; readonly items: ReadonlyMap<string, Part> };

export interface Part {
  /** Of items that repeat the same keys: the list of them. */
  readonly value: unknown;
  readonly schema: Schema | undefined;
  /** Several items with the same keys, which are owned as one. */
  readonly repeated: boolean;
}

const asOne: Parts = { kind: 'leaf' };

export function partsOf(schema: Schema | undefined, value: unknown): Parts {
  if (isObject(value)) {
    if (schema?.type === 'object' && schema['x-kubernetes-map-type'] === 'atomic') return asOne;
    const members = new Map<string, Part>();
    for (const [name, member] of Object.entries(value)) {
      if (member !== undefined)
        members.set(`f:${name}`, { value: member, schema: memberSchema(schema, name), repeated: false });
    }
    return { kind: 'map', members };
  }
  if (!Array.isArray(value) || schema?.type !== 'array') return asOne;
  const steps = itemSteps(schema, value);
  if (steps.kind !== 'items') return asOne;
  const items = new Map<string, Part>();
  steps.steps.forEach((step, i) => {
    const before = items.get(step);
    if (before === undefined) items.set(step, { value: value[i], schema: schema.items, repeated: false });
    else {
      const others = before.repeated ? (before.value as unknown[]) : [before.value];
      items.set(step, { value: [...others, value[i]], schema: undefined, repeated: true });
    }
  });
  return { kind: 'list', items };
}

export type ItemSteps =
  | { readonly kind: 'atomic' }
  | { readonly kind: 'items'; readonly steps: readonly string[] }
  /** The list is wrong, and owned as one until validation refuses it. */
  | { readonly kind: 'bad'; readonly index: number; readonly reason: string };

export function itemSteps(schema: ArraySchema, list: readonly unknown[]): ItemSteps {
  const keys = schema['x-kubernetes-list-map-keys'];
  const type = schema['x-kubernetes-list-type'] ?? (keys === undefined ? 'atomic' : 'map');
  if (type === 'atomic') return { kind: 'atomic' };
  const steps: string[] = [];
  for (const [index, item] of list.entries()) {
    if (type === 'set') {
      if (typeof item === 'object') return { kind: 'bad', index, reason: 'an item of a set is no plain value' };
      steps.push(`v:${JSON.stringify(item)}`);
      continue;
    }
    const step = isObject(item) ? keyStep(itemSchema(schema), keys ?? [], item) : undefined;
    if (step === undefined) return { kind: 'bad', index, reason: `the item has none of its keys ${keys?.join(', ')}` };
    steps.push(step);
  }
  return { kind: 'items', steps };
}

/** Absent keys count with their default, and without one not at all. */
function keyStep(
  schema: Schema | undefined,
  keys: readonly string[],
  item: Readonly<Record<string, unknown>>,
): string | undefined {
  const [only] = keys;
  if (keys.length === 1 && Object.hasOwn(item, only!) && typeof item[only!] === 'string')
    return `k:{${JSON.stringify(only)}:${JSON.stringify(item[only!])}}`;
  const found: Record<string, unknown> = {};
  for (const key of [...keys].sort()) {
    const value = (Object.hasOwn(item, key) ? item[key] : undefined) ?? memberSchema(schema, key)?.default;
    if (value !== undefined) found[key] = value;
  }
  return Object.keys(found).length === 0 ? undefined : `k:${JSON.stringify(found)}`;
}

/** As Kubernetes writes paths: `.spec.ports[port=80,protocol="TCP"].name`, `.metadata.finalizers[="a"]`. */
export function pathText(path: readonly string[]): string {
  return path.map(stepText).join('');
}

function stepText(step: string): string {
  const rest = step.slice(2);
  switch (step[0]) {
    case 'f':
      return `.${rest}`;
    case 'v':
      return `[=${rest}]`;
    case 'k': {
      const keys = Object.entries(JSON.parse(rest) as Record<string, unknown>);
      return `[${keys.map(([k, v]) => `${k}=${JSON.stringify(v)}`).join(',')}]`;
    }
    default:
      return `[${rest}]`;
  }
}
