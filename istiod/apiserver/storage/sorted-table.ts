/** Objects of one resource in the order of their keys. */
import type { Stored } from './types.ts';

/** `namespace/name`; sorts by namespace, then by name. */
export function positionOf(key: { readonly namespace: string; readonly name: string }): string {
  return `${key.namespace}/${key.name}`;
}

export class SortedTable {
  readonly #byPosition = new Map<string, Stored>();
  readonly #positions: string[] = [];

  get size(): number {
    return this.#positions.length;
  }

  get(position: string): Stored | undefined {
    return this.#byPosition.get(position);
  }

  set(position: string, object: Stored): void {
    if (!this.#byPosition.has(position)) this.#positions.splice(this.#from(position), 0, position);
    this.#byPosition.set(position, object);
  }

  delete(position: string): void {
    if (this.#byPosition.delete(position)) this.#positions.splice(this.#from(position), 1);
  }

  /** Positions that begin with `prefix` and are greater than `after`. */
  positions(prefix: string, after: string | undefined): readonly string[] {
    let start = this.#from(prefix);
    if (after !== undefined) {
      const behind = this.#from(after);
      start = Math.max(start, this.#positions[behind] === after ? behind + 1 : behind);
    }
    // No key holds this character, which sorts behind all others.
    return this.#positions.slice(start, prefix === '' ? undefined : this.#from(`${prefix}\uffff`));
  }

  /** Index of the first position that is not less. */
  #from(position: string): number {
    let low = 0;
    let high = this.#positions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#positions[middle]! < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
