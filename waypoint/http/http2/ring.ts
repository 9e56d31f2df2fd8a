/** The streams that ended last, so that what still comes for them is judged by how they ended (RFC 9113 5.1). */

const remembered = 256;

export type Ending = 'reset-by-us' | 'over';

export class RecentStreams {
  /** Negative: we reset it. */
  readonly #ids = new Int32Array(remembered);
  #next = 0;

  add(id: number, ending: Ending): void {
    this.#ids[this.#next] = ending === 'over' ? id : -id;
    this.#next = (this.#next + 1) % remembered;
  }

  /** undefined: it never was, or it is too long ago. */
  get(id: number): Ending | undefined {
    if (this.#ids.includes(-id)) return 'reset-by-us';
    return this.#ids.includes(id) ? 'over' : undefined;
  }
}
