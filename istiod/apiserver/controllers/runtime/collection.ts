/** The objects of one resource in memory, with what controllers read of them, and indexes over them. */
import type { KubeObject } from '../../../../common/kube/types.ts';
import type { StoreKey } from '../../storage/types.ts';
import type { Feeds } from './feed.ts';

/** `current` undefined: deleted; `previous` undefined: new. Must not throw. */
export type Listener<T> = (current: T | undefined, previous: T | undefined) => void;

export interface CollectionOptions<T extends KubeObject> {
  /** As the store names it: `pods.core`. */
  readonly resource: string;
  /** What is kept of each object; absent: all of it. It must not change the object. */
  readonly project?: (object: T) => T;
  /** Objects that are kept at all; absent: all of them. */
  readonly wanted?: (key: StoreKey) => boolean;
}

export class Collection<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #listeners: Listener<T>[] = [];

  constructor(feeds: Feeds, { resource, project = (o) => o, wanted = () => true }: CollectionOptions<T>) {
    feeds.read(resource, (change) => {
      if (!wanted(change.key)) return;
      const key = keyOf(change.key.namespace, change.key.name);
      const previous = this.#objects.get(key);
      if (change.deleted) {
        this.#objects.delete(key);
        this.#tell(undefined, previous);
        return;
      }
      const current = project(change.object() as unknown as T);
      this.#objects.set(key, current);
      this.#tell(current, previous);
    });
  }

  get size(): number {
    return this.#objects.size;
  }

  /** `namespace` empty for cluster-scoped objects. */
  get(namespace: string, name: string): T | undefined {
    return this.#objects.get(keyOf(namespace, name));
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  /** Tells of all that are there first. Listeners are called in the order in which they came. */
  onChange(listener: Listener<T>): void {
    for (const object of this.#objects.values()) listener(object, undefined);
    this.#listeners.push(listener);
  }

  /** A function from a key to the objects that have it. */
  index(keysOf: (object: T) => readonly string[]): (key: string) => readonly T[] {
    const byKey = new Map<string, Map<string, T>>();
    this.onChange((current, previous) => {
      const { namespace = '', name } = (current ?? previous)!.metadata;
      const id = keyOf(namespace, name);
      const now = current === undefined ? [] : keysOf(current);
      if (previous !== undefined) {
        for (const key of keysOf(previous)) {
          if (now.includes(key)) continue;
          const members = byKey.get(key);
          members?.delete(id);
          if (members?.size === 0) byKey.delete(key);
        }
      }
      for (const key of now) {
        let members = byKey.get(key);
        if (members === undefined) {
          members = new Map();
          byKey.set(key, members);
        }
        members.set(id, current!);
      }
    });
    return (key) => [...(byKey.get(key)?.values() ?? [])];
  }

  #tell(current: T | undefined, previous: T | undefined): void {
    for (const listener of this.#listeners) listener(current, previous);
  }
}

/** `namespace/name`, or `/name` for cluster-scoped objects: what work queues are keyed by. */
export function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

export function splitKey(key: string): { readonly namespace: string; readonly name: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** The queue key of an object. */
export function keyOfObject({ metadata }: KubeObject): string {
  return keyOf(metadata.namespace ?? '', metadata.name);
}
