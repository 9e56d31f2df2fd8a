/** The text form of gRPC-Web: base64 of what the binary form has, padded at the end of each frame. */

const group = 4;
const groups = /^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)*$/;

/** A request's text as it comes. */
export class TextDecoder {
  #carry = '';

  /** undefined: it is no base64. Padding may be within: some clients encode each message by itself. */
  push(chunk: Buffer): Buffer | undefined {
    const text = this.#carry + chunk.toString('latin1');
    const whole = text.length - (text.length % group);
    this.#carry = text.slice(whole);
    const complete = text.slice(0, whole);
    if (!groups.test(complete)) return undefined;
    // Node stops at the first padding.
    const parts = complete.includes('=') ? complete.split(/(?<==)(?!=)/) : [complete];
    return Buffer.concat(parts.map((part) => Buffer.from(part, 'base64')));
  }

  /** Nothing is left of a group. */
  get isComplete(): boolean {
    return this.#carry === '';
  }
}

const prefixLength = 5;

/** A response's frames as they come: each is encoded and padded by itself. Holds two bytes at most. */
export class TextEncoder {
  readonly #prefix = Buffer.alloc(prefixLength);
  #prefixed = 0;
  #left = 0;
  #carry: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Buffer {
    let out = '';
    for (let at = 0; at < chunk.length; ) {
      if (this.#prefixed < prefixLength) {
        const copied = chunk.copy(this.#prefix, this.#prefixed, at, at + prefixLength - this.#prefixed);
        this.#prefixed += copied;
        at += copied;
        if (this.#prefixed < prefixLength) break;
        this.#left = this.#prefix.readUInt32BE(1);
        out += this.#encode(Buffer.from(this.#prefix));
      } else {
        const bytes = chunk.subarray(at, at + this.#left);
        at += bytes.length;
        this.#left -= bytes.length;
        out += this.#encode(bytes);
      }
    }
    return Buffer.from(out, 'latin1');
  }

  #encode(bytes: Buffer): string {
    const all = this.#carry.length === 0 ? bytes : Buffer.concat([this.#carry, bytes]);
    const frameEnds = this.#left === 0;
    if (frameEnds) this.#prefixed = 0;
    const whole = frameEnds ? all.length : all.length - (all.length % 3);
    this.#carry = Buffer.from(all.subarray(whole));
    return all.toString('base64', 0, whole);
  }
}
