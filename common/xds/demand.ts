/**
 * Addresses asked for one by one, when a connection needs them (ambient-wire 3.7). A name is the uid of a workload,
 * `namespace/hostname` or `network/ip`. Answered by a resource of that name or with it among its aliases, or by its removal;
 * ztunnel itself does not look at aliases, and would wait for ever for a VIP.
 */
import type { PbDeltaResponse } from '../api/index.ts';
import { type Millis, millis } from '../core/brand.ts';
import type { Clock } from '../core/clock.ts';
import { MeshError } from '../core/errors.ts';

export interface Demand {
  /**
   * Settles when the mesh has said of each name what it is or that there is none such; undefined where it has already.
   * MeshError NO_HEALTHY_UPSTREAM after 5 s without an answer.
   */
  need(names: readonly string[]): Promise<void> | undefined;
}

/** How the stream of the moment is asked; both lists go in one request. */
export type SendNames = (subscribe: readonly string[], unsubscribe: readonly string[]) => void;

const patience: Millis = millis(5_000);
/** Names that nothing is known by, kept subscribed: apps choose addresses, so there must be an end to them. */
const maxAbsent = 10_000;

interface Question {
  readonly answered: Promise<void>;
  readonly settle: (error?: Error) => void;
}

export class OnDemand implements Demand {
  readonly #clock: Clock;
  readonly #pending = new Map<string, Question>();
  /** Asked for and answered: primary name of the resource, undefined where there is none. Oldest first. */
  readonly #answers = new Map<string, string | undefined>();
  /** The other way round. */
  readonly #askedAs = new Map<string, Set<string>>();
  readonly #absent = new Set<string>();
  #send: SendNames | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A stream stands; its first request carries `names()`. */
  opened(send: SendNames): void {
    this.#send = send;
  }

  closed(): void {
    this.#send = undefined;
  }

  /** All that was asked for, answered or not. */
  names(): readonly string[] {
    return [...this.#answers.keys(), ...this.#pending.keys()];
  }

  need(names: readonly string[]): Promise<void> | undefined {
    const open = names.filter((name) => !this.#answers.has(name));
    if (open.length === 0) return undefined;
    const fresh = open.filter((name) => !this.#pending.has(name));
    const questions = open.map((name) => this.#pending.get(name) ?? this.#ask(name));
    if (fresh.length > 0) this.#send?.(fresh, []);
    return Promise.all(questions.map((q) => q.answered)).then(() => undefined);
  }

  /** A response has been applied to the store; what of it is `unusable` is not known, and so no answer. */
  applied(response: PbDeltaResponse, unusable: ReadonlySet<string>): void {
    const dropped: string[] = [];
    for (const name of response.removedResources) {
      this.#answer(name, undefined);
      for (const asked of this.#askedAs.get(name) ?? []) this.#answer(asked, undefined);
    }
    for (const { name, aliases } of response.resources) {
      if (unusable.has(name)) continue;
      for (const asked of [name, ...aliases]) this.#answer(asked, name);
    }
    while (this.#absent.size > maxAbsent) {
      const oldest = this.#absent.values().next().value!;
      this.#absent.delete(oldest);
      this.#answers.delete(oldest);
      dropped.push(oldest);
    }
    if (dropped.length > 0) this.#send?.([], dropped);
  }

  #ask(name: string): Question {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Whoever asked may be gone by the time of the answer.
    promise.catch(() => undefined);
    const timer = this.#clock.after(patience, () => {
      const what = `the control plane has not said within ${patience} ms what ${name} is`;
      question.settle(new MeshError('NO_HEALTHY_UPSTREAM', what));
    });
    const question: Question = {
      answered: promise,
      settle: (error) => {
        timer.cancel();
        this.#pending.delete(name);
        if (error) reject(error);
        else resolve();
      },
    };
    this.#pending.set(name, question);
    return question;
  }

  #answer(asked: string, primary: string | undefined): void {
    const question = this.#pending.get(asked);
    if (!question && !this.#answers.has(asked)) return;
    const before = this.#answers.get(asked);
    if (before !== undefined && before !== primary) this.#forgetAlias(before, asked);
    this.#answers.set(asked, primary);
    if (primary === undefined) this.#absent.add(asked);
    else {
      this.#absent.delete(asked);
      const names = this.#askedAs.get(primary) ?? new Set<string>();
      this.#askedAs.set(primary, names.add(asked));
    }
    question?.settle();
  }

  #forgetAlias(primary: string, asked: string): void {
    const names = this.#askedAs.get(primary);
    names?.delete(asked);
    if (names?.size === 0) this.#askedAs.delete(primary);
  }
}
