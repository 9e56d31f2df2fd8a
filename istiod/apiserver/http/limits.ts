/** What one client may take from the others. */

export interface Limits {
  /** Bytes of a request's body. */
  readonly body: number;
  /** Ms for a body to arrive. */
  readonly bodyTime: number;
  /** Requests under way that change something, and that read. Watches, logs and the like do not count. */
  readonly writes: number;
  readonly reads: number;
  /** Open watches. */
  readonly watches: number;
  /** Open connections. */
  readonly connections: number;
  /** Ms that a client may leave a watch's events untaken before it is cut. */
  readonly stalled: number;
}

export const defaultLimits: Limits = {
  body: 3 * 1024 * 1024,
  bodyTime: 30_000,
  writes: 200,
  reads: 400,
  watches: 10_000,
  connections: 8_000,
  stalled: 60_000,
};

/** Counts what is under way. */
export class Gate {
  readonly #limit: number;
  #open = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get open(): number {
    return this.#open;
  }

  /** undefined: too many. Otherwise what to call at the end. */
  enter(): (() => void) | undefined {
    if (this.#open >= this.#limit) return undefined;
    this.#open++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#open--;
    };
  }
}
