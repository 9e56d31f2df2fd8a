/** Circuit breakers: how much of the cluster is in use, and what may still be taken. */
import type { Breaker } from './config.ts';
import type { Admission, Resource, RoutingPriority } from './types.ts';

type Usage = Record<Resource, number>;

export class BreakerAccount implements Admission {
  readonly #breakers: Readonly<Record<RoutingPriority, Breaker>>;
  readonly #used: Readonly<Record<RoutingPriority, Usage>> = { default: unused(), high: unused() };

  constructor(breakers: Readonly<Record<RoutingPriority, Breaker>>) {
    this.#breakers = breakers;
  }

  take(resource: Resource, priority: RoutingPriority): boolean {
    const used = this.#used[priority];
    if (used[resource] >= this.limit(resource, priority)) return false;
    used[resource]++;
    return true;
  }

  /** Takes whatever the limit is: a pool without any connection may always have one. */
  force(resource: Resource, priority: RoutingPriority): void {
    this.#used[priority][resource]++;
  }

  give(resource: Resource, priority: RoutingPriority): void {
    const used = this.#used[priority];
    if (used[resource] === 0) throw new Error(`${resource} of priority ${priority} given back and not taken`);
    used[resource]--;
  }

  taken(resource: Resource, priority: RoutingPriority): number {
    return this.#used[priority][resource];
  }

  /** Requests of both priorities. */
  get active(): number {
    return this.#used.default.requests + this.#used.high.requests;
  }

  /** What `taken` may reach now: a retry budget moves with the requests that there are. */
  limit(resource: Resource, priority: RoutingPriority): number {
    const breaker = this.#breakers[priority];
    const budget = breaker.retryBudget;
    if (resource !== 'retries' || !budget) return breaker[resource];
    const used = this.#used[priority];
    return Math.max(budget.minConcurrency, Math.floor((budget.percent / 100) * (used.requests + used.pending)));
  }
}

function unused(): Usage {
  return { connections: 0, pending: 0, requests: 0, retries: 0 };
}
