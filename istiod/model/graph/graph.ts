/**
 * Tables that are computed from other tables. Each names what it reads, and for each change there which of its own keys that
 * touches; `run` computes those anew, in the order in which the tables were made, so that each key is computed once.
 */
import { Table } from './table.ts';

export class Graph {
  readonly #steps: Step[] = [];
  readonly #failing = new Map<string, Failure>();
  readonly #onFailure: (failure: Failure) => void;

  /** Told of computations that threw: their result stays what it was. */
  constructor(onFailure: (failure: Failure) => void) {
    this.#onFailure = onFailure;
  }

  /** Computations that threw when they were tried last. */
  get failing(): readonly Failure[] {
    return [...this.#failing.values()];
  }

  /** `compute` may read tables that were made before, and any source. undefined: there is nothing under this key. */
  derive<T>(name: string, compute: (key: string) => T | undefined): Derived<T> {
    const derived = new Derived(name, (key) => {
      const id = `${name} ${key}`;
      try {
        const value = compute(key);
        this.#failing.delete(id);
        return { value };
      } catch (error) {
        const failure = { what: name, key, error };
        this.#failing.set(id, failure);
        this.#onFailure(failure);
        return undefined;
      }
    });
    this.#steps.push(derived);
    return derived;
  }

  get isDirty(): boolean {
    return this.#steps.some((s) => s.isDirty);
  }

  /** Everything is computed anew: something changed that all read. */
  markAll(): void {
    for (const step of this.#steps) step.markAll();
  }

  /** Computes what is marked, and yields now and then. What is marked meanwhile may be left for the next run. */
  *run(): Generator<void> {
    for (const step of this.#steps) yield* step.run();
  }
}

/** A computation that threw. */
export interface Failure {
  readonly what: string;
  readonly key: string;
  readonly error: unknown;
}

interface Step {
  readonly isDirty: boolean;
  markAll(): void;
  run(): Generator<void>;
}

/** Keys computed between two yields: about a millisecond. */
const stride = 32;

export class Derived<T> extends Table<T> implements Step {
  readonly name: string;
  readonly #compute: (key: string) => { readonly value: T | undefined } | undefined;
  readonly #dirty = new Set<string>();
  readonly #markAll: (() => void)[] = [];

  /** `compute` gives undefined where the value stays what it is. */
  constructor(name: string, compute: (key: string) => { readonly value: T | undefined } | undefined) {
    super();
    this.name = name;
    this.#compute = compute;
  }

  /** A change in `table` marks the keys that `touched` names; it is asked for the value that was and the one that is. */
  after<S>(table: Table<S>, touched: (value: S, key: string) => Iterable<string>): this;
  /** With `unlike`, only where the two differ in what is read of them. */
  after<S>(
    table: Table<S>,
    touched: (value: S, key: string) => Iterable<string>,
    unlike: (before: S, after: S) => boolean,
  ): this;
  after<S>(
    table: Table<S>,
    touched: (value: S, key: string) => Iterable<string>,
    unlike?: (before: S, after: S) => boolean,
  ): this {
    this.#markAll.push(() => {
      for (const [key, value] of table.values) this.mark(touched(value, key));
    });
    table.onChange((before, after, key) => {
      if (unlike && before !== undefined && after !== undefined && !unlike(before, after)) return;
      if (before !== undefined) this.mark(touched(before, key));
      if (after !== undefined) this.mark(touched(after, key));
    });
    return this;
  }

  mark(keys: Iterable<string>): void {
    for (const key of keys) this.#dirty.add(key);
  }

  /** Also what has no result so far. */
  markAll(): void {
    this.mark(this.values.keys());
    for (const mark of this.#markAll) mark();
  }

  get isDirty(): boolean {
    return this.#dirty.size > 0;
  }

  *run(): Generator<void> {
    const keys = [...this.#dirty];
    this.#dirty.clear();
    for (const [i, key] of keys.entries()) {
      if (i % stride === stride - 1) yield;
      const result = this.#compute(key);
      if (result) this.set(key, result.value);
    }
  }
}
