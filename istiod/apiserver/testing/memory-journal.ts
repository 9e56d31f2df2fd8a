/** A journal that keeps rows in memory, can be made to fail, and can be read again as after a restart. */
import type { Journal, JournalBatch, JournalRow } from '../storage/types.ts';

export class MemoryJournal implements Journal {
  readonly #rows = new Map<number, JournalRow>();
  #compacted = 0;
  /** The next batches are refused with this reason. */
  failing: string | undefined;
  /** Batches so far: how many syncs a disk would have had. */
  batches = 0;

  get rows(): number {
    return this.#rows.size;
  }

  async load(row: (row: JournalRow) => void): Promise<number> {
    for (const revision of [...this.#rows.keys()].sort((a, b) => a - b)) row(this.#rows.get(revision)!);
    return this.#compacted;
  }

  async append({ rows, remove, compacted }: JournalBatch): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.failing !== undefined) throw new Error(this.failing);
    this.batches++;
    for (const row of rows) this.#rows.set(row.revision, row);
    for (const revision of remove) this.#rows.delete(revision);
    if (remove.length > 0) this.#compacted = compacted;
  }

  async close(): Promise<void> {}
}
