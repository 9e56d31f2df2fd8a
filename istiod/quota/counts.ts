/** How much of each limit is used. A request takes of all of its limits, or of none where one has no room. */
import type { Demand, Status } from './question.ts';
import { isDurable, windowAt } from './window.ts';

/** Of a key in its newest window; times in seconds since the epoch. */
export interface Count {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly used: number;
}

export interface Taken {
  readonly statuses: readonly Status[];
  /** What the disk has to have before anybody is told. */
  readonly changed: readonly Count[];
}

/** Further limits whose keys are counted together. */
const mostRests = 1_000;

export class Counts {
  readonly #counts = new Map<string, Count>();
  readonly #most: number;
  /** Values of keys that were counted with others, since there were too many. */
  overflowed = 0;

  /** `most` keys, and some for what is beyond; `counts`: from the disk. */
  constructor(most: number, counts: Iterable<Count>) {
    this.#most = most;
    for (const count of counts) this.#counts.set(count.key, count);
  }

  get size(): number {
    return this.#counts.size;
  }

  take(demands: readonly Demand[], now: number): Taken {
    const places = demands.map((demand) => ({ demand, before: this.#place(demand, now) }));
    // Limits may share a count, which has to have room for both.
    const after = new Map<string, Count>();
    const fits = places.map(({ demand, before }) => {
      if (before === undefined) return false;
      const { used } = after.get(before.key) ?? before;
      after.set(before.key, { ...before, used: used + demand.hits });
      return used + demand.hits <= demand.requests;
    });
    const passes = fits.every(Boolean);
    if (passes) for (const [key, count] of after) this.#counts.set(key, count);
    const statuses = places.map(({ demand, before }, i): Status => {
      const used = (before && (passes ? after.get(before.key) : before)?.used) ?? demand.requests;
      const { end } = before ?? windowAt(demand.unit, now);
      return {
        demand,
        fits: fits[i]!,
        left: Math.max(0, demand.requests - used),
        reset: Math.max(1, Math.ceil(end - now)),
      };
    });
    const lasting = new Set(
      places.flatMap(({ demand, before }) => (before && isDurable(demand.unit) ? [before.key] : [])),
    );
    return { statuses, changed: passes ? [...after.values()].filter((c) => lasting.has(c.key)) : [] };
  }

  /** Forgets windows that are over. */
  sweep(now: number): void {
    for (const { key, end } of this.#counts.values()) if (end <= now) this.#counts.delete(key);
  }

  /** undefined: there is no room to count it, so it does not fit. */
  #place(demand: Demand, now: number): Count | undefined {
    const known = this.#known(demand.key, demand, now);
    if (known) return known;
    if (this.#counts.size >= this.#most) this.sweep(now);
    const fresh = { ...windowAt(demand.unit, now), used: 0 };
    if (this.#counts.size < this.#most) return { key: demand.key, ...fresh };
    this.overflowed++;
    const rest = this.#known(demand.rest, demand, now);
    if (rest) return rest;
    return this.#counts.size < this.#most + mostRests ? { key: demand.rest, ...fresh } : undefined;
  }

  /** A clock that was set back gives nothing back: the window that it left goes on. */
  #known(key: string, { unit }: Demand, now: number): Count | undefined {
    const count = this.#counts.get(key);
    if (!count) return undefined;
    return count.end > now ? count : { key, ...windowAt(unit, now), used: 0 };
  }
}
