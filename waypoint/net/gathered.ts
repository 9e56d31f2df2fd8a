/** Bytes that come piece by piece and are needed in one: however small the pieces, each byte is copied twice on average, not once for each piece. */
export class Gathered {
  #bytes: Buffer = empty;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** All there is with this piece; it stays what it is, also once this is cleared. */
  add(piece: Buffer): Buffer {
    const length = this.#length + piece.length;
    if (length > this.#bytes.length) {
      // By itself: a few bytes must hold no piece of Node's pool.
      const grown = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#bytes.length));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    piece.copy(this.#bytes, this.#length);
    this.#length = length;
    return this.#bytes.subarray(0, length);
  }

  clear(): void {
    this.#bytes = empty;
    this.#length = 0;
  }
}

const empty = Buffer.alloc(0);
