/** How pool and server drain: they wait until their last connection has gone, and cut what is left at the deadline. */
import { millis } from '../core/brand.ts';
import type { Clock } from '../core/clock.ts';

export class Emptying {
  readonly #clock: Clock;
  readonly #isEmpty: () => boolean;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock, isEmpty: () => boolean) {
    this.#clock = clock;
    this.#isEmpty = isEmpty;
  }

  /** To be called whenever a connection has gone. */
  check(): void {
    if (this.#isEmpty()) for (const done of this.#waiting) done();
  }

  /** Resolves when nothing is left; `cut` is called at the deadline and must lead there. */
  wait(deadlineMs: number, cut: () => void): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        this.#waiting.delete(done);
        resolve();
      };
      const timer = this.#clock.after(millis(deadlineMs), cut);
      this.#waiting.add(done);
      this.check();
    });
  }
}
