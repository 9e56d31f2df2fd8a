/** Where the body of an HTTP/1 message ends (RFC 9112 6 and 7). */
import type { HeaderList } from '../message.ts';
import { checkCharacters, type HeadLimits, Malformed, parseFields } from './head.ts';

export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** To the end of the connection: responses without a length, and both directions of a tunnel. */
  | { readonly kind: 'rest' };

export interface BodyEvents {
  data(chunk: Buffer): void;
  end(trailers: HeaderList | undefined): void;
}

/** A body under way: `push` returns what it did not take, once the body has ended. */
export interface BodyParser {
  /** undefined: all was taken. Throws Malformed. */
  push(chunk: Buffer, events: BodyEvents): Buffer | undefined;
  readonly done: boolean;
}

export class LengthBody implements BodyParser {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  get done(): boolean {
    return this.#left === 0;
  }

  push(chunk: Buffer, events: BodyEvents): Buffer | undefined {
    if (chunk.length < this.#left) {
      this.#left -= chunk.length;
      events.data(chunk);
      return undefined;
    }
    const rest = chunk.length > this.#left ? chunk.subarray(this.#left) : undefined;
    const part = rest ? chunk.subarray(0, this.#left) : chunk;
    this.#left = 0;
    events.data(part);
    events.end(undefined);
    return rest;
  }
}

export class RestBody implements BodyParser {
  readonly done = false;

  push(chunk: Buffer, events: BodyEvents): undefined {
    events.data(chunk);
  }
}

const CR = 13;
const LF = 10;
/** A line that gives a chunk's size, extensions included. */
const sizeLineLimit = 4_096;
const sizeLine = /^([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$/;

type State = 'size' | 'data' | 'dataEnd' | 'trailers' | 'done';

export class ChunkedBody implements BodyParser {
  readonly #limits: HeadLimits;
  #state: State = 'size';
  #left = 0;
  /** Of a line, or of the trailers. */
  #partial: Buffer | undefined;

  constructor(limits: HeadLimits) {
    this.#limits = limits;
  }

  get done(): boolean {
    return this.#state === 'done';
  }

  push(chunk: Buffer, events: BodyEvents): Buffer | undefined {
    let rest = this.#partial ? Buffer.concat([this.#partial, chunk]) : chunk;
    this.#partial = undefined;
    for (;;) {
      switch (this.#state) {
        case 'size': {
          const line = this.#line(rest);
          if (line === undefined) return undefined;
          const size = sizeLine.exec(line.text);
          if (!size) throw new Malformed(400, 'a chunk without a proper size');
          this.#left = Number.parseInt(size[1]!, 16);
          this.#state = this.#left === 0 ? 'trailers' : 'data';
          rest = line.rest;
          break;
        }
        case 'data': {
          if (rest.length === 0) return undefined;
          const part = rest.length > this.#left ? rest.subarray(0, this.#left) : rest;
          this.#left -= part.length;
          rest = rest.subarray(part.length);
          if (this.#left === 0) this.#state = 'dataEnd';
          events.data(part);
          break;
        }
        case 'dataEnd':
          if (rest.length > 0 && rest[0] !== CR) throw new Malformed(400, 'a chunk longer than its size');
          if (rest.length < 2) return this.#keep(rest);
          if (rest[1] !== LF) throw new Malformed(400, 'a chunk longer than its size');
          rest = rest.subarray(2);
          this.#state = 'size';
          break;
        case 'trailers': {
          const end = trailerEnd(rest);
          if (end < 0) {
            if (rest.length > this.#limits.bytes) throw new Malformed(431, 'trailers are too large');
            return this.#keep(rest);
          }
          const text = rest.toString('latin1', 0, end - 2);
          checkCharacters(text);
          const { headers } = parseFields(text, 0, this.#limits);
          this.#state = 'done';
          events.end(headers.length === 0 ? undefined : headers);
          return rest.length > end ? rest.subarray(end) : undefined;
        }
        case 'done':
          return rest.length > 0 ? rest : undefined;
      }
    }
  }

  #keep(rest: Buffer): undefined {
    this.#partial = rest.length > 0 ? rest : undefined;
  }

  #line(rest: Buffer): { readonly text: string; readonly rest: Buffer } | undefined {
    const end = rest.indexOf(LF);
    if (end < 0) {
      if (rest.length > sizeLineLimit) throw new Malformed(400, "the line of a chunk's size is too long");
      return this.#keep(rest);
    }
    if (end === 0 || rest[end - 1] !== CR || end > sizeLineLimit)
      throw new Malformed(400, "the line of a chunk's size");
    return { text: rest.toString('latin1', 0, end - 1), rest: rest.subarray(end + 1) };
  }
}

/** Index behind the empty line that ends the trailers; -1: not there yet. */
function trailerEnd(rest: Buffer): number {
  if (rest.length >= 2 && rest[0] === CR && rest[1] === LF) return 2;
  const at = rest.indexOf('\r\n\r\n', 0, 'latin1');
  return at < 0 ? -1 : at + 4;
}
