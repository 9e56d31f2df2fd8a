/** The ways out to collectors, one for all that is configured alike: each service behind a waypoint has the same. */
import type { Batch } from './batch.ts';

export class Exporters {
  readonly #batches = new Map<string, WeakRef<Batch>>();

  /** `key` says all that `make` makes of. */
  get(key: string, make: () => Batch): Batch {
    const known = this.#batches.get(key)?.deref();
    if (known) return known;
    for (const [old, batch] of this.#batches) if (!batch.deref()) this.#batches.delete(old);
    const made = make();
    this.#batches.set(key, new WeakRef(made));
    return made;
  }

  /** Resolves when what waits has arrived or is lost. */
  async flush(): Promise<void> {
    await Promise.all([...this.#batches.values()].map((batch) => batch.deref()?.flush()));
  }
}
