/**
 * Plans of the native engine: answers that its loop gives by itself to connections equal to one that was asked for. Who decides says what may be
 * kept; here it is held, and forgotten by one number that the loop compares before each use.
 */
import { millis } from '../../../common/core/brand.ts';
import type { Clock, Timer } from '../../../common/core/clock.ts';
import { MeshError } from '../../../common/core/errors.ts';
import type { Begun, Heirs, SocketSource } from '../../../common/hbone/again.ts';
import {
  command,
  type EngineEvent,
  type EngineLoop,
  event,
  type Handle,
  type Receiver,
  readPieces,
  writePieces,
} from '../../../native/engine.ts';
import type { Memory } from '../engine.ts';
import { BegunRelay } from './begun-relay.ts';
import { http2Code } from './stream.ts';

/** Plans at a time; the oldest goes. */
const mostPlans = 1_024;
/** Bytes of one: a peer chooses the headers of its requests. */
const largestPlan = 4_096;
/** ms in which what a plan began has to stand, once or twice; else it is asked for. */
const patience = millis(2_000);
/** Sockets of one kind that the loop has of a pod: at first, and once it has used some. */
const lentFirst = 64;
const lentInUse = 128;
/** `patience`s without use, after which they are given back. */
const idleTicks = 5;

/** Who else keeps a list of what is open; returns how to leave it. */
export type OnBegun = (connection: BegunRelay) => () => void;

export class PlanMemory implements Memory {
  readonly #loop: EngineLoop;
  readonly #plans = new Map<string, Plan>();
  readonly #stocks = new Map<SocketSource, LentSockets>();
  /** Others are used in their place; what they began may not stand yet. Before the last tick, and since. */
  #older: Plan[] = [];
  #replaced: Plan[] = [];
  #generation: number;
  #ticks: Timer | undefined;

  constructor(loop: EngineLoop) {
    this.#loop = loop;
    this.#generation = loop.raise();
  }

  get generation(): number {
    return this.#generation;
  }

  forget(): void {
    // Also without plans: what was asked before may be about to be kept.
    this.#generation = this.#loop.raise();
    for (const plan of [...this.#plans.values(), ...this.#older, ...this.#replaced]) plan.close();
    this.#plans.clear();
    this.#older = [];
    this.#replaced = [];
  }

  /**
   * Sends a plan, where it is not known yet or another `version` of it is. `owner` is the listener or tunnel that it belongs to; `pieces` are
   * as native/engine/loop/plan.h says, behind the term.
   */
  keep(
    type: number,
    { slot, generation }: Handle,
    key: string,
    version: string,
    most: number,
    { asOf, expiresIn, clock }: Term,
    pieces: readonly string[],
    heirs: Heirs,
    onBegun: OnBegun,
  ): void {
    if (asOf !== this.#generation || expiresIn <= 0) return;
    const name = `${type}|${slot}|${generation}|${key}`;
    const known = this.#plans.get(name);
    if (known?.version === version) return;
    const text = writePieces([`${asOf}`, `${Math.floor(expiresIn)}`, ...pieces]);
    if (text.length > largestPlan) return;
    if (known) this.#replaced.push(known);
    this.#plans.delete(name);
    if (this.#plans.size >= mostPlans) {
      const [oldest, plan] = this.#plans.entries().next().value!;
      plan.close();
      this.#plans.delete(oldest);
    }
    const plan = new Plan(this.#loop, version, heirs, onBegun, () => asOf !== this.#generation);
    this.#plans.set(name, plan);
    this.#loop.send(type, plan.handle, slot, generation, most, text);
    this.#ticks ??= this.#tick(clock, 0);
  }

  /** The listener or tunnel is gone. */
  drop(type: number, { slot, generation }: Handle): void {
    if (this.#plans.size === 0) return;
    const prefix = `${type}|${slot}|${generation}|`;
    for (const [name, plan] of this.#plans) {
      if (!name.startsWith(prefix)) continue;
      plan.close();
      this.#plans.delete(name);
    }
  }

  /** Filled as far as it can be now. */
  stockOf(source: SocketSource): LentSockets {
    let stock = this.#stocks.get(source);
    if (!stock) {
      stock = new LentSockets(this.#loop, source);
      this.#stocks.set(source, stock);
    }
    stock.fill();
    return stock;
  }

  giveBack(source: SocketSource): void {
    this.#stocks.get(source)?.close();
    this.#stocks.delete(source);
  }

  /** Goes on for a while behind the last plan, for what that has begun. */
  #tick(clock: Clock, idle: number): Timer {
    return clock.after(patience, () => {
      this.#loop.send(command.revisit, everything);
      for (const plan of this.#older) plan.close();
      this.#older = this.#replaced;
      this.#replaced = [];
      for (const [source, stock] of this.#stocks) {
        if (stock.isIdle()) this.giveBack(source);
        else stock.fill();
      }
      const quiet = this.#plans.size === 0 && this.#stocks.size === 0 ? idle + 1 : 0;
      this.#ticks = quiet > 2 ? undefined : this.#tick(clock, quiet);
    });
  }
}

/** How long an answer counts. */
export interface Term {
  /** The memory's generation when it was decided. */
  readonly asOf: number;
  /** ms until the first certificate expires that it relies on. */
  readonly expiresIn: number;
  readonly clock: Clock;
}

const everything: Handle = { slot: 0, generation: 0 };

class Plan implements Receiver {
  readonly handle: Handle;
  readonly version: string;
  readonly #loop: EngineLoop;
  readonly #heirs: Heirs;
  readonly #onBegun: OnBegun;
  readonly #isStale: () => boolean;
  #closed = false;

  constructor(loop: EngineLoop, version: string, heirs: Heirs, onBegun: OnBegun, isStale: () => boolean) {
    this.#loop = loop;
    this.version = version;
    this.#heirs = heirs;
    this.#onBegun = onBegun;
    this.#isStale = isStale;
    this.handle = loop.name(this);
  }

  receive(e: EngineEvent): void {
    switch (e.type) {
      case event.begun: {
        const begun = new BegunRelay(this.#loop, { slot: e.a, generation: e.b }, e.c, whoOf(e), this.#isStale());
        begun.released = this.#onBegun(begun);
        this.#heirs.begun(begun);
        break;
      }
      case event.missed: {
        const who = whoOf(e);
        if (e.c === 0) {
          this.#heirs.missed(who, new MeshError('CANCELLED', 'the client or its connection went away'));
        } else {
          this.#loop.send(command.reset, { slot: e.a, generation: e.b }, http2Code.connectError);
          this.#heirs.missed(who, new MeshError('TUNNEL_REFUSED', `the tunnel was refused with status ${e.c}`));
        }
        break;
      }
      case event.closed:
        this.#loop.forget(this.handle);
        break;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#loop.send(command.close, this.handle);
  }
}

/** Of an outbound connection the port and the traceparent; of an inbound one the traceparent, if there was one. */
function whoOf({ bytes }: EngineEvent): Pick<Begun, 'port' | 'traceparent'> {
  const pieces = readPieces(bytes).map((piece) => piece.toString('latin1'));
  return { port: pieces.length > 1 ? Number(pieces[0]) : 0, traceparent: pieces.at(-1) };
}

/** Sockets that the loop has for connections of plans. */
export class LentSockets implements Receiver {
  readonly handle: Handle;
  readonly #loop: EngineLoop;
  readonly #source: SocketSource;
  #count = 0;
  #target = lentFirst;
  #idle = 0;
  #closed = false;

  constructor(loop: EngineLoop, source: SocketSource) {
    this.#loop = loop;
    this.#source = source;
    this.handle = loop.name(this);
    loop.send(command.stock, this.handle);
  }

  receive(e: EngineEvent): void {
    if (e.type !== event.taken || this.#closed) return;
    this.#count -= e.a;
    this.#idle = 0;
    this.#target = lentInUse;
    this.fill();
  }

  fill(): void {
    if (this.#closed) return;
    while (this.#count < this.#target) {
      const fd = this.#source.spare();
      if (fd === undefined) return;
      this.#count++;
      this.#loop.send(command.supply, this.handle, fd);
    }
  }

  /** Asked once in `patience`. */
  isIdle(): boolean {
    return ++this.#idle > idleTicks;
  }

  /** What the loop has is closed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#loop.send(command.close, this.handle);
    this.#loop.forget(this.handle);
  }
}
