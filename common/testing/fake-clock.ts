/** A clock that stands still until the test moves it. */
import { type Millis, millis } from '../core/brand.ts';
import type { Clock, Timer } from '../core/clock.ts';

interface Pending {
  readonly at: number;
  readonly fn: () => void;
}

export class FakeClock implements Clock {
  #now = 0;
  #epoch: number;
  readonly #pending = new Set<Pending>();

  /** Wall time at the start; default 2026-01-01T00:00:00Z. */
  constructor(epoch = Date.UTC(2026, 0, 1)) {
    this.#epoch = epoch;
  }

  wall(): Millis {
    return millis(this.#epoch + this.#now);
  }

  now(): Millis {
    return millis(this.#now);
  }

  after(delay: Millis, fn: () => void): Timer {
    const entry = { at: this.#now + Math.max(0, delay), fn };
    this.#pending.add(entry);
    return { cancel: () => void this.#pending.delete(entry) };
  }

  /** Sets the wall clock forward or back by so much; timers do not notice. */
  setWall(ms: number): void {
    this.#epoch += ms;
  }

  /** How many timers wait. */
  get timers(): number {
    return this.#pending.size;
  }

  /** Ms until the next timer fires; undefined when none waits. */
  get nextIn(): number | undefined {
    const next = this.#next();
    return next && next.at - this.#now;
  }

  /** Moves time forward and fires what becomes due, in order; timers set meanwhile included. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let next = this.#next(); next && next.at <= end; next = this.#next()) {
      this.#pending.delete(next);
      this.#now = next.at;
      next.fn();
    }
    this.#now = end;
  }

  #next(): Pending | undefined {
    let first: Pending | undefined;
    for (const entry of this.#pending) if (!first || entry.at < first.at) first = entry;
    return first;
  }
}
