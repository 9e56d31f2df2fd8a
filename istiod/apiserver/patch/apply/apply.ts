/** Server-side apply: what becomes of an object, and of who owns its fields, when somebody applies or updates it. Pure. */
import { isSameJson } from '../../../../common/core/same-json.ts';
import type { Schema } from '../../../../common/kube/schema/types.ts';
import { isObject } from '../../../../common/kube/schema/validate.ts';
import { timestamp } from '../../../../common/kube/timestamp.ts';
import type { ApiObject } from '../../objects.ts';
import { apiVersionOf, type Resource } from '../../resources/resource.ts';
import { applyConflict, type Cause } from '../../status.ts';
import { appliedFields, compare, type Difference, isSame } from './compare.ts';
import { createdFields } from './created.ts';
import {
  difference,
  emptySet,
  type FieldSet,
  intersection,
  isEmpty,
  pathsOf,
  sameSet,
  setOf,
  union,
} from './field-set.ts';
import {
  decodeManagers,
  encodeManagers,
  idOf,
  type Manager,
  type Managers,
  managersGiven,
  ownable,
  without,
} from './managers.ts';
import { mergeApplied, removeFields, withNamedFields } from './merge.ts';
import { pathText } from './steps.ts';

/** Who writes. */
export interface Writer {
  readonly resource: Resource;
  /** Empty: the object itself. */
  readonly subresource: string;
  readonly manager: string;
  /** Ms since the epoch. */
  readonly now: number;
}

/** Writes into `object` who owns what after an update or a creation that made it from `old`. */
export function trackUpdate(writer: Writer, object: ApiObject, old: ApiObject | undefined): void {
  const { resource, subresource, now } = writer;
  if (old === undefined && (object.metadata.managedFields ?? []).length === 0) {
    const { schema, hasStatus } = resource;
    const fieldsV1 = createdFields(schema, object, hasStatus && subresource === '');
    object.metadata.managedFields = [
      {
        manager: writer.manager,
        operation: 'Update',
        apiVersion: apiVersionOf(resource),
        time: timestamp(now),
        fieldsType: 'FieldsV1',
        fieldsV1,
        ...(subresource === '' ? {} : { subresource }),
      },
    ];
    return;
  }
  // Of a status alone nobody says who owns the rest.
  const before = subresource === '' ? managersGiven(object, old) : managersOf(old);
  // Whoever took the owners away wants none, until somebody applies.
  if (old !== undefined && before.size === 0) {
    delete object.metadata.managedFields;
    return;
  }
  const change = changeOf(resource.schema, old ?? bare(object), object);
  const { removed } = change;
  const set = inScope(change.set, resource, subresource);
  if (isEmpty(set) && isEmpty(removed)) {
    const untouched = isSameJson(object.metadata.managedFields, old?.metadata.managedFields);
    if (!untouched) setManagers(object, before);
    return;
  }
  const managers = without(before, union(set, removed), undefined);
  if (!isEmpty(set)) {
    const self: Omit<Manager, 'set'> = {
      name: writer.manager,
      operation: 'Update',
      apiVersion: apiVersionOf(resource),
      subresource,
      time: timestamp(now),
    };
    const id = idOf(self);
    managers.set(id, { ...self, set: union(managers.get(id)?.set ?? emptySet, set) });
  }
  setManagers(object, managers);
}

function setManagers(object: ApiObject, managers: Managers): void {
  const entries = encodeManagers(managers);
  if (entries.length === 0) delete object.metadata.managedFields;
  else object.metadata.managedFields = entries;
}

function managersOf(object: ApiObject | undefined): Managers {
  return decodeManagers(object?.metadata.managedFields ?? []) ?? new Map();
}

/** What every object of the kind has, so that nobody owns it. */
function bare({ apiVersion, kind }: ApiObject): ApiObject {
  return { apiVersion, kind, metadata: {} };
}

function changeOf(schema: Schema, old: ApiObject, object: ApiObject): Difference {
  const { set, removed } = compare(schema, old, object);
  return { set: ownable(set), removed: ownable(removed) };
}

/**
 * The object with its managedFields, not yet filled in with defaults. `config` is all that the manager wants. What it applied before and does not now, and nobody else owns, goes. ApiError 409
 * where others own what it wants otherwise, unless `force`. `live`: undefined creates.
 */
export function applyConfig(writer: Writer, live: ApiObject | undefined, config: ApiObject, force: boolean): ApiObject {
  const { resource, subresource, manager, now } = writer;
  const { schema } = resource;
  const apiVersion = apiVersionOf(resource);
  const old = live ?? bare(config);
  const before = live === undefined ? new Map<string, Manager>() : ownersBefore(live, schema, apiVersion);
  const wanted = inScope(ownable(appliedFields(schema, config)), resource, subresource);
  const self: Omit<Manager, 'set' | 'time'> = { name: manager, operation: 'Apply', apiVersion, subresource };
  const id = idOf(self);
  const last = before.get(id);
  const merged = mergeApplied(schema, old, withinScope(config, resource, subresource)) as ApiObject;
  const managers = new Map(before).set(id, { ...self, time: last?.time, set: wanted });
  const object = last === undefined ? merged : (prune(schema, merged, last.set, owned(managers.values())) as ApiObject);
  object.metadata = { ...object.metadata };
  const change = changeOf(schema, old, object);
  const conflicts = conflictsOf(managers, id, change.set);
  if (conflicts.length > 0 && !force && !wasAppliedByClient(writer, live, conflicts)) throw conflictError(conflicts);
  const after = without(managers, union(change.set, change.removed), id);
  const same = isSame(change) && last !== undefined && sameSet(last.set, wanted) && last.apiVersion === apiVersion;
  after.set(id, { ...self, time: same ? last.time : timestamp(now), set: wanted });
  if (isEmpty(wanted)) after.delete(id);
  setManagers(object, after);
  if (manager === clientSideManager) refreshLastApplied(object, config);
  return object;
}

/** Of an object that had no owners yet, all that is there is somebody's. */
function ownersBefore(live: ApiObject, schema: Schema, apiVersion: string): Map<string, Manager> {
  const known = managersOf(live);
  if (known.size > 0) return new Map(known);
  const first: Manager = {
    name: 'before-first-apply',
    operation: 'Update',
    apiVersion,
    subresource: '',
    time: undefined,
    set: changeOf(schema, bare(live), live).set,
  };
  return isEmpty(first.set) ? new Map() : new Map([[idOf(first), first]]);
}

/** The fields that a write of this subresource can set. */
function inScope(set: FieldSet, { hasStatus, builtIn }: Resource, subresource: string): FieldSet {
  const keep = (step: string): boolean => {
    if (subresource === 'status') return step === 'f:status' || (builtIn && step === 'f:metadata');
    return !(hasStatus && step === 'f:status');
  };
  return setOf(
    false,
    [...set.children].filter(([step]) => keep(step)),
  );
}

/** What a write of this subresource can set, of what was sent. */
function withinScope(config: ApiObject, { hasStatus, builtIn }: Resource, subresource: string): ApiObject {
  const { apiVersion, kind, metadata, status, ...rest } = config;
  if (subresource === 'status') {
    const place = Object.fromEntries(Object.entries(metadata).filter(([field]) => placing.has(field)));
    return { apiVersion, kind, metadata: builtIn ? metadata : place, ...(status === undefined ? {} : { status }) };
  }
  return hasStatus ? { apiVersion, kind, metadata, ...rest } : config;
}

/** Which object it is, and which version of it. */
const placing = new Set(['name', 'namespace', 'uid', 'resourceVersion']);

function owned(managers: Iterable<Manager>): FieldSet {
  let all = emptySet;
  for (const { set } of managers) all = union(all, set);
  return all;
}

/** `merged` without what `last` holds and nobody owns now. */
function prune(schema: Schema, merged: unknown, last: FieldSet, ownedNow: FieldSet): unknown {
  if (isEmpty(last)) return merged;
  const named = (set: FieldSet) => withNamedFields(schema, set);
  const fields = (value: unknown) => named(appliedFields(schema, value));
  const all = fields(merged);
  const pruned = removeFields(schema, merged, named(last));
  // What others, or this manager now, own comes back.
  const back = removeFields(schema, merged, difference(all, union(fields(pruned), named(ownedNow))));
  // And so does what stood below it without being this manager's.
  return removeFields(schema, merged, intersection(difference(all, fields(back)), named(last)));
}

interface Conflict {
  readonly manager: Manager;
  readonly path: readonly string[];
}

function conflictsOf(managers: Managers, self: string, changed: FieldSet): readonly Conflict[] {
  const conflicts: Conflict[] = [];
  for (const [id, manager] of managers) {
    if (id === self) continue;
    for (const path of pathsOf(intersection(manager.set, changed))) conflicts.push({ manager, path });
  }
  const text = ({ manager, path }: Conflict) => `${managerText(manager)}\n${pathText(path)}`;
  return conflicts.sort((a, b) => (text(a) < text(b) ? -1 : 1));
}

/** In Kubernetes' words, which kubectl and people look for. */
function conflictError(conflicts: readonly Conflict[]): Error {
  const causes: Cause[] = conflicts.map(({ manager, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${managerText(manager)}`,
    field: pathText(path),
  }));
  const [only] = conflicts;
  if (conflicts.length === 1 && only !== undefined) {
    const message = `conflict with ${managerText(only.manager)}: ${pathText(only.path)}`;
    return applyConflict(`Apply failed with 1 conflict: ${message}`, causes);
  }
  const lines: string[] = [];
  let before: Manager | undefined;
  for (const { manager, path } of conflicts) {
    if (manager !== before) lines.push(`conflicts with ${managerText(manager)}:`);
    before = manager;
    lines.push(`- ${pathText(path)}`);
  }
  return applyConflict(`Apply failed with ${conflicts.length} conflicts: ${lines.join('\n')}`, causes);
}

function managerText({ name, operation, apiVersion, subresource }: Manager): string {
  const who = `${JSON.stringify(name)}${subresource === '' ? '' : ` with subresource ${JSON.stringify(subresource)}`}`;
  return operation === 'Update' ? `${who} using ${apiVersion}` : who;
}

/** kubectl's name for itself when it applies, and where it notes what it applied without the server's help. */
const clientSideManager = 'kubectl';
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

/** kubectl goes over from applying by itself: what it applied then is its own, whoever owns it. */
function wasAppliedByClient(
  { resource, manager }: Writer,
  live: ApiObject | undefined,
  conflicts: readonly Conflict[],
): boolean {
  const text = live?.metadata.annotations?.[lastApplied];
  if (manager !== clientSideManager || text === undefined) return false;
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    // Whatever it says, it is no claim.
    return false;
  }
  if (!isObject(config)) return false;
  const claimed = new Set([...pathsOf(appliedFields(resource.schema, config))].map(pathText));
  return conflicts.every(({ path }) => claimed.has(pathText(path)));
}

/** So that a later `kubectl apply` without the server's help takes away the right fields. */
function refreshLastApplied({ metadata }: ApiObject, config: ApiObject): void {
  if (metadata.annotations?.[lastApplied] === undefined) return;
  const { [lastApplied]: _old, ...annotations } = config.metadata.annotations ?? {};
  const noted = { ...config, metadata: { ...config.metadata, annotations } };
  metadata.annotations = { ...metadata.annotations, [lastApplied]: `${JSON.stringify(noted)}\n` };
}
