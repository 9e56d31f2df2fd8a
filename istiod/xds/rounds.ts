/**
 * When clients are pushed to. A change goes out at once; the next round begins after a pause as long as the last round took, so
 * that pushing leaves half of the time to everything else however many clients there are, and changes meanwhile are merged.
 */
import { millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';

export interface Pushable {
  push(): void;
}

/** Ms of work at a time; other work of the process goes in between. */
const slice = 4;
/** Bytes that may be on their way to the kernel at once, over all clients: a reconnect of all does not hold the mesh once each. */
const mostInFlight = 16 * 1024 * 1024;
/** Ms after which a slow reader's bytes do not hold up others any more. */
const slowAfter = 1_000;
/** Smaller messages are not worth a timer. */
const small = 64 * 1024;

export class Rounds<T extends Pushable> {
  readonly #clock: Clock;
  readonly #idle: () => void;
  /** Of this round, and of the next. */
  #now = new Set<T>();
  #next = new Set<T>();
  #scheduled = false;
  #closed = false;
  #notBefore = 0;
  #spent = 0;
  #inFlight = 0;

  /** `idle` is called when nothing is left to push. */
  constructor(clock: Clock, idle: () => void) {
    this.#clock = clock;
    this.#idle = idle;
  }

  add(client: T): void {
    if (this.#now.has(client)) return;
    this.#next.add(client);
    this.#schedule();
  }

  delete(client: T): void {
    this.#now.delete(client);
    this.#next.delete(client);
  }

  close(): void {
    this.#closed = true;
  }

  /** Counts bytes until the returned function is called. */
  writing(bytes: number): () => void {
    if (bytes < small) return () => undefined;
    this.#inFlight += bytes;
    let counted = true;
    const done = () => {
      if (!counted) return;
      counted = false;
      timer.cancel();
      this.#inFlight -= bytes;
      if (this.#now.size + this.#next.size > 0) this.#schedule();
    };
    const timer = this.#clock.after(millis(slowAfter), done);
    return done;
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed || this.#inFlight >= mostInFlight) return;
    this.#scheduled = true;
    const run = () => {
      this.#scheduled = false;
      this.#run();
    };
    const delay = this.#notBefore - this.#clock.now();
    if (delay > 0.5) this.#clock.after(millis(delay), run);
    else setImmediate(run);
  }

  #run(): void {
    if (this.#closed) return;
    if (this.#now.size === 0) [this.#now, this.#next] = [this.#next, this.#now];
    const began = this.#clock.now();
    for (const client of this.#now) {
      if (this.#inFlight >= mostInFlight) break;
      this.#now.delete(client);
      client.push();
      if (this.#clock.now() - began > slice) break;
    }
    const now = this.#clock.now();
    this.#spent += now - began;
    if (this.#now.size === 0) {
      this.#notBefore = now + this.#spent;
      this.#spent = 0;
    }
    if (this.#now.size + this.#next.size > 0) this.#schedule();
    else this.#idle();
  }
}
