/** Many values under one key; keys without values take no memory. */
export class MultiMap<V> {
  /** A set only where there is more than one: most keys have one value. */
  readonly #values = new Map<string, V | Set<V>>();

  add(key: string, value: V): void {
    const found = this.#values.get(key);
    if (found instanceof Set) found.add(value);
    else if (found === undefined) this.#values.set(key, value);
    else if (found !== value) this.#values.set(key, new Set([found, value]));
  }

  delete(key: string, value: V): void {
    const found = this.#values.get(key);
    if (!(found instanceof Set)) {
      if (found === value) this.#values.delete(key);
      return;
    }
    found.delete(value);
    if (found.size === 0) this.#values.delete(key);
  }

  /** In the order in which they were added. */
  get(key: string): readonly V[] {
    const found = this.#values.get(key);
    if (found === undefined) return [];
    return found instanceof Set ? [...found] : [found];
  }
}
