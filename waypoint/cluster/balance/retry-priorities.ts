/** envoy.retry_priorities.previous_priorities: of one request's tries, those priorities that were tried get no load any more. */
import { loadWithout, type PriorityLoad } from './priority-load.ts';

export class PreviousPriorities {
  readonly #frequency: number;
  /** Tries since priorities were last given back. */
  #tries = 0;
  #tried: number[] = [];
  readonly #excluded = new Set<number>();
  #load: PriorityLoad | undefined;

  /** After each `frequency` tries what was tried is left out. */
  constructor(frequency: number) {
    this.#frequency = frequency;
  }

  tried(priority: number): void {
    this.#tries++;
    this.#tried.push(priority);
  }

  /** The load of the next try. Once no priority is left, all are asked again. */
  adjust(load: PriorityLoad): PriorityLoad {
    if (this.#tries < this.#frequency) return load;
    if (this.#tries % this.#frequency === 0) {
      for (const priority of this.#tried) this.#excluded.add(priority);
      this.#tried = [];
      this.#load = loadWithout(load, this.#excluded);
      if (!this.#load) {
        this.#excluded.clear();
        this.#tries = 0;
        this.#load = loadWithout(load, this.#excluded);
      }
    }
    return this.#load ?? load;
  }
}
