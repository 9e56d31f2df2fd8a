/**
 * What can be done with objects, whoever asks: the HTTP server and the controllers in this process. Authorization is the
 * caller's; admission, validation and the rules of metadata are kept here, so that nothing is stored without them.
 */

import type { Clock } from '../../../common/core/clock.ts';
import { isSameJson } from '../../../common/core/same-json.ts';
import type { Admission, AdmissionRequest } from '../admission/admission.ts';
import type { User } from '../authn/authenticator.ts';
import { type ApiObject, fromJson, type Json, toJson } from '../objects.ts';
import { trackUpdate } from '../patch/apply/apply.ts';
import { apiVersionOf, type Resource } from '../resources/resource.ts';
import { alreadyExists, conflict, invalid, notFound, objectModified, unavailable } from '../status.ts';
import { type Store, type Stored, StoreError, type StoreKey, type Write } from '../storage/types.ts';
import {
  beforeCreate,
  beforeStatusUpdate,
  beforeUpdate,
  decideDeletion,
  generateName,
  isFinished,
} from './lifecycle.ts';
import type { DeleteOptions, WriteOptions } from './options.ts';
import { checkObject, checkSchema } from './validation.ts';

export interface RestDependencies {
  readonly store: Store;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly newUid: () => string;
}

/** Who writes where, and how. */
export interface WriteContext {
  readonly resource: Resource;
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  /** Empty, `status` or another one that writes the object, such as `scale`. */
  readonly subresource: string;
  readonly user: User;
  readonly options: WriteOptions;
  readonly warn: (text: string) => void;
}

export interface Written {
  readonly json: Json;
  readonly created: boolean;
}

export interface Deleted {
  readonly json: Json;
  readonly uid: string;
  /** It is gone; otherwise it waits for its finalizers or the end of its grace period. */
  readonly gone: boolean;
}

/** Makes the new state from the present one, which it may change; undefined where the object does not exist. */
export type Change = (current: ApiObject | undefined) => ApiObject | Promise<ApiObject>;

/** Writes into an object who owns its fields after a write. `old`: undefined at a creation. */
type Track = (object: ApiObject, old: ApiObject | undefined) => void;

const attempts = 8;

/** Subresources that write the status and nothing else. */
const statusWriters: ReadonlySet<string> = new Set(['status', 'approval']);

export class Rest {
  readonly #deps: RestDependencies;

  constructor(deps: RestDependencies) {
    this.#deps = deps;
  }

  /** Ms since the epoch. */
  now(): number {
    return this.#deps.clock.wall();
  }

  get store(): Store {
    return this.#deps.store;
  }

  /** ApiError 404. */
  get(resource: Resource, namespace: string, name: string): Stored {
    const stored = this.#deps.store.get(keyFor(resource, namespace, name));
    if (stored === undefined) throw notFound(resource, name);
    return stored;
  }

  async create(context: WriteContext, object: ApiObject): Promise<Written> {
    return this.#create(context, object, this.#tracking(context));
  }

  async #create(context: WriteContext, object: ApiObject, track: Track): Promise<Written> {
    const { resource, options } = context;
    const generated = (object.metadata.name ?? '') === '';
    if (generated && (object.metadata.generateName ?? '') === '') {
      throw invalid(resource.group, resource.kind, '', [
        { reason: 'FieldValueRequired', field: 'metadata.name', message: 'name or generateName is required' },
      ]);
    }
    track(object, undefined);
    const request = this.#admission(context, 'CREATE', object, undefined);
    await this.#mutate(request, object);
    beforeCreate(resource, object, this.#deps.clock.wall(), this.#deps.newUid());
    checkObject(resource, object, undefined, '');
    await this.#deps.admission.validate(request);
    for (let attempt = 1; ; attempt++) {
      const key = keyFor(resource, context.namespace, object.metadata.name!);
      if (options.dryRun) {
        if (this.#deps.store.get(key) !== undefined) throw alreadyExists(resource, key.name);
        return { json: inOrder(object), created: true };
      }
      try {
        return {
          json: (await this.#write({ kind: 'create', key, object: asStored(resource, object) })).json,
          created: true,
        };
      } catch (e) {
        if (!(e instanceof StoreError) || e.failure.kind !== 'exists') throw e;
        if (!generated || attempt === attempts) throw alreadyExists(resource, key.name);
        object.metadata.name = generateName(object.metadata.generateName!);
      }
    }
  }

  /**
   * Reads, changes and writes until nobody came between. `mayCreate`: an object that is missing is created. The change's
   * metadata.resourceVersion, where it has one, must be the present one's. ApiError 404, 409, 422.
   */
  update(context: WriteContext, name: string, change: Change, mayCreate: boolean): Promise<Written> {
    return this.#change(context, name, change, mayCreate, this.#tracking(context));
  }

  /** As an update that may create; the change itself says who owns what (patch/apply). */
  apply(context: WriteContext, name: string, change: Change): Promise<Written> {
    return this.#change(context, name, change, true, () => undefined);
  }

  #tracking({ resource, subresource, options }: WriteContext): Track {
    const now = this.#deps.clock.wall();
    const writer = { resource, subresource, manager: options.fieldManager, now };
    return (object, old) => trackUpdate(writer, object, old);
  }

  async #change(
    context: WriteContext,
    name: string,
    change: Change,
    mayCreate: boolean,
    track: Track,
  ): Promise<Written> {
    const { resource, namespace } = context;
    const key = keyFor(resource, namespace, name);
    for (let attempt = 1; ; attempt++) {
      const stored = this.#deps.store.get(key);
      if (stored === undefined) {
        if (!mayCreate) throw notFound(resource, name);
        const made = await change(undefined);
        if ((made.metadata.uid ?? '') !== '') throw conflict(resource, name, 'the object has a uid, and there is none');
        return this.#create(context, made, track);
      }
      const old = parse(stored.json, resource);
      // Reading the text twice is a third of the work of a copy.
      const object = await change(parse(stored.json, resource));
      const pinned = object.metadata.resourceVersion ?? '';
      if (pinned !== '' && pinned !== String(stored.revision)) throw objectModified(resource, name);
      if ((object.metadata.uid ?? '') !== '' && object.metadata.uid !== old.metadata.uid) {
        throw conflict(
          resource,
          name,
          `Precondition failed: UID in precondition: ${object.metadata.uid}, UID in object meta: ${old.metadata.uid}`,
        );
      }
      try {
        return await this.#replace(context, stored, old, object, track);
      } catch (e) {
        if (!(e instanceof StoreError)) throw e;
        if (e.failure.kind === 'missing' && !mayCreate) throw notFound(resource, name);
        // Who gave a version, or tried often enough, hears of the others.
        if (attempt === attempts) throw objectModified(resource, name);
      }
    }
  }

  async #replace(
    context: WriteContext,
    stored: Stored,
    old: ApiObject,
    object: ApiObject,
    track: Track,
  ): Promise<Written> {
    const { resource, subresource, options } = context;
    if (statusWriters.has(subresource)) beforeStatusUpdate(resource, object, old);
    else beforeUpdate(resource, object, old, subresource);
    track(object, old);
    const request = this.#admission(context, 'UPDATE', object, old);
    await this.#mutate(request, object);
    checkObject(resource, object, old, subresource);
    await this.#deps.admission.validate(request);
    object.metadata.resourceVersion = String(stored.revision);
    if (isSameJson(object, old)) return { json: stored.json, created: false };
    if (options.dryRun) return { json: inOrder(object), created: false };
    const finished = isFinished(resource, object);
    const write: Write = {
      kind: finished ? 'delete' : 'update',
      key: stored.key,
      expected: stored.revision,
      object: asStored(resource, object),
    };
    return { json: (await this.#write(write)).json, created: false };
  }

  /** What mutates comes before the check, since webhooks may mend: what it stumbles over is refused for what is wrong with it. */
  async #mutate(request: AdmissionRequest, object: ApiObject): Promise<void> {
    try {
      await this.#deps.admission.mutate(request);
    } catch (e) {
      if (e instanceof TypeError) checkSchema(request.resource, object);
      throw e;
    }
  }

  /** ApiError 404, 409. */
  async delete(context: WriteContext, name: string, options: DeleteOptions): Promise<Deleted> {
    const { resource, namespace } = context;
    for (let attempt = 1; ; attempt++) {
      const stored = this.get(resource, namespace, name);
      const object = parse(stored.json, resource);
      checkPreconditions(resource, stored, object, options);
      const request = this.#admission(context, 'DELETE', undefined, object);
      await this.#mutate(request, object);
      await this.#deps.admission.validate(request);
      const uid = object.metadata.uid ?? '';
      const deletion = decideDeletion(resource, object, options, this.#deps.clock.wall());
      if (deletion.kind === 'waiting') return { json: stored.json, uid, gone: false };
      const gone = deletion.kind === 'now';
      const next = gone ? object : deletion.object;
      if (options.dryRun) return { json: inOrder(next), uid, gone };
      try {
        const write = { key: stored.key, expected: stored.revision, object: asStored(resource, next) };
        const { json } = await this.#write({ kind: gone ? 'delete' : 'update', ...write });
        return { json, uid, gone };
      } catch (e) {
        if (!(e instanceof StoreError)) throw e;
        if (attempt === attempts) throw objectModified(resource, name);
      }
    }
  }

  #admission(
    context: WriteContext,
    operation: 'CREATE' | 'UPDATE' | 'DELETE',
    object: ApiObject | undefined,
    old: ApiObject | undefined,
  ): AdmissionRequest {
    const { resource, subresource, namespace, user, options, warn } = context;
    const name = (object ?? old)?.metadata.name ?? '';
    return {
      operation,
      resource,
      subresource,
      namespace,
      name,
      object,
      old,
      options: {},
      user,
      dryRun: options.dryRun,
      warn,
    };
  }

  /** StoreError only where the caller can do better than fail. */
  async #write(write: Write): Promise<Stored> {
    try {
      return await this.#deps.store.write(write);
    } catch (e) {
      if (e instanceof StoreError && e.failure.kind === 'unavailable')
        throw unavailable(`the object was not stored: ${e.message}`);
      throw e;
    }
  }
}

export function keyFor(resource: Resource, namespace: string, name: string): StoreKey {
  return { resource: resource.stored.resource, namespace: resource.namespaced ? namespace : '', name };
}

/** In the version of `resource`. */
export function parse(json: Json, resource: Resource): ApiObject {
  const object = fromJson(json);
  const wanted = apiVersionOf(resource);
  if (object.apiVersion !== wanted) resource.conversion?.fromStored(object);
  object.apiVersion = wanted;
  return object;
}

function asStored({ stored, conversion }: Resource, object: ApiObject): ApiObject {
  const { apiVersion } = stored;
  if (conversion === undefined || object.apiVersion === apiVersion) return { ...object, apiVersion };
  const converted = { ...structuredClone(object), apiVersion };
  conversion.toStored(converted);
  return converted;
}

/** As the store writes it. */
function inOrder({ apiVersion, kind, metadata, ...rest }: ApiObject): Json {
  return toJson({ apiVersion, kind, metadata, ...rest });
}

function checkPreconditions(resource: Resource, stored: Stored, object: ApiObject, options: DeleteOptions): void {
  const { name } = stored.key;
  const differ = (what: string, wanted: string, found: string | undefined) =>
    conflict(
      resource,
      name,
      `Precondition failed: ${what} in precondition: ${wanted}, ${what} in object meta: ${found}`,
    );
  if (options.uid !== undefined && options.uid !== object.metadata.uid)
    throw differ('UID', options.uid, object.metadata.uid);
  if (options.resourceVersion !== undefined && options.resourceVersion !== String(stored.revision)) {
    throw differ('ResourceVersion', options.resourceVersion, String(stored.revision));
  }
}
