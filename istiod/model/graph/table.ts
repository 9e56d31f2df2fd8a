/** Values by key, with indexes, that tell of their changes. */
import { MultiMap } from './multi-map.ts';

export type Listener<T> = (before: T | undefined, after: T | undefined, key: string) => void;

/** What tells of changes, of whatever it holds besides `T`. */
export interface Changing<T> {
  onChange(listener: Listener<T>): void;
}

export class Table<T> implements Changing<T> {
  readonly #values = new Map<string, T>();
  readonly #listeners: Listener<T>[] = [];

  get values(): ReadonlyMap<string, T> {
    return this.#values;
  }

  get(key: string): T | undefined {
    return this.#values.get(key);
  }

  /** undefined removes. The same value again is no change. */
  set(key: string, value: T | undefined): void {
    const before = this.#values.get(key);
    if (before === value) return;
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, value);
    for (const listener of this.#listeners) listener(before, value, key);
  }

  /** Told after the change, and after the indexes that were made before. */
  onChange(listener: Listener<T>): void {
    this.#listeners.push(listener);
  }

  /** Make it while the table is empty. */
  index(under: (value: T, key: string) => readonly string[]): Index<T> {
    return new Index(this, under);
  }
}

/** Finds values by what they say of themselves. */
export class Index<T> {
  readonly #table: Table<T>;
  readonly #keys = new MultiMap<string>();

  constructor(table: Table<T>, under: (value: T, key: string) => readonly string[]) {
    this.#table = table;
    table.onChange((before, after, key) => {
      if (before !== undefined) for (const at of under(before, key)) this.#keys.delete(at, key);
      if (after !== undefined) for (const at of under(after, key)) this.#keys.add(at, key);
    });
  }

  keys(at: string): readonly string[] {
    return this.#keys.get(at);
  }

  values(at: string): readonly T[] {
    return this.#keys.get(at).map((key) => this.#table.get(key)!);
  }
}
