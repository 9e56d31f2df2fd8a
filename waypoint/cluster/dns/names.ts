/** Keeps the addresses of a DNS cluster's names fresh. A failure keeps what was known. */
import { type Millis, millis } from '../../../common/core/brand.ts';
import type { Clock, Timer } from '../../../common/core/clock.ts';
import { describeError } from '../../../common/core/errors.ts';
import type { AssignedEndpoint, Assignment } from '../assignment.ts';
import type { Discovery, DnsName } from '../config.ts';
import type { Dice } from '../types.ts';
import type { Resolved, Resolver } from './resolver.ts';

type Dns = Extract<Discovery, { kind: 'dns' }>;

export interface NamesOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly resolver: Resolver;
  /** At first when every name has had an answer or a failure, then with each change. */
  readonly changed: (assignment: Assignment) => void;
  readonly failed: (name: string, reason: string) => void;
}

interface Known {
  readonly name: DnsName;
  addresses: readonly string[];
  /** Until the first answer or failure. */
  pending: boolean;
  failures: number;
  timer: Timer | undefined;
}

export class DnsNames {
  readonly #config: Dns;
  readonly #options: NamesOptions;
  readonly #known: readonly Known[];
  #closed = false;

  constructor(config: Dns, options: NamesOptions) {
    this.#config = config;
    this.#options = options;
    this.#known = config.names.map((name) => ({ name, addresses: [], pending: true, failures: 0, timer: undefined }));
  }

  start(): void {
    if (this.#known.length === 0) this.#options.changed(this.#config.assignment);
    for (const known of this.#known) void this.#ask(known);
  }

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#known) timer?.cancel();
  }

  async #ask(known: Known): Promise<void> {
    try {
      const answer = await this.#options.resolver.resolve(known.name.host, this.#config.family);
      if (!this.#closed) this.#answered(known, answer);
    } catch (e) {
      if (!this.#closed) this.#failed(known, describeError(e));
    }
  }

  #answered(known: Known, answer: Resolved): void {
    const { mode, respectTtl, refresh } = this.#config;
    const addresses = mode === 'logical' ? answer.addresses.slice(0, 1) : answer.addresses;
    const same = addresses.length === known.addresses.length && addresses.every((a) => known.addresses.includes(a));
    const first = known.pending;
    known.pending = false;
    known.failures = 0;
    if (!same) known.addresses = addresses;
    if (!same || first) this.#tell();
    // A TTL of 0 would ask without end.
    const wait = respectTtl && answer.ttl !== undefined && answer.ttl > 0 ? millis(answer.ttl * 1_000) : refresh;
    this.#again(known, wait);
  }

  #failed(known: Known, reason: string): void {
    const { base, max } = this.#config.failureRefresh;
    const first = known.pending;
    known.pending = false;
    this.#options.failed(known.name.host, reason);
    if (first) this.#tell();
    // Doubling, somewhere between base and twice as far.
    const ceiling = Math.min(max, base * 2 ** known.failures++);
    this.#again(known, millis(Math.max(base, this.#options.dice.random() * ceiling)));
  }

  #again(known: Known, wait: Millis): void {
    known.timer = this.#options.clock.after(wait, () => void this.#ask(known));
  }

  #tell(): void {
    if (this.#known.some(({ pending }) => pending)) return;
    const { assignment } = this.#config;
    const named = this.#known.flatMap(({ name, addresses }) =>
      addresses.map((ip): AssignedEndpoint => ({ ...name.endpoint, address: { kind: 'ip', ip, port: name.port } })),
    );
    this.#options.changed({ ...assignment, endpoints: [...assignment.endpoints, ...named] });
  }
}
