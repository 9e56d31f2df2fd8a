/** The half of a hand-over that decides: offers what it has frozen, commits what was accepted, goes on with everything else. */
import { type Fd, millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Unmoved } from '../engine/hand-over.ts';
import { encodeUnit } from './codec.ts';
import {
  encodeMessage,
  hello,
  type Line,
  maxDescriptors,
  maxUnitLength,
  mismatch,
  partLength,
  readToGiver,
  type ToGiver,
  type ToTaker,
} from './protocol.ts';
import type { Unit } from './unit.ts';

/** What may move: a tunnel with its relays, or a plain relay. */
export interface Movable {
  /** How many connections it carries, for the log. */
  readonly connections: number;
  /** Descriptors that go with it. */
  readonly descriptors: number;
  /** From the answer on nothing of it is read, written or sealed here, unless it stays. Called again where descriptors lacked. */
  freeze(): Promise<Frozen | Unmoved>;
}

/** Exactly one of thaw and forget is called. */
export interface Frozen {
  readonly unit: Unit;
  /** The engine's state first. They stay this side's until `thaw` or `forget`. */
  readonly fds: readonly Fd[];
  /** It goes on here. */
  thaw(): void;
  /** It is the successor's. Closes what is left here without a word to any peer, and without an end in metrics and log. */
  forget(): void;
}

export interface GiveOptions {
  readonly line: Line;
  readonly clock: Clock;
  /** Version of the engine's state. */
  readonly engine: string;
  readonly movables: readonly Movable[];
}

export interface Given {
  /** Connections that are the successor's now. */
  readonly moved: number;
  /** Connections that stay here, by the reason. */
  readonly stayed: ReadonlyMap<string, number>;
}

/** Units and descriptors that are frozen at a time; of descriptors one unit may have more. */
const most = { units: 32, descriptors: 200 };
/** ms for the successor's hello, and for the engine's answer and its to an offer, together. */
const answerLimit = 5_000;
/** ms until a packet that had no room is tried again. */
const retryAfter = 10;
/** ms until the next offer where this process had no descriptor for one. */
const descriptorsAfter = 50;
/** ms in which something must move while descriptors lack. */
const descriptorsLimit = 5_000;

/** Resolves, and has closed the line, when it is decided for each unit whose it is. Never rejects. */
export function give(options: GiveOptions): Promise<Given> {
  return new Promise((resolve) => new Giving(options, resolve).start());
}

interface Open {
  readonly movable: Movable;
  readonly descriptors: number;
  readonly limit: Timer;
  frozen: Frozen | undefined;
  /** It was accepted; the word for it is on its way to the kernel. */
  committing: boolean;
}

interface Outgoing {
  readonly data: Uint8Array;
  readonly fds: readonly Fd[];
  /** The kernel has it. */
  readonly onSent?: (() => void) | undefined;
}

class Giving {
  readonly #options: GiveOptions;
  readonly #resolve: (given: Given) => void;
  readonly #waiting: Movable[];
  readonly #open = new Map<number, Open>();
  readonly #outbox: Outgoing[] = [];
  readonly #stayed = new Map<string, number>();
  #moved = 0;
  #nextUnit = 0;
  #descriptors = 0;
  #greeted = false;
  #helloLimit: Timer | undefined;
  #retry: Timer | undefined;
  /** Descriptors lacked, and nothing has moved since. */
  #starved: { readonly limit: Timer; again: Timer | undefined } | undefined;
  /** Why nothing more is offered. */
  #over: string | undefined;

  constructor(options: GiveOptions, resolve: (given: Given) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#waiting = [...options.movables];
  }

  start(): void {
    const { line, engine } = this.#options;
    line.onClose((error) =>
      this.#end(error ? `the successor is gone: ${describeError(error)}` : 'the successor is gone'),
    );
    line.onPacket(({ data, fds }) => {
      if (fds.length > 0) throw new MeshError('PROTOCOL', 'a descriptor came back from the successor');
      this.#receive(readToGiver(data));
    });
    this.#helloLimit = this.#limit(() => 'the successor');
    this.#send(hello(engine));
  }

  #limit(whom: () => string): Timer {
    return this.#options.clock.after(millis(answerLimit), () =>
      this.#end(`${whom()} gave no answer in ${answerLimit / 1000} s`),
    );
  }

  #receive(message: ToGiver): void {
    if (this.#over !== undefined) return;
    if (message.kind === 'hello') {
      if (this.#greeted) throw new MeshError('PROTOCOL', 'the successor said hello twice');
      this.#greeted = true;
      this.#helloLimit?.cancel();
      const reason = mismatch(hello(this.#options.engine), message);
      if (reason === undefined) this.#fill();
      else this.#end(reason);
      return;
    }
    const open = this.#open.get(message.unit);
    if (!open?.frozen || open.committing) {
      throw new MeshError('PROTOCOL', `the successor answered for unit ${message.unit}, which waits for no answer`);
    }
    if (message.kind === 'accept') {
      open.committing = true;
      this.#send({ kind: 'commit', unit: message.unit }, [], () => this.#committed(message.unit, open));
    } else {
      this.#stays(message.unit, open, message.reason);
    }
    this.#fill();
  }

  /** Offers as much as may be under way. */
  #fill(): void {
    while (this.#over === undefined && !this.#starved?.again && this.#open.size < most.units) {
      const next = this.#waiting[0];
      if (!next) break;
      if (this.#descriptors > 0 && this.#descriptors + next.descriptors > most.descriptors) break;
      this.#waiting.shift();
      const unit = this.#nextUnit++;
      const open: Open = {
        movable: next,
        descriptors: next.descriptors,
        limit: this.#limit(() => (open.frozen ? 'the successor' : 'the engine')),
        frozen: undefined,
        committing: false,
      };
      this.#open.set(unit, open);
      this.#descriptors += open.descriptors;
      next.freeze().then(
        (answer) => this.#isFrozen(unit, open, answer),
        (error: unknown) => this.#isFrozen(unit, open, { unmoved: describeError(error) }),
      );
    }
    this.#settle();
  }

  #isFrozen(unit: number, open: Open, answer: Frozen | Unmoved): void {
    const stays = 'unmoved' in answer || 'lacksDescriptors' in answer;
    if (this.#open.get(unit) !== open) {
      // Nobody waits for it any more.
      if (!stays) answer.thaw();
      return;
    }
    if (stays) {
      if ('unmoved' in answer) this.#stays(unit, open, answer.unmoved);
      else this.#later(unit, open, answer.lacksDescriptors);
      this.#fill();
      return;
    }
    open.frozen = answer;
    if (answer.fds.length > maxDescriptors) {
      this.#stays(unit, open, `it has more than ${maxDescriptors} descriptors`);
      this.#fill();
      return;
    }
    const text = encodeUnit(answer.unit);
    if (text.length > maxUnitLength) {
      this.#stays(unit, open, `its description has more than ${maxUnitLength} characters`);
      this.#fill();
      return;
    }
    for (let at = 0; at < text.length; at += partLength) {
      this.#send({ kind: 'part', unit, text: text.slice(at, at + partLength) });
    }
    this.#send({ kind: 'offer', unit }, answer.fds);
  }

  /** Each commit frees descriptors, and so does each connection that ends meanwhile. */
  #later(unit: number, open: Open, reason: string): void {
    const { clock } = this.#options;
    this.#close(unit, open);
    this.#waiting.push(open.movable);
    this.#starved ??= { limit: clock.after(millis(descriptorsLimit), () => this.#end(reason)), again: undefined };
    const starved = this.#starved;
    starved.again ??= clock.after(millis(descriptorsAfter), () => {
      starved.again = undefined;
      this.#fill();
    });
  }

  #fed(): void {
    this.#starved?.limit.cancel();
    this.#starved?.again?.cancel();
    this.#starved = undefined;
  }

  #committed(unit: number, open: Open): void {
    this.#close(unit, open);
    this.#fed();
    const { frozen } = open;
    this.#moved += frozen!.unit.relays.length;
    frozen!.forget();
    this.#fill();
  }

  #stays(unit: number, open: Open, reason: string): void {
    this.#close(unit, open);
    this.#count(open.movable, reason);
    open.frozen?.thaw();
  }

  #close(unit: number, { limit, descriptors }: Open): void {
    limit.cancel();
    this.#open.delete(unit);
    this.#descriptors -= descriptors;
  }

  #count({ connections }: Movable, reason: string): void {
    this.#stayed.set(reason, (this.#stayed.get(reason) ?? 0) + connections);
  }

  #send(message: ToTaker, fds: readonly Fd[] = [], onSent?: () => void): void {
    if (this.#over !== undefined) return;
    this.#outbox.push({ data: encodeMessage(message), fds, onSent });
    this.#pump();
  }

  /** No queue but ours: what is not the kernel's yet can be taken back. */
  #pump(): void {
    const { line, clock } = this.#options;
    for (let next = this.#outbox[0]; next && this.#over === undefined; next = this.#outbox[0]) {
      let outcome: ReturnType<Line['trySend']>;
      try {
        outcome = line.trySend(next.data, next.fds);
      } catch (e) {
        this.#end(describeError(e));
        return;
      }
      if (outcome === 'gone') {
        this.#end('the successor is gone');
        return;
      }
      if (outcome === 'full') {
        this.#retry?.cancel();
        this.#retry = clock.after(millis(retryAfter), () => this.#pump());
        return;
      }
      this.#outbox.shift();
      next.onSent?.();
    }
    this.#settle();
  }

  /** Whatever the kernel has no commit for goes on here. */
  #end(reason: string): void {
    if (this.#over !== undefined) return;
    this.#over = reason;
    this.#outbox.length = 0;
    this.#options.line.close();
    for (const [unit, open] of [...this.#open]) this.#stays(unit, open, reason);
    for (const movable of this.#waiting.splice(0)) this.#count(movable, reason);
    this.#settle();
  }

  #settle(): void {
    const done = this.#open.size === 0 && this.#waiting.length === 0 && this.#outbox.length === 0;
    if (!done || !(this.#greeted || this.#over !== undefined)) return;
    this.#over ??= 'everything is decided';
    this.#helloLimit?.cancel();
    this.#retry?.cancel();
    this.#fed();
    this.#options.line.close();
    this.#resolve({ moved: this.#moved, stayed: this.#stayed });
  }
}
