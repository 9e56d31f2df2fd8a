/** The API server's objects for the controllers in its own process: the same rules as over the network, without the network. */

import { MeshError } from '../../common/core/errors.ts';
import { selectorOf } from '../../common/kube/client/paths.ts';
import { applyMergePatch, patchToSend } from '../../common/kube/merge-patch.ts';
import type {
  DeleteOptions,
  Kind,
  KubeObject,
  KubeSource,
  ListOptions,
  ListResult,
  NewObject,
  ObjectKey,
  PatchOptions,
  WatchEvent,
  Within,
} from '../../common/kube/types.ts';
import type { User } from './authn/authenticator.ts';
import type { Watch, WatchItem } from './http/api-request.ts';
import { type ApiObject, fromJson } from './objects.ts';
import type { Registry } from './resources/registry.ts';
import type { Resource } from './resources/resource.ts';
import { acceptObject } from './rest/incoming.ts';
import { list, type Selection, selectionOf, watch } from './rest/listing.ts';
import type { Rest, WriteContext } from './rest/rest.ts';
import { ApiError } from './status.ts';

/** A member of system:masters: what it may do is not asked. */
export const serverUser: User = { name: 'system:apiserver', uid: '', groups: ['system:masters'], extra: {} };

const none = new URLSearchParams();

export function createLocalSource(rest: Rest, registry: Registry): KubeSource {
  return new LocalSource(rest, registry);
}

class LocalSource implements KubeSource {
  readonly #rest: Rest;
  readonly #registry: Registry;

  constructor(rest: Rest, registry: Registry) {
    this.#rest = rest;
    this.#registry = registry;
  }

  async list<T extends KubeObject>(
    kind: Kind<T>,
    _signal: AbortSignal,
    { within = {}, trim = (object: T) => object }: ListOptions<T> = {},
  ): Promise<ListResult<T>> {
    const resource = this.#resource(kind);
    const { items, metadata } = list(this.#rest.store, resource, selection(resource, within), none);
    return { items: items.map((i) => trim(fromJson<T>(i.json))), resourceVersion: metadata.resourceVersion };
  }

  async *watch<T extends KubeObject>(
    kind: Kind<T>,
    resourceVersion: string,
    signal: AbortSignal,
    within: Within = {},
  ): AsyncIterable<WatchEvent<T>> {
    const resource = this.#resource(kind);
    const query = new URLSearchParams({ resourceVersion });
    const changes = await meshErrors(async () => watch(this.#rest.store, resource, selection(resource, within), query));
    try {
      while (!signal.aborted) {
        const items = await meshErrors(async () => changes.take(100));
        if (items.length === 0) await more(changes, signal);
        for (const item of items) yield eventOf<T>(item);
      }
    } finally {
      changes.close();
    }
  }

  async get<T extends KubeObject>(kind: Kind<T>, { namespace = '', name }: ObjectKey): Promise<T | undefined> {
    const resource = this.#resource(kind);
    const key = { resource: resource.stored.resource, namespace: resource.namespaced ? namespace : '', name };
    const stored = this.#rest.store.get(key);
    return stored === undefined ? undefined : fromJson<T>(stored.json);
  }

  async create<T extends KubeObject>(kind: Kind<T>, object: NewObject): Promise<T> {
    const resource = this.#resource(kind);
    const namespace = object.metadata.namespace ?? '';
    return meshErrors(async () => {
      const accepted = this.#accept(resource, object, namespace, '');
      const { json } = await this.#rest.create(context(resource, namespace, ''), accepted);
      return fromJson<T>(json);
    });
  }

  async patch<T extends KubeObject>(
    kind: Kind<T>,
    key: ObjectKey,
    patch: object,
    options: PatchOptions = {},
  ): Promise<T> {
    const resource = this.#resource(kind);
    const { namespace = '', name } = key;
    const sent = patchToSend(patch, options);
    const change = (current: ApiObject | undefined): ApiObject => {
      const next = this.#accept(resource, applyMergePatch(current, sent), namespace, name);
      if (options.resourceVersion === undefined) delete next.metadata.resourceVersion;
      return next;
    };
    return meshErrors(async () => {
      const { json } = await this.#rest.update(
        context(resource, namespace, options.subresource ?? ''),
        name,
        change,
        false,
      );
      return fromJson<T>(json);
    });
  }

  async delete(kind: Kind, { namespace = '', name }: ObjectKey, options: DeleteOptions = {}): Promise<void> {
    const resource = this.#resource(kind);
    try {
      await this.#rest.delete(context(resource, namespace, ''), name, {
        dryRun: false,
        gracePeriodSeconds: options.gracePeriodSeconds,
        propagation: undefined,
        uid: options.uid,
        resourceVersion: undefined,
      });
    } catch (e) {
      if (!(e instanceof ApiError) || e.status.code !== 404) throw meshError(e);
    }
  }

  #resource({ group, version, plural }: Kind): Resource {
    const resource = this.#registry.find(group, version, plural);
    if (resource === undefined) throw new MeshError('NOT_FOUND', `${plural} of ${group}/${version} is not served`);
    return resource;
  }

  #accept(resource: Resource, object: unknown, namespace: string, name: string): ApiObject {
    return acceptObject(object, { resource, namespace, name }, 'Ignore', () => undefined);
  }
}

function selection(resource: Resource, within: Within): Selection {
  return selectionOf(resource, within.namespace ?? '', '', new URLSearchParams(selectorOf(within)));
}

function context(resource: Resource, namespace: string, subresource: string): WriteContext {
  return {
    resource,
    namespace,
    subresource,
    user: serverUser,
    options: { dryRun: false, fieldManager: serverUser.name, fieldValidation: 'Ignore', force: false },
    warn: () => undefined,
  };
}

function eventOf<T extends KubeObject>(item: WatchItem): WatchEvent<T> {
  if (item.type === 'BOOKMARK') return { type: 'BOOKMARK', resourceVersion: item.revision };
  return { type: item.type, object: fromJson<T>(item.object.json) };
}

function more(changes: Watch, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      changes.onMore = undefined;
      signal.removeEventListener('abort', done);
      resolve();
    };
    changes.onMore = done;
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}

async function meshErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (e) {
    throw meshError(e);
  }
}

/** As every KubeSource fails. */
function meshError(e: unknown): unknown {
  if (!(e instanceof ApiError)) return e;
  const codes = { 404: 'NOT_FOUND', 409: 'CONFLICT', 410: 'GONE' } as const;
  const code = codes[e.status.code as keyof typeof codes] ?? 'CONFIG';
  return new MeshError(code, e.message, { cause: e });
}
