/** Collects bytes until a head is complete. */
import { Gathered } from '../../net/gathered.ts';
import { type HeadLimits, Malformed } from './head.ts';

const LF = 10;
const CR = 13;

export class HeadCollector {
  readonly #limits: HeadLimits;
  /** Of the status when a head is too large. */
  readonly #tooLarge: number;
  readonly #partial = new Gathered();
  /** Bytes of it that were looked through, so that a head which comes byte by byte costs no more than one at once. */
  #seen = 0;

  constructor(limits: HeadLimits, tooLarge: number) {
    this.#limits = limits;
    this.#tooLarge = tooLarge;
  }

  /** Something of a head is there. */
  get begun(): boolean {
    return this.#partial.length > 0;
  }

  /** undefined: not complete yet, and what was given is kept. Throws Malformed. */
  push(chunk: Buffer): { readonly text: string; readonly rest: Buffer | undefined } | undefined {
    const partial = this.#partial;
    let kept = partial.length > 0;
    let all = kept ? partial.add(chunk) : chunk;
    // One empty line before a message is forgiven (RFC 9112 2.2).
    if (all.length >= 2 && all[0] === CR && all[1] === LF) {
      all = all.subarray(2);
      partial.clear();
      kept = false;
      this.#seen = 0;
    }
    const end = all.indexOf('\r\n\r\n', Math.max(0, this.#seen - 3), 'latin1');
    if (end >= 0 ? end + 4 > this.#limits.bytes : all.length > this.#limits.bytes) {
      throw new Malformed(this.#tooLarge, `a head of more than ${this.#limits.bytes} bytes`);
    }
    if (end < 0) {
      refuseBareLineFeeds(all, this.#seen);
      this.#seen = all.length;
      if (!kept) partial.add(all);
      return undefined;
    }
    partial.clear();
    this.#seen = 0;
    const next = end + 4;
    return { text: all.toString('latin1', 0, end + 2), rest: all.length > next ? all.subarray(next) : undefined };
  }
}

/** A head whose lines end with LF alone would never be complete. */
function refuseBareLineFeeds(bytes: Buffer, from: number): void {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (at === 0 || bytes[at - 1] !== CR) throw new Malformed(400, 'a line that ends with LF alone');
  }
}
