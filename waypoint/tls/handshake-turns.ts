/**
 * Who may begin a TLS handshake. Each is most of a millisecond of the loop, and the kernel tells of all connections that have something at
 * once: a hundred clients that greet together would stop everybody else for as long as all of theirs take.
 */
export class HandshakeTurns {
  /** In one turn of the loop. More would be no faster: what is around a handshake costs little beside it. */
  static readonly atOnce = 1;
  #begun = 0;
  /** In the order in which they came. */
  readonly #waiting: (() => void)[] = [];

  /** Resolves when one more may begin. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#begun < HandshakeTurns.atOnce) this.#begin(resolve);
      else this.#waiting.push(resolve);
    });
  }

  #begin(resolve: () => void): void {
    if (this.#begun++ === 0) setImmediate(() => this.#next());
    resolve();
  }

  #next(): void {
    this.#begun = 0;
    for (const resolve of this.#waiting.splice(0, HandshakeTurns.atOnce)) this.#begin(resolve);
  }
}
