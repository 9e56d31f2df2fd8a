/** The hosts of a cluster through time: assignments come, health changes, hosts stay the same objects. */
import type { Assignment } from '../assignment.ts';
import { addressText } from '../compile/address.ts';
import { LiveHost } from './host.ts';
import { type HostView, viewOf } from './priorities.ts';

export interface HostSetOptions {
  /** Active health checks are configured: new hosts have to pass one, and removed ones stay as long as they pass. */
  readonly checked: boolean;
  readonly ignoreNewHosts: boolean;
  readonly ignoreHealthOnRemoval: boolean;
  /** Monotonic ms. */
  readonly now: () => number;
}

export interface HostChange {
  readonly added: readonly LiveHost[];
  readonly removed: readonly LiveHost[];
}

const empty: Assignment = {
  endpoints: [],
  localities: [],
  overprovisioning: 140,
  weightedPriorityHealth: false,
  drops: [],
};

export class HostSet {
  readonly #options: HostSetOptions;
  #hosts = new Map<string, LiveHost>();
  #assignment = empty;
  #list: readonly LiveHost[] | undefined;
  #view: HostView | undefined;

  constructor(options: HostSetOptions) {
    this.#options = options;
  }

  get assignment(): Assignment {
    return this.#assignment;
  }

  list(): readonly LiveHost[] {
    this.#list ??= [...this.#hosts.values()];
    return this.#list;
  }

  /** The same object until something changes. */
  view(): HostView {
    this.#view ??= viewOf(this.list(), this.#assignment.localities, this.#assignment);
    return this.#view;
  }

  /** Health of a host changed: the next view is another. */
  touch(): void {
    this.#view = undefined;
  }

  assign(assignment: Assignment): HostChange {
    const added: LiveHost[] = [];
    const next = new Map<string, LiveHost>();
    for (const endpoint of assignment.endpoints) {
      const place = assignment.localities[endpoint.locality]!;
      const key = addressText(endpoint.address);
      // Of two endpoints with one address the first counts.
      if (next.has(key)) continue;
      const known = this.#hosts.get(key);
      if (known) known.update(endpoint, place);
      else added.push(this.#welcome(new LiveHost(endpoint, place)));
      next.set(key, known ?? added[added.length - 1]!);
    }
    const removed: LiveHost[] = [];
    for (const [key, host] of this.#hosts) {
      if (next.has(key)) continue;
      if (this.#stays(host)) {
        host.removed = true;
        next.set(key, host);
      } else removed.push(host);
    }
    this.#replace(next);
    this.#assignment = assignment;
    return { added, removed };
  }

  /** For hosts that requests bring along (ORIGINAL_DST). */
  add(host: LiveHost): void {
    this.#hosts.set(host.key, host);
    this.#list = undefined;
    this.#view = undefined;
  }

  get(key: string): LiveHost | undefined {
    return this.#hosts.get(key);
  }

  remove(host: LiveHost): void {
    this.#hosts.delete(host.key);
    this.#list = undefined;
    this.#view = undefined;
  }

  #replace(next: Map<string, LiveHost>): void {
    this.#hosts = next;
    this.#list = undefined;
    this.#view = undefined;
  }

  #welcome(host: LiveHost): LiveHost {
    if (this.#options.checked && !host.healthCheck.disabled) {
      host.failedCheck = true;
      host.pendingCheck = this.#options.ignoreNewHosts;
    } else host.healthySince = this.#options.now();
    return host;
  }

  /** Discovery has lost it, its health check has not. */
  #stays(host: LiveHost): boolean {
    const { checked, ignoreHealthOnRemoval } = this.#options;
    return checked && !ignoreHealthOnRemoval && !host.healthCheck.disabled && !host.failedCheck;
  }
}
