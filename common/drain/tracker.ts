/** What is still open while a program or a pod drains (ambient-wire 1.7): let it end by itself, then cut it. */
import type { Millis } from '../core/brand.ts';
import type { Clock } from '../core/clock.ts';

export class DrainTracker {
  readonly #open = new Set<() => void>();
  #onEmpty: (() => void) | undefined;

  get open(): number {
    return this.#open.size;
  }

  /** `cut` ends the work at once; it is called at most once, and not after the returned function was. */
  track(cut: () => void): () => void {
    const entry = () => cut();
    this.#open.add(entry);
    return () => {
      if (this.#open.delete(entry) && this.#open.size === 0) this.#onEmpty?.();
    };
  }

  /** Resolves with how many were cut, as soon as all have ended or `deadline` has passed. The caller stops accepting first. */
  drain(clock: Clock, deadline: Millis): Promise<number> {
    if (this.#open.size === 0) return Promise.resolve(0);
    return new Promise((resolve) => {
      const timer = clock.after(deadline, () => {
        this.#onEmpty = undefined;
        resolve(this.cutAll());
      });
      this.#onEmpty = () => {
        timer.cancel();
        resolve(0);
      };
    });
  }

  /** Ends everything now, as for a pod that was removed; says how many there were. */
  cutAll(): number {
    const entries = [...this.#open];
    this.#open.clear();
    for (const cut of entries) cut();
    return entries.length;
  }
}
