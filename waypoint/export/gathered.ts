/**
 * Bytes that wait to leave together, one behind the other: as buffers or texts of their own thousands would live through collections of
 * garbage, each of which copies them.
 */
export class Gathered {
  #memory = Buffer.allocUnsafeSlow(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Copies them. */
  add(bytes: Buffer): void {
    this.#reserve(bytes.length);
    this.#memory.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** As UTF-8. */
  addText(text: string): void {
    // No character takes more than 3 bytes.
    this.#reserve(text.length * 3);
    this.#length += this.#memory.write(text, this.#length, 'utf8');
  }

  /** All of them; there are none then. */
  take(): Buffer {
    const taken = this.#memory.subarray(0, this.#length);
    // What comes next is mostly as much.
    this.#memory = Buffer.allocUnsafeSlow(taken.length);
    this.#length = 0;
    return taken;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#memory.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#memory.length * 2));
    this.#memory.copy(grown, 0, 0, this.#length);
    this.#memory = grown;
  }
}
