/** Puts frames together, so that those of one turn leave in few pieces. */
import type { ByteStream } from '../../net/byte-stream.ts';
import { flag, frameType, headBytes, maxFrame } from './wire.ts';

const slabBytes = 8_192;
/** Payloads up to this size are copied beside their heads. */
const copyUpTo = 2_048;
/** What may be put together before it leaves, whatever the turn. */
const gatherUpTo = 131_072;

export class Output {
  readonly #stream: ByteStream;
  #slab: Buffer = Buffer.allocUnsafeSlow(slabBytes);
  /** Of the slab: from here on it is not among the pieces yet, and up to `#at` it is written. */
  #from = 0;
  #at = 0;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #scheduled = false;
  /** Where the flags of the last frame are, if that was DATA of `#lastStream`. */
  #lastFlags = 0;
  #lastStream = 0;
  /** The connection holds back what it was given. */
  blocked = false;
  readonly #onTurn = () => {
    this.#scheduled = false;
    this.flush();
  };

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  flush(): void {
    this.#cutPiece();
    this.#lastStream = 0;
    const pieces = this.#pieces;
    if (pieces.length === 0) return;
    this.#pieces = [];
    this.#bytes = 0;
    let goesOn = true;
    for (const piece of pieces) goesOn = this.#stream.write(piece);
    if (!goesOn) this.blocked = true;
  }

  raw(bytes: Buffer): void {
    this.#lastStream = 0;
    this.#add(bytes);
  }

  /** A frame whose payload is up to two numbers of 32 bits. */
  small(type: number, flags: number, stream: number, first: number, second?: number): void {
    const length = second === undefined ? 4 : 8;
    this.#head(length, type, flags, stream, length);
    this.#number(first);
    if (second !== undefined) this.#number(second);
    this.#sized();
  }

  frame(type: number, flags: number, stream: number, payload: Buffer): void {
    this.#head(payload.length, type, flags, stream, 0);
    this.#add(payload);
  }

  /** HEADERS, and CONTINUATION where the block needs it. The block is copied. */
  headers(stream: number, block: Buffer, length: number, end: boolean): void {
    const ends = end ? flag.endStream : 0;
    if (length <= copyUpTo) {
      this.#head(length, frameType.headers, flag.endHeaders | ends, stream, length);
      block.copy(this.#slab, this.#at, 0, length);
      this.#at += length;
      this.#sized();
      return;
    }
    const own = Buffer.from(block.subarray(0, length));
    for (let at = 0; at < length; at += maxFrame) {
      const to = Math.min(at + maxFrame, length);
      const flags = (at === 0 ? ends : 0) | (to === length ? flag.endHeaders : 0);
      this.frame(at === 0 ? frameType.headers : frameType.continuation, flags, stream, own.subarray(at, to));
    }
  }

  data(stream: number, chunk: Buffer, end: boolean): void {
    const copied = chunk.length <= copyUpTo ? chunk.length : 0;
    this.#head(chunk.length, frameType.data, end ? flag.endStream : 0, stream, copied);
    this.#lastFlags = this.#at - headBytes + 4;
    // Before: what follows may send it.
    this.#lastStream = stream;
    this.#add(chunk);
  }

  /** END_STREAM on the DATA of this stream that is the last frame, if it has not left yet. */
  endLast(stream: number): boolean {
    if (this.#lastStream !== stream) return false;
    this.#slab[this.#lastFlags] = this.#slab[this.#lastFlags]! | flag.endStream;
    this.#lastStream = 0;
    return true;
  }

  /** `room`: bytes that will be put behind it. */
  #head(length: number, type: number, flags: number, stream: number, room: number): void {
    if (this.#at + headBytes + room > slabBytes) {
      this.#cutPiece();
      this.#slab = Buffer.allocUnsafeSlow(slabBytes);
      this.#from = 0;
      this.#at = 0;
    }
    const slab = this.#slab;
    const at = this.#at;
    slab[at] = length >> 16;
    slab[at + 1] = length >> 8;
    slab[at + 2] = length;
    slab[at + 3] = type;
    slab[at + 4] = flags;
    slab[at + 5] = stream >>> 24;
    slab[at + 6] = stream >> 16;
    slab[at + 7] = stream >> 8;
    slab[at + 8] = stream;
    this.#at += headBytes;
    this.#lastStream = 0;
  }

  #number(value: number): void {
    const slab = this.#slab;
    slab[this.#at++] = value >>> 24;
    slab[this.#at++] = value >> 16;
    slab[this.#at++] = value >> 8;
    slab[this.#at++] = value;
  }

  #add(payload: Buffer): void {
    if (payload.length <= copyUpTo && this.#at + payload.length <= slabBytes) {
      payload.copy(this.#slab, this.#at);
      this.#at += payload.length;
    } else {
      this.#cutPiece();
      this.#pieces.push(payload);
      this.#bytes += payload.length;
    }
    this.#sized();
  }

  #cutPiece(): void {
    if (this.#at === this.#from) return;
    this.#pieces.push(this.#slab.subarray(this.#from, this.#at));
    this.#bytes += this.#at - this.#from;
    this.#from = this.#at;
  }

  #sized(): void {
    if (this.#bytes + this.#at - this.#from > gatherUpTo) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      process.nextTick(this.#onTurn);
    }
  }
}
