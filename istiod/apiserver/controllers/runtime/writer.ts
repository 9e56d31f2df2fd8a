/** Writes of controllers: by the same rules as a client's, without the network. */
import type { Kind } from '../../../../common/kube/types.ts';
import { serverUser } from '../../local-source.ts';
import { type ApiObject, fromJson } from '../../objects.ts';
import type { Registry } from '../../resources/registry.ts';
import type { Resource } from '../../resources/resource.ts';
import { acceptObject } from '../../rest/incoming.ts';
import type { DeleteOptions } from '../../rest/options.ts';
import type { Rest, WriteContext } from '../../rest/rest.ts';
import { ApiError, notFound } from '../../status.ts';

/** What a controller makes; the server fills in the rest. Either name or generateName. */
export interface Draft {
  readonly metadata: ApiObject['metadata'];
  readonly [field: string]: unknown;
}

export interface Target {
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  readonly name: string;
  /** Where it matters that the object is still the same: ApiError 404 when another has its name now. */
  readonly uid?: string | undefined;
}

/** `unchanged`: nothing is written. */
export type Verdict = 'changed' | 'unchanged';

export class Writer {
  readonly #rest: Rest;
  readonly #registry: Registry;
  readonly #manager: string;

  /** `manager` owns the fields that are written. */
  constructor(rest: Rest, registry: Registry, manager: string) {
    this.#rest = rest;
    this.#registry = registry;
    this.#manager = manager;
  }

  /** A writer in another name. */
  as(manager: string): Writer {
    return new Writer(this.#rest, this.#registry, manager);
  }

  /** ApiError. */
  async create(kind: Kind, draft: Draft): Promise<ApiObject> {
    const resource = this.#resource(kind);
    const namespace = draft.metadata.namespace ?? '';
    const object = acceptObject(structuredClone(draft), { resource, namespace, name: '' }, 'Ignore', () => undefined);
    const { json } = await this.#rest.create(this.#context(resource, namespace, ''), object);
    return fromJson(json);
  }

  /** `change` edits what is there, and anew when somebody came between. ApiError. */
  async update(kind: Kind, target: Target, change: (object: ApiObject) => Verdict, subresource = ''): Promise<void> {
    await this.updateResource(this.#resource(kind), target, change, subresource);
  }

  async updateResource(
    resource: Resource,
    { namespace, name, uid }: Target,
    change: (object: ApiObject) => Verdict,
    subresource = '',
  ): Promise<void> {
    try {
      await this.#rest.update(
        this.#context(resource, namespace, subresource),
        name,
        (current) => {
          if (uid !== undefined && current!.metadata.uid !== uid) throw notFound(resource, name);
          if (change(current!) === 'unchanged') throw new Unchanged();
          return current!;
        },
        false,
      );
    } catch (e) {
      if (!(e instanceof Unchanged)) throw e;
    }
  }

  /** Succeeds when it is gone already, or is another object by now. */
  async delete(kind: Kind, target: Target, options: Partial<DeleteOptions> = {}): Promise<void> {
    await this.deleteResource(this.#resource(kind), target, options);
  }

  async deleteResource(
    resource: Resource,
    { namespace, name, uid }: Target,
    options: Partial<DeleteOptions> = {},
  ): Promise<void> {
    const all = {
      dryRun: false,
      gracePeriodSeconds: undefined,
      propagation: undefined,
      resourceVersion: undefined,
      ...options,
      uid,
    };
    try {
      await this.#rest.delete(this.#context(resource, namespace, ''), name, all);
    } catch (e) {
      if (isCode(e, 404)) return;
      if (isCode(e, 409) && uid !== undefined && this.#uidOf(resource, namespace, name) !== uid) return;
      throw e;
    }
  }

  #uidOf(resource: Resource, namespace: string, name: string): string | undefined {
    const key = { resource: resource.stored.resource, namespace: resource.namespaced ? namespace : '', name };
    const stored = this.#rest.store.get(key);
    return stored && fromJson(stored.json).metadata.uid;
  }

  #resource({ group, version, plural }: Kind): Resource {
    const resource = this.#registry.find(group, version, plural);
    if (resource === undefined) throw notFound({ group, resource: plural }, '');
    return resource;
  }

  #context(resource: Resource, namespace: string, subresource: string): WriteContext {
    return {
      resource,
      namespace,
      subresource,
      user: serverUser,
      options: { dryRun: false, fieldManager: this.#manager, fieldValidation: 'Ignore', force: false },
      warn: () => undefined,
    };
  }
}

/** Leaves an update without a write. */
class Unchanged extends Error {}

export function isCode(e: unknown, code: number): boolean {
  return e instanceof ApiError && e.status.code === code;
}

/** The object's namespace is being deleted: nothing new may be made in it. */
export function isTerminatingNamespace(e: unknown): boolean {
  return (
    isCode(e, 403) && (e as ApiError).status.details?.causes?.some((c) => c.reason === 'NamespaceTerminating') === true
  );
}

/** Work on an object that may go meanwhile, which is as good. */
export async function unlessGone(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (e) {
    if (!isCode(e, 404)) throw e;
  }
}
