/** metadata.managedFields: who owns which fields of an object, and since when. */
import { isObject } from '../../../../common/kube/schema/validate.ts';
import type { ApiObject, ManagedFieldsEntry } from '../../objects.ts';
import { difference, emptySet, type FieldSet, fromFieldsV1, isEmpty, setOf, toFieldsV1, union } from './field-set.ts';

export interface Manager {
  readonly name: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  readonly subresource: string;
  /** RFC 3339; of the last change. */
  readonly time: string | undefined;
  readonly set: FieldSet;
}

/** By `idOf`. */
export type Managers = ReadonlyMap<string, Manager>;

/** What does not tell managers apart: their time and, of appliers, the version in which they applied last. */
export function idOf({ name, operation, apiVersion, subresource }: Omit<Manager, 'time' | 'set'>): string {
  return JSON.stringify([operation, name, subresource, operation === 'Apply' ? '' : apiVersion]);
}

/** undefined: some of it cannot be understood. */
export function decodeManagers(entries: readonly unknown[]): Managers | undefined {
  const managers = new Map<string, Manager>();
  for (const entry of entries) {
    const manager = isObject(entry) ? decodeEntry(entry) : undefined;
    if (manager === undefined) return undefined;
    managers.set(idOf(manager), manager);
  }
  return managers;
}

function decodeEntry(entry: ManagedFieldsEntry): Manager | undefined {
  const { manager = '', operation, apiVersion, fieldsType, fieldsV1, subresource = '', time } = entry;
  const set = fromFieldsV1(fieldsV1);
  if (operation !== 'Apply' && operation !== 'Update') return undefined;
  if (fieldsType !== 'FieldsV1' || typeof apiVersion !== 'string' || set === undefined) return undefined;
  const name = String(manager);
  return { name, operation, apiVersion, subresource: String(subresource), time: time ?? undefined, set };
}

/** Updaters beside appliers; more of them become one that is called `ancient-changes`, the oldest first. */
const updaterLimit = 10;
const ancient = 'ancient-changes';

/** In Kubernetes' order: appliers first, then by time. */
export function encodeManagers(managers: Managers): ManagedFieldsEntry[] {
  return [...capped(managers).values()]
    .filter((m) => !isEmpty(m.set) || m.operation === 'Apply')
    .sort(inOrder)
    .map(({ name, operation, apiVersion, time, set, subresource }) => ({
      manager: name,
      operation,
      apiVersion,
      ...(time === undefined ? {} : { time }),
      fieldsType: 'FieldsV1',
      fieldsV1: toFieldsV1(set),
      ...(subresource === '' ? {} : { subresource }),
    }));
}

function inOrder(a: Manager, b: Manager): number {
  const order = (x: string, y: string) => (x < y ? -1 : x > y ? 1 : 0);
  return (
    order(a.operation, b.operation) ||
    order(a.time ?? '', b.time ?? '') ||
    order(a.name, b.name) ||
    order(a.apiVersion, b.apiVersion) ||
    order(a.subresource, b.subresource)
  );
}

function capped(managers: Managers): Managers {
  const updaters = [...managers.values()].filter((m) => m.operation === 'Update');
  if (updaters.length <= updaterLimit) return managers;
  const result = new Map(managers);
  for (const old of updaters.sort(inOrder)) {
    if (countUpdaters(result) <= updaterLimit) break;
    const { apiVersion, time } = old;
    const bucket: Omit<Manager, 'set'> = { name: ancient, operation: 'Update', apiVersion, subresource: '', time };
    const id = idOf(bucket);
    if (idOf(old) === id) continue;
    result.delete(idOf(old));
    result.set(id, { ...bucket, set: union(result.get(id)?.set ?? emptySet, old.set) });
  }
  return result;
}

function countUpdaters(managers: Managers): number {
  return [...managers.values()].filter((m) => m.operation === 'Update').length;
}

/** Each manager without `fields`; updaters that own nothing then are gone. `except`: keeps what it has. */
export function without(managers: Managers, fields: FieldSet, except: string | undefined): Map<string, Manager> {
  const result = new Map<string, Manager>();
  for (const [id, manager] of managers) {
    const set = id === except ? manager.set : difference(manager.set, fields);
    if (!isEmpty(set) || id === except) result.set(id, set === manager.set ? manager : { ...manager, set });
  }
  return result;
}

const serverOwned = ['name', 'namespace', 'creationTimestamp', 'selfLink', 'uid', 'generation', 'managedFields'];
const serverFields: ReadonlySet<string> = new Set([...serverOwned, 'resourceVersion', 'deletionTimestamp']);

/** Of metadata. */
export function isServerField(name: string): boolean {
  return serverFields.has(name);
}

/** Without what nobody owns: the object's header, and what only the server writes. */
export function ownable(set: FieldSet): FieldSet {
  const children: [string, FieldSet][] = [];
  for (const [step, child] of set.children) {
    if (step === 'f:apiVersion' || step === 'f:kind') continue;
    if (step !== 'f:metadata') children.push([step, child]);
    else
      children.push([
        step,
        setOf(
          false,
          [...child.children].filter(([s]) => !isServerField(s.slice(2))),
        ),
      ]);
  }
  return setOf(false, children);
}

/**
 * Whom an update names as managers. It may change them; one that names none leaves those of `old`, since clients that do not
 * know of them send none. A single empty entry takes all away.
 */
export function managersGiven(object: ApiObject, old: ApiObject | undefined): Managers {
  const entries = object.metadata.managedFields ?? [];
  if (entries.length === 1 && isObject(entries[0]) && Object.keys(entries[0]).length === 0) return new Map();
  const given = Array.isArray(entries) && entries.length > 0 ? decodeManagers(entries) : undefined;
  return given ?? decodeManagers(old?.metadata.managedFields ?? []) ?? new Map();
}
