/** Keeps what was made of the mesh until something changes that it had looked at. */
import { Pending } from '../../envoy/credentials.ts';
import type { MeshView } from '../../envoy/inputs.ts';
import type { Remember, Remembered } from '../../envoy/remember.ts';
import { MultiMap } from '../graph/multi-map.ts';
import type { ObjectRef } from '../resource.ts';
import type { EnvoyMesh } from './mesh-view.ts';

const none: readonly ObjectRef[] = [];

interface Entry {
  readonly remembered: Remembered<unknown>;
  readonly reads: ReadonlySet<string>;
  readonly objects: readonly ObjectRef[];
}

export interface MemoOptions {
  readonly mesh: EnvoyMesh;
  /** Told of work that threw: what it made before stays. */
  readonly onFailure: (id: string, error: unknown) => void;
}

export class Memo {
  readonly #o: MemoOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #readers = new MultiMap<string>();
  readonly #dirty = new Set<string>();
  #used = new Set<string>();
  readonly #pending = new Set<string>();

  constructor(options: MemoOptions) {
    this.#o = options;
  }

  readonly remember: Remember = <T>(id: string, make: (view: MeshView) => T): Remembered<T> => {
    this.#used.add(id);
    const known = this.#entries.get(id);
    if (known === undefined || this.#dirty.has(id)) this.#make(id, make, known);
    return this.#entries.get(id)!.remembered as Remembered<T>;
  };

  /** These lookups find something else now. Whether anything is to be made anew. */
  touch(lookups: ReadonlySet<string>): boolean {
    for (const lookup of lookups) for (const id of this.#readers.get(lookup)) this.#dirty.add(id);
    return this.#dirty.size > 0;
  }

  /** Some of it waits for what it looked up. */
  get isPending(): boolean {
    return this.#pending.size > 0;
  }

  /** Objects that went into each of these; the same list as long as nothing was made anew. */
  objectsOf(ids: readonly string[]): readonly (readonly ObjectRef[])[] {
    return ids.map((id) => this.#entries.get(id)?.objects ?? none);
  }

  /** Forgets what was not asked for since the last time. */
  sweep(): void {
    for (const [id, { reads }] of this.#entries) {
      if (this.#used.has(id)) continue;
      for (const read of reads) this.#readers.delete(read, id);
      this.#entries.delete(id);
      this.#dirty.delete(id);
      this.#pending.delete(id);
    }
    this.#used = new Set();
  }

  #make(id: string, make: (view: MeshView) => unknown, known: Entry | undefined): void {
    const { outcome, reads, objects } = this.#o.mesh.trace(make);
    const isPending = outcome.kind === 'failed' && outcome.error instanceof Pending;
    if (isPending) this.#pending.add(id);
    else this.#pending.delete(id);
    if (outcome.kind === 'failed' && !isPending) this.#o.onFailure(id, outcome.error);
    const value = outcome.kind === 'made' ? outcome.value : known?.remembered.value;
    for (const read of known?.reads ?? []) this.#readers.delete(read, id);
    for (const read of reads) this.#readers.add(read, id);
    this.#entries.set(id, { remembered: { id, value }, reads, objects });
    this.#dirty.delete(id);
  }
}
