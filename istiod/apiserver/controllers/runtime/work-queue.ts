/**
 * Work by key: each key once however often it was added, never twice at a time, again later when it failed. What comes to a
 * key while it is worked on is one more run afterwards.
 */
import { millis } from '../../../../common/core/brand.ts';
import type { Clock, Timer } from '../../../../common/core/clock.ts';
import { describeError } from '../../../../common/core/errors.ts';
import type { Logger } from '../../../../common/core/log.ts';

export interface WorkQueueOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly handle: (key: string) => Promise<void>;
  /** Keys at a time; default 4. */
  readonly parallel?: number;
  /**
   * A run that took t ms is followed by a rest of t times this before the next of the same key, at most 5 s: for work whose
   * cost grows with the object, so that changes that come one by one are taken together. Default 0.
   */
  readonly rest?: number;
}

const firstDelay = 5;
const longestDelay = 60_000;
const longestRest = 5_000;
/** Shorter runs need no rest. */
const shortRun = 5;

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  /** In the order in which they are due. */
  readonly #due = new Set<string>();
  readonly #running = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #timers = new Map<string, { readonly at: number; readonly timer: Timer }>();
  readonly #resting = new Map<string, number>();
  #scheduled = false;
  #state: 'waiting' | 'working' | 'stopped' = 'waiting';

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  add(key: string): void {
    if (this.#state === 'stopped') return;
    const { clock } = this.#options;
    const until = this.#resting.get(key);
    if (until !== undefined && until > clock.now()) {
      this.addAfter(key, until - clock.now());
      return;
    }
    this.#resting.delete(key);
    this.#due.add(key);
    this.#schedule();
  }

  /** Once, after `delay` ms, or sooner where something sooner was asked for. */
  addAfter(key: string, delay: number): void {
    if (this.#state === 'stopped') return;
    const { clock } = this.#options;
    const at = clock.now() + delay;
    const waiting = this.#timers.get(key);
    if (waiting !== undefined) {
      if (waiting.at <= at) return;
      waiting.timer.cancel();
    }
    const timer = clock.after(millis(delay), () => {
      this.#timers.delete(key);
      this.#resting.delete(key);
      this.add(key);
    });
    this.#timers.set(key, { at, timer });
  }

  /** What was added before is done now. */
  start(signal: AbortSignal): void {
    this.#state = 'working';
    signal.addEventListener('abort', () => {
      this.#state = 'stopped';
      for (const { timer } of this.#timers.values()) timer.cancel();
      this.#timers.clear();
      this.#due.clear();
    });
    this.#schedule();
  }

  /** One turn of the event loop between two keys: requests come first. */
  #schedule(): void {
    if (this.#scheduled || this.#state !== 'working') return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#next();
    });
  }

  #next(): void {
    if (this.#state !== 'working' || this.#running.size >= (this.#options.parallel ?? 4)) return;
    for (const key of this.#due) {
      if (this.#running.has(key)) continue;
      this.#due.delete(key);
      void this.#run(key);
      if (this.#due.size > 0) this.#schedule();
      return;
    }
  }

  async #run(key: string): Promise<void> {
    const { clock, handle, log, rest = 0 } = this.#options;
    this.#running.add(key);
    const began = clock.now();
    try {
      await handle(key);
      this.#failures.delete(key);
      const took = clock.now() - began;
      if (rest > 0 && took > shortRun) this.#resting.set(key, clock.now() + Math.min(took * rest, longestRest));
    } catch (e) {
      const failures = this.#failures.get(key) ?? 0;
      this.#failures.set(key, failures + 1);
      const delay = Math.min(firstDelay * 2 ** failures, longestDelay);
      // The first may be somebody else's write at the same time.
      if (this.#state === 'working') {
        log.log(failures < 3 ? 'debug' : 'warn', 'trying again', { key, error: describeError(e), delay_ms: delay });
      }
      this.addAfter(key, delay);
    } finally {
      this.#running.delete(key);
      const due = this.#resting.get(key);
      if (due !== undefined) {
        if (due <= clock.now()) this.#resting.delete(key);
        else if (this.#due.delete(key)) this.addAfter(key, due - clock.now());
      }
      this.#schedule();
    }
  }
}
