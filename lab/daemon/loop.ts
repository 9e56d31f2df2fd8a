/** Runs one piece of work at a time, again when something changed meanwhile, and again with back-off when it failed. */
import { type Millis, millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';

const firstDelay = 50;
const longestDelay = 5_000;

export class Loop {
  readonly #name: string;
  readonly #work: () => Promise<void>;
  readonly #log: Logger;
  readonly #clock: Clock;
  #running: Promise<void> | undefined;
  #again = false;
  #delay: Millis = millis(firstDelay);

  constructor(name: string, log: Logger, clock: Clock, work: () => Promise<void>) {
    this.#name = name;
    this.#log = log;
    this.#clock = clock;
    this.#work = work;
  }

  /** Something changed. */
  trigger(): void {
    this.#again = true;
    this.#running ??= this.#run();
  }

  /** Resolves when all changes so far have been worked in, or have failed once. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    // Changes come in bursts: let the burst arrive.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#again) {
      this.#again = false;
      try {
        await this.#work();
        this.#delay = millis(firstDelay);
      } catch (e) {
        this.#log.warn(`${this.#name} failed; trying again`, { error: describeError(e), delay_ms: this.#delay });
        this.#clock.after(this.#delay, () => this.trigger());
        this.#delay = millis(Math.min(this.#delay * 2, longestDelay));
      }
    }
    this.#running = undefined;
  }
}
