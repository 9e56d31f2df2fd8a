/** The half of a hand-over that obeys: restores what it is offered, and lets it live when it has the word for it, never before. */
import type { Fd } from '../../common/core/brand.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { decodeUnit } from './codec.ts';
import {
  encodeMessage,
  type Hello,
  hello,
  type Line,
  maxReason,
  maxUnitLength,
  mismatch,
  readToTaker,
  type ToGiver,
  type ToTaker,
} from './protocol.ts';
import type { Unit } from './unit.ts';

/** Exactly one of both is called. */
export interface Restored {
  /** It is this process's: sockets are read and written from now on. */
  goLive(): void;
  /** It is not, and stays with who offered it: closes the descriptors without a word to any peer. */
  discard(): void;
}

export interface TakeOptions {
  readonly line: Line;
  /** Version of the engine's state. */
  readonly engine: string;
  /** Touches no socket, and judges what policies and lists say now. Owns the descriptors, also where it rejects with why it cannot. */
  readonly restore: (unit: Unit, fds: readonly Fd[]) => Promise<Restored>;
  readonly closeFd: (fd: Fd) => void;
}

export interface Taken {
  /** Connections that live here now. */
  readonly moved: number;
  /** What ended it, if that was not who gives. */
  readonly error: Error | undefined;
}

/** Resolves when the line has ended and nothing is undecided. Never rejects. */
export function take(options: TakeOptions): Promise<Taken> {
  return new Promise((resolve) => new Taking(options, resolve).start());
}

interface Offered {
  readonly connections: number;
  /** undefined while it is being restored. */
  restored: Restored | undefined;
}

class Taking {
  readonly #options: TakeOptions;
  readonly #resolve: (taken: Taken) => void;
  readonly #offered = new Map<number, Offered>();
  readonly #own: Hello;
  #parts: { readonly unit: number; text: string } | undefined;
  #state: 'new' | 'fits' | 'differs' = 'new';
  #moved = 0;
  #over: { readonly error: Error | undefined } | undefined;

  constructor(options: TakeOptions, resolve: (taken: Taken) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#own = hello(options.engine);
  }

  start(): void {
    const { line } = this.#options;
    line.onClose((error) => this.#end(error));
    line.onPacket(({ data, fds }) => {
      const message = readToTaker(data);
      if (fds.length > 0 && message.kind !== 'offer') throw new MeshError('PROTOCOL', 'descriptors without an offer');
      this.#receive(message, fds);
    });
  }

  #receive(message: ToTaker, fds: readonly Fd[]): void {
    switch (message.kind) {
      case 'hello':
        if (this.#state !== 'new') throw new MeshError('PROTOCOL', 'the giver said hello twice');
        this.#state = mismatch(message, this.#own) === undefined ? 'fits' : 'differs';
        this.#send(this.#own);
        return;
      case 'part':
        this.#collect(message.unit, message.text);
        return;
      case 'offer':
        this.#restore(message.unit, fds);
        return;
      case 'commit':
        this.#commit(message.unit);
        return;
    }
  }

  #collect(unit: number, text: string): void {
    const begun = this.#parts?.unit ?? unit;
    if (this.#state !== 'fits' || unit !== begun || this.#offered.has(unit)) {
      throw new MeshError('PROTOCOL', `a part of unit ${unit} came out of turn`);
    }
    this.#parts ??= { unit, text: '' };
    this.#parts.text += text;
    if (this.#parts.text.length > maxUnitLength) {
      throw new MeshError('PROTOCOL', `the text of unit ${unit} has more than ${maxUnitLength} characters`);
    }
  }

  #restore(unit: number, fds: readonly Fd[]): void {
    if (this.#parts?.unit !== unit) throw new MeshError('PROTOCOL', `unit ${unit} was offered without its text`);
    const { text } = this.#parts;
    this.#parts = undefined;
    let described: Unit;
    try {
      described = decodeUnit(text);
    } catch (e) {
      fds.forEach(this.#options.closeFd);
      this.#refuse(unit, e);
      return;
    }
    const offered: Offered = { connections: described.relays.length, restored: undefined };
    this.#offered.set(unit, offered);
    this.#options.restore(described, fds).then(
      (restored) => {
        offered.restored = restored;
        if (this.#over) this.#drop(unit, restored);
        else this.#send({ kind: 'accept', unit });
      },
      (error: unknown) => {
        this.#offered.delete(unit);
        if (this.#over) this.#settle();
        else this.#refuse(unit, error);
      },
    );
  }

  #refuse(unit: number, error: unknown): void {
    this.#send({ kind: 'refuse', unit, reason: describeError(error).slice(0, maxReason) });
  }

  #commit(unit: number): void {
    const offered = this.#offered.get(unit);
    if (!offered?.restored) throw new MeshError('PROTOCOL', `unit ${unit} was committed, which nobody had accepted`);
    this.#offered.delete(unit);
    this.#moved += offered.connections;
    offered.restored.goLive();
  }

  #send(message: ToGiver): void {
    this.#options.line.send(encodeMessage(message));
  }

  #end(error: Error | undefined): void {
    this.#over = { error };
    for (const [unit, { restored }] of [...this.#offered]) if (restored) this.#drop(unit, restored);
    this.#settle();
  }

  #drop(unit: number, restored: Restored): void {
    this.#offered.delete(unit);
    restored.discard();
    this.#settle();
  }

  #settle(): void {
    if (!this.#over || this.#offered.size > 0) return;
    this.#resolve({ moved: this.#moved, error: this.#over.error });
  }
}
