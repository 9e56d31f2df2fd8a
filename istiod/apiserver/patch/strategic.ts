/**
 * Strategic merge patch: a merge patch that knows from the schema which lists are merged by a key. Directives: `$patch`
 * (merge, replace, delete), `$retainKeys`, `$setElementOrder/FIELD`, `$deleteFromPrimitiveList/FIELD`.
 */
import { isSameJson } from '../../../common/core/same-json.ts';
import type { Schema } from '../../../common/kube/schema/types.ts';
import { isObject } from '../../../common/kube/schema/validate.ts';
import { PatchError } from './json-patch.ts';
import { itemSchema, memberSchema } from './members.ts';

type Fields = Readonly<Record<string, unknown>>;

const setElementOrder = '$setElementOrder/';
const deleteFromList = '$deleteFromPrimitiveList/';

/** Neither argument is changed. PatchError. */
export function applyStrategicPatch(schema: Schema, object: Fields, patch: unknown): Record<string, unknown> {
  if (!isObject(patch)) throw new PatchError('the patch is not an object');
  return mergeObject(schema, object, patch);
}

function mergeObject(schema: Schema | undefined, target: Fields, patch: Fields): Record<string, unknown> {
  const directive = patch['$patch'];
  if (directive === 'delete') return {};
  if (directive === 'replace') return Object.fromEntries(Object.entries(patch).filter(([k]) => k !== '$patch'));
  if (directive !== undefined && directive !== 'merge') {
    throw new PatchError(`$patch: ${JSON.stringify(directive)} is not one of merge, replace, delete`);
  }
  const result = new Map(Object.entries(target));
  const retain = patch['$retainKeys'];
  if (Array.isArray(retain)) for (const k of [...result.keys()]) if (!retain.includes(k)) result.delete(k);
  for (const [name, value] of Object.entries(patch)) {
    if (name === '$patch' || name === '$retainKeys' || name.startsWith(setElementOrder)) continue;
    if (name.startsWith(deleteFromList)) {
      const field = name.slice(deleteFromList.length);
      const list = result.get(field);
      if (Array.isArray(list) && Array.isArray(value)) {
        result.set(
          field,
          list.filter((item) => !value.some((v) => isSameJson(v, item))),
        );
      }
    } else if (value === null) result.delete(name);
    else {
      const member = memberSchema(schema, name);
      result.set(name, mergeValue(member, result.get(name), value, patch[setElementOrder + name]));
    }
  }
  // An order alone rearranges what is there.
  for (const [name, order] of Object.entries(patch)) {
    const field = name.startsWith(setElementOrder) ? name.slice(setElementOrder.length) : undefined;
    if (field === undefined || Object.hasOwn(patch, field)) continue;
    const list = result.get(field);
    if (Array.isArray(list) && Array.isArray(order))
      result.set(field, reorder(list, order, mergeKey(memberSchema(schema, field))));
  }
  return Object.fromEntries(result);
}

function mergeValue(schema: Schema | undefined, target: unknown, patch: unknown, order: unknown): unknown {
  if (isObject(patch)) {
    if (replaces(schema)) return clean(patch);
    return mergeObject(schema, isObject(target) ? target : {}, patch);
  }
  if (!Array.isArray(patch)) return patch;
  if (!merges(schema)) return clean(patch);
  const present = Array.isArray(target) ? target : [];
  const key = mergeKey(schema);
  const merged = key === undefined ? union(present, patch) : mergeList(itemSchema(schema), present, patch, key);
  return Array.isArray(order) ? reorder(merged, order, key) : merged;
}

function mergeList(
  items: Schema | undefined,
  target: readonly unknown[],
  patch: readonly unknown[],
  key: string,
): unknown[] {
  if (patch.some((p) => isObject(p) && p['$patch'] === 'replace')) {
    return patch.filter((p) => !(isObject(p) && p['$patch'] === 'replace')).map(clean);
  }
  const result = [...target];
  for (const item of patch) {
    if (!isObject(item)) throw new PatchError('an item of a list that is merged by a key is not an object');
    const id = item[key];
    if (id === undefined) throw new PatchError(`an item of the patch does not contain the merge key ${key}`);
    const at = result.findIndex((r) => isObject(r) && isSameJson(r[key], id));
    if (item['$patch'] === 'delete') {
      if (at >= 0) result.splice(at, 1);
    } else if (at < 0) result.push(mergeObject(items, {}, item));
    else result[at] = mergeObject(items, result[at] as Fields, item);
  }
  return result;
}

function union(target: readonly unknown[], patch: readonly unknown[]): unknown[] {
  return [...target, ...patch.filter((p) => !target.some((t) => isSameJson(t, p)))];
}

/** Items that `order` names come in its order; others keep their place relative to those before them. */
function reorder(list: readonly unknown[], order: readonly unknown[], key: string | undefined): unknown[] {
  const idOf = (item: unknown) => JSON.stringify(key !== undefined && isObject(item) ? item[key] : item);
  const rank = new Map(order.map((o, i) => [idOf(o), i]));
  const named = list.filter((item) => rank.has(idOf(item))).sort((a, b) => rank.get(idOf(a))! - rank.get(idOf(b))!);
  const result: unknown[] = [];
  let taken = 0;
  for (const item of list) {
    if (rank.has(idOf(item))) result.push(named[taken++]);
    else result.push(item);
  }
  return result;
}

/** Without the directives, which mean nothing where there is nothing to merge with; an object of null members has none. */
function clean(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clean);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([k, v]) => v !== null && !k.startsWith('$'))
      .map(([k, v]) => [k, clean(v)]),
  );
}

function strategies(schema: Schema | undefined): readonly string[] {
  return (schema?.['x-kubernetes-patch-strategy'] ?? '').split(',');
}

function merges(schema: Schema | undefined): boolean {
  return strategies(schema).includes('merge');
}

function replaces(schema: Schema | undefined): boolean {
  return strategies(schema).includes('replace');
}

function mergeKey(schema: Schema | undefined): string | undefined {
  return schema?.['x-kubernetes-patch-merge-key'];
}
