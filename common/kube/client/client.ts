/** Any Kubernetes API server as a KubeSource. */
import type { Duplex } from 'node:stream';
import type { Millis } from '../../core/brand.ts';
import { type Clock, systemClock } from '../../core/clock.ts';
import { MeshError } from '../../core/errors.ts';
import { turnOver } from '../../core/turns.ts';
import { podKind } from '../kinds/core.ts';
import { patchToSend } from '../merge-patch.ts';
import { apiVersionOf } from '../names.ts';
import { isObject } from '../schema/validate.ts';
import { forwardProtocol, openForward } from '../spdy/forward.ts';
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
} from '../types.ts';
import type { ApiAccess } from './access.ts';
import { Discovery } from './discovery.ts';
import { collectionPath, objectPath, selectorOf } from './paths.ts';
import { type ApiCall, Transport, titled } from './transport.ts';
import { readEvents } from './watch.ts';

export interface KubeClient extends KubeSource {
  /**
   * Server-side apply of an object of any kind that the server has: creates it or changes the fields that it names, and removes those
   * that this manager named before. MeshError CONFLICT when another manager has one of them, unless forced; NOT_FOUND when the
   * kind or the namespace does not exist; CONFIG when it is refused.
   */
  apply(object: NewObject, options: ApplyOptions): Promise<KubeObject>;
  /** Deletes an object of any kind that the server has; succeeds when it, or its kind, is gone already. */
  remove(object: NewObject): Promise<void>;
  /** What a subresource makes, as `token` of a ServiceAccount: nothing that is kept. MeshError as from `create`. */
  createSubresource(kind: Kind, key: ObjectKey, subresource: string, object: object): Promise<KubeObject>;
  /** GET of any path, parsed: what is no object. Errors as those of `get`, with NOT_FOUND. */
  document(path: string): Promise<unknown>;
  /** What a container wrote so far: the text of its log. `query` as kubectl logs sends it. Errors as those of `get`, with NOT_FOUND. */
  logs(pod: PodKey, query: Readonly<Record<string, string>>): Promise<string>;
  /** The same, and what it writes from now on, until the signal aborts. */
  followLogs(
    pod: PodKey,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>>;
  /** A connection to a port of the pod's loopback (portforward.k8s.io). MeshError as `get`; the connection fails with CONNECT_FAILED. */
  dial(pod: PodKey, port: number): Promise<Duplex>;
  /** Ends idle connections. Watches end by their own signals. */
  close(): void;
}

export interface PodKey {
  readonly namespace: string;
  readonly name: string;
}

export interface ApplyOptions {
  readonly fieldManager: string;
  readonly force: boolean;
}

export interface KubeClientOptions {
  readonly access: ApiAccess;
  readonly clock?: Clock;
  /** That an answer may take, or the head of one that goes on; default 30 s. */
  readonly patience?: Millis;
}

/** Connects when it is asked for something. */
export function createKubeClient({ access, clock = systemClock, patience }: KubeClientOptions): KubeClient {
  return new Client(access, clock, patience);
}

/** Objects asked for at once: parsing them stops all else for some ms. */
const page = 100;
/** Seconds that one watch lasts; a random part spreads what many clients ask for anew. */
const shortestWatch = 300;
/** Ms. A watch that ends sooner was not served. */
const watchTooShort = 1_000;

const mergePatch = 'application/merge-patch+json';
const applyPatch = 'application/apply-patch+yaml';

class Client implements KubeClient {
  readonly #access: ApiAccess;
  readonly #clock: Clock;
  readonly #transport: Transport;
  readonly #discovery: Discovery;

  constructor(access: ApiAccess, clock: Clock, patience: Millis | undefined) {
    this.#access = access;
    this.#clock = clock;
    this.#transport = new Transport(access, clock, patience);
    this.#discovery = new Discovery(this.#transport);
  }

  close(): void {
    this.#transport.close();
  }

  document(path: string): Promise<unknown> {
    return this.#transport.call({ method: 'GET', path });
  }

  logs(pod: PodKey, query: Readonly<Record<string, string>>): Promise<string> {
    return this.#transport.text({ method: 'GET', path: `${objectPath(podKind, pod)}/log`, query });
  }

  async followLogs(
    pod: PodKey,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const path = `${objectPath(podKind, pod)}/log`;
    return this.#transport.open({ method: 'GET', path, query: { ...query, follow: 'true' }, signal });
  }

  async dial(pod: PodKey, port: number): Promise<Duplex> {
    const headers = { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': forwardProtocol };
    const path = `${objectPath(podKind, pod)}/portforward`;
    return openForward(await this.#transport.upgrade({ method: 'POST', path, headers }), port);
  }

  async list<T extends KubeObject>(
    kind: Kind<T>,
    signal: AbortSignal,
    options: ListOptions<T> = {},
  ): Promise<ListResult<T>> {
    try {
      return await this.#listIn(kind, signal, options, page);
    } catch (e) {
      if (!(e instanceof MeshError) || e.code !== 'GONE') throw e;
      // The state that the first page was of is not kept any more: all at once.
      return this.#listIn(kind, signal, options, undefined);
    }
  }

  async #listIn<T extends KubeObject>(
    kind: Kind<T>,
    signal: AbortSignal,
    { within = {}, trim = (object: T) => object }: ListOptions<T>,
    limit: number | undefined,
  ): Promise<ListResult<T>> {
    const items: T[] = [];
    const own = { apiVersion: apiVersionOf(kind), kind: kind.kind };
    for (let next = ''; ; ) {
      const call = {
        method: 'GET',
        path: collectionPath(kind, within.namespace),
        query: {
          ...selectorOf(within),
          ...(limit === undefined ? {} : { limit: String(limit) }),
          ...(next === '' ? {} : { continue: next }),
        },
        signal,
      } as const;
      const answer = listOf(call, await this.#transport.call(call));
      for (const item of answer.items) {
        items.push(trim({ ...own, ...item } as T));
        await turnOver();
      }
      if (answer.next === '') return { items, resourceVersion: answer.resourceVersion };
      next = answer.next;
    }
  }

  async *watch<T extends KubeObject>(
    kind: Kind<T>,
    resourceVersion: string,
    signal: AbortSignal,
    within: Within = {},
  ): AsyncIterable<WatchEvent<T>> {
    let version = resourceVersion;
    while (!signal.aborted) {
      const started = this.#clock.now();
      const seconds = Math.round(shortestWatch * (1 + Math.random()));
      const query = {
        ...selectorOf(within),
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: version,
        timeoutSeconds: `${seconds}`,
      };
      const call = { method: 'GET', path: collectionPath(kind, within.namespace), query, signal } as const;
      for await (const event of readEvents<T>(call, await this.#transport.open(call))) {
        version = event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata.resourceVersion;
        yield event;
      }
      if (this.#clock.now() - started < watchTooShort)
        throw new MeshError('API_UNAVAILABLE', titled(call, 'the server ended the watch at once'));
    }
  }

  async get<T extends KubeObject>(kind: Kind<T>, key: ObjectKey): Promise<T | undefined> {
    try {
      return (await this.#transport.call({ method: 'GET', path: objectPath(kind, key) })) as T;
    } catch (e) {
      if (e instanceof MeshError && e.code === 'NOT_FOUND') return undefined;
      throw e;
    }
  }

  async create<T extends KubeObject>(kind: Kind<T>, object: NewObject): Promise<T> {
    const { namespace = this.#access.namespace } = object.metadata;
    const path = collectionPath(kind, namespace);
    const body = { type: 'application/json', text: JSON.stringify(object) };
    return (await this.#transport.call({ method: 'POST', path, body })) as T;
  }

  async createSubresource(kind: Kind, key: ObjectKey, subresource: string, object: object): Promise<KubeObject> {
    const path = `${objectPath(kind, key)}/${subresource}`;
    const body = { type: 'application/json', text: JSON.stringify(object) };
    return (await this.#transport.call({ method: 'POST', path, body })) as KubeObject;
  }

  async patch<T extends KubeObject>(
    kind: Kind<T>,
    key: ObjectKey,
    patch: object,
    options: PatchOptions = {},
  ): Promise<T> {
    return (await this.#transport.call({
      method: 'PATCH',
      path: `${objectPath(kind, key)}${options.subresource === undefined ? '' : `/${options.subresource}`}`,
      body: { type: mergePatch, text: JSON.stringify(patchToSend(patch, options)) },
    })) as T;
  }

  async delete(kind: Kind, key: ObjectKey, { gracePeriodSeconds, uid }: DeleteOptions = {}): Promise<void> {
    const options = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
      ...(uid === undefined ? {} : { preconditions: { uid } }),
    };
    await this.#delete(objectPath(kind, key), options);
  }

  async apply(object: NewObject, { fieldManager, force }: ApplyOptions): Promise<KubeObject> {
    const resource = await this.#discovery.resourceOf(object.apiVersion, object.kind);
    const { name, namespace = this.#access.namespace } = object.metadata;
    return (await this.#transport.call({
      method: 'PATCH',
      path: objectPath(resource, { namespace, name }),
      query: { fieldManager, force: String(force), fieldValidation: 'Strict' },
      body: { type: applyPatch, text: JSON.stringify(object) },
    })) as KubeObject;
  }

  async remove(object: NewObject): Promise<void> {
    const { name, namespace = this.#access.namespace } = object.metadata;
    try {
      const resource = await this.#discovery.resourceOf(object.apiVersion, object.kind);
      await this.#delete(objectPath(resource, { namespace, name }), { apiVersion: 'v1', kind: 'DeleteOptions' });
    } catch (e) {
      if (!(e instanceof MeshError) || e.code !== 'NOT_FOUND') throw e;
    }
  }

  async #delete(path: string, options: object): Promise<void> {
    const body = { type: 'application/json', text: JSON.stringify(options) };
    try {
      await this.#transport.call({ method: 'DELETE', path, body });
    } catch (e) {
      if (!(e instanceof MeshError) || e.code !== 'NOT_FOUND') throw e;
    }
  }
}

function listOf(call: ApiCall, answer: unknown) {
  const { items, metadata } = isObject(answer) ? answer : {};
  const version = isObject(metadata) ? metadata['resourceVersion'] : undefined;
  if (!isObject(metadata) || typeof version !== 'string' || !(Array.isArray(items) || items === null))
    throw new MeshError('API_UNAVAILABLE', titled(call, 'the answer is not a list'));
  const next = metadata['continue'];
  return {
    items: (items ?? []) as readonly object[],
    resourceVersion: version,
    next: typeof next === 'string' ? next : '',
  };
}
