/** Counts in memory and on the disk. Questions that come in one turn share a sync. */
import { describeError } from '../../common/core/errors.ts';
import { type Count, Counts } from './counts.ts';
import type { Journal } from './journal.ts';
import type { Demand, Status } from './question.ts';

export type Told =
  | { readonly kind: 'counted'; readonly statuses: readonly Status[] }
  | { readonly kind: 'failed'; readonly reason: string };

export interface LedgerOptions {
  readonly journal: Journal;
  /** Of keys. */
  readonly most: number;
  /** Wall time, seconds. */
  readonly now: () => number;
}

/** Seconds between two times that windows which are over leave. */
const sweepEvery = 60;

export class Ledger {
  readonly counts: Counts;
  readonly #options: LedgerOptions;
  #waiting: { readonly statuses: readonly Status[]; readonly tell: (told: Told) => void }[] = [];
  readonly #changed = new Map<string, Count>();
  /** After a sync that failed nobody knows what the disk holds. */
  #broken: string | undefined;
  #swept: number;

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.#swept = options.now();
    this.counts = new Counts(options.most, options.journal.load(this.#swept));
  }

  /** Why nobody is told anything; undefined: they are. */
  get broken(): string | undefined {
    return this.#broken;
  }

  /** `tell` hears what came of it once that is on the disk. */
  ask(demands: readonly Demand[], tell: (told: Told) => void): void {
    if (this.#broken !== undefined) {
      tell({ kind: 'failed', reason: this.#broken });
      return;
    }
    const { statuses, changed } = this.counts.take(demands, this.#options.now());
    for (const count of changed) this.#changed.set(count.key, count);
    this.#waiting.push({ statuses, tell });
    if (this.#waiting.length === 1) setImmediate(() => this.flush());
  }

  /** Writes what was counted, and tells those who wait. */
  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    try {
      if (this.#changed.size > 0) this.#options.journal.write(this.#changed.values());
      this.#changed.clear();
      this.#sweep();
    } catch (e) {
      this.#broken = `counts cannot be written (${describeError(e)}); nothing is counted until a restart`;
    }
    for (const { statuses, tell } of waiting) {
      tell(this.#broken === undefined ? { kind: 'counted', statuses } : { kind: 'failed', reason: this.#broken });
    }
  }

  #sweep(): void {
    const now = this.#options.now();
    if (now - this.#swept < sweepEvery) return;
    this.#swept = now;
    this.counts.sweep(now);
    this.#options.journal.sweep(now);
  }
}
