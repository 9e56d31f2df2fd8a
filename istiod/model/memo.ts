/** What was made of resources, each as long as it is the one of its name. */
import type { Resource } from './resource.ts';

/** Entries of resources that are gone, beside as many as there are, below which they are not worth the work of forgetting. */
const fewGone = 256;

/**
 * No WeakMap, though it would forget by itself: V8 looks at its entries over and over at the end of a collection, while everything stands
 * still. With 10,000 pods that was 88 of 122 ms.
 */
export class Memo<T> {
  readonly #made = new Map<string, { readonly of: Resource; readonly value: T }>();
  readonly #all: () => ReadonlyMap<string, Resource>;

  /** `all`: those that there are, by name. */
  constructor(all: () => ReadonlyMap<string, Resource>) {
    this.#all = all;
  }

  get(resource: Resource): T | undefined {
    const known = this.#made.get(resource.name);
    return known?.of === resource ? known.value : undefined;
  }

  set(resource: Resource, value: T): void {
    this.#made.set(resource.name, { of: resource, value });
    const all = this.#all();
    if (this.#made.size <= all.size * 2 + fewGone) return;
    for (const [name, { of }] of this.#made) if (all.get(name) !== of) this.#made.delete(name);
  }

  get size(): number {
    return this.#made.size;
  }
}
