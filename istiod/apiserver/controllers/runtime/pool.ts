/**
 * Numbers of which each has one holder. What stored objects hold is told by `hold` and `release`; in between, from the
 * decision to the write, a number is reserved, which ends by itself when the write never comes.
 */
import { randomInt } from 'node:crypto';

/** Ms; no write of a request takes that long. */
const reservation = 60_000;

export interface PoolRange {
  readonly first: number;
  /** Belongs to the pool. */
  readonly last: number;
  /** Numbers below it are for who asks for them, and given out only when all others are taken. */
  readonly dynamicFrom: number;
}

export class Pool {
  readonly #range: PoolRange;
  readonly #held = new Map<number, string>();
  readonly #reserved = new Map<number, { readonly holder: string; readonly until: number }>();

  constructor(range: PoolRange) {
    this.#range = range;
  }

  has(n: number): boolean {
    return n >= this.#range.first && n <= this.#range.last;
  }

  /** A stored object has it. */
  hold(n: number, holder: string): void {
    this.#held.set(n, holder);
    this.#reserved.delete(n);
  }

  /** The object has it no more. */
  release(n: number, holder: string): void {
    if (this.#held.get(n) === holder) this.#held.delete(n);
  }

  /** False when another has it. `now` in ms. */
  claim(n: number, holder: string, now: number): boolean {
    if (!this.#isFree(n, holder, now)) return false;
    if (!this.#held.has(n)) this.#reserved.set(n, { holder, until: now + reservation });
    return true;
  }

  /** Any that is free and not in `except`; what the holder had reserved before, first. undefined: none is left. */
  take(holder: string, now: number, except: ReadonlySet<number> = new Set()): number | undefined {
    const n = this.choose(holder, now, except);
    if (n !== undefined) this.#reserved.set(n, { holder, until: now + reservation });
    return n;
  }

  /** As `take`, and nothing is reserved: for writes that are not kept. */
  choose(holder: string, now: number, except: ReadonlySet<number> = new Set()): number | undefined {
    for (const [n, { holder: by, until }] of this.#reserved) {
      if (until <= now) this.#reserved.delete(n);
      else if (by === holder && !except.has(n)) return n;
    }
    const { first, last, dynamicFrom } = this.#range;
    const free = (n: number) => !this.#held.has(n) && !this.#reserved.has(n) && !except.has(n);
    const from = Math.max(first, dynamicFrom);
    if (from <= last) {
      const start = randomInt(from, last + 1);
      for (let i = 0; i <= last - from; i++) {
        const n = from + ((start - from + i) % (last - from + 1));
        if (free(n)) return n;
      }
    }
    for (let n = first; n < Math.min(from, last + 1); n++) if (free(n)) return n;
    return undefined;
  }

  #isFree(n: number, holder: string, now: number): boolean {
    const held = this.#held.get(n);
    if (held !== undefined) return held === holder;
    const reserved = this.#reserved.get(n);
    return reserved === undefined || reserved.until <= now || reserved.holder === holder;
  }
}
