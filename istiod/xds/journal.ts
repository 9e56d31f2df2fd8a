/**
 * Which names changed when. A client that follows everything is then no more than a number: how far it has been told. One that
 * never reads holds nothing here but its place.
 */
interface Entry {
  readonly generation: number;
  readonly name: string;
}

/** Entries below this number are not worth the work of forgetting. */
const fewEntries = 1_024;

export class Journal {
  /** By generation. Only a name's newest entry counts. */
  #entries: Entry[] = [];
  readonly #newest = new Map<string, Entry>();
  /** By name the generation of what is to be told late. */
  readonly #late = new Map<string, number>();
  #last = 0;
  #compactAt = fewEntries;

  /** Generation of the newest change. */
  get last(): number {
    return this.#last;
  }

  /** `generation` is larger than each one before. */
  note(generation: number, names: Iterable<string>): void {
    for (const name of names) {
      const entry = { generation, name };
      this.#entries.push(entry);
      this.#newest.set(name, entry);
      this.#last = generation;
    }
  }

  /** Of a change that was noted, what is kept back until the rest is confirmed, as removals are. */
  noteLate(generation: number, names: Iterable<string>): void {
    for (const name of names) this.#late.set(name, generation);
  }

  /** Whether a client that was told late things up to that generation is yet to be told this one. */
  isLate(name: string, told: number): boolean {
    return (this.#late.get(name) ?? 0) > told;
  }

  /** Names that changed after that generation, each once, oldest change first. */
  since(generation: number): readonly string[] {
    const names: string[] = [];
    for (let i = this.#firstAfter(generation); i < this.#entries.length; i++) {
      const entry = this.#entries[i]!;
      if (this.#newest.get(entry.name) === entry) names.push(entry.name);
    }
    return names;
  }

  /** Forgets what everybody has confirmed: changes up to `told`. Cheap to call often. */
  forget(told: () => number): void {
    if (this.#entries.length < this.#compactAt) return;
    const generation = told();
    this.#entries = this.#entries.filter((e) => e.generation > generation && this.#newest.get(e.name) === e);
    for (const [name, entry] of this.#newest) if (entry.generation <= generation) this.#newest.delete(name);
    for (const [name, late] of this.#late) if (late <= generation) this.#late.delete(name);
    this.#compactAt = Math.max(fewEntries, this.#entries.length * 2);
  }

  #firstAfter(generation: number): number {
    let [from, to] = [0, this.#entries.length];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#entries[middle]!.generation > generation) to = middle;
      else from = middle + 1;
    }
    return from;
  }
}
