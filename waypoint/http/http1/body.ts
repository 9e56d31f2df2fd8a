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
  /** That were begun; none where a body is not chunked. */
  readonly chunks: number;
}

export class LengthBody implements BodyParser {
  readonly chunks = 0;
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
  readonly chunks = 0;

  push(chunk: Buffer, events: BodyEvents): undefined {
    events.data(chunk);
  }
}

const CR = 13;
const LF = 10;
const TAB = 9;
const SEMICOLON = 59;
const DELETE = 127;
/** A line that gives a chunk's size, extensions included. */
const sizeLineLimit = 4_096;
const sizeDigits = 8;

type State = 'size' | 'data' | 'dataEnd' | 'trailers' | 'done';

/** Reads byte by byte, and tells the data of all chunks that came together at once: a chunk of one byte costs what six bytes cost. */
export class ChunkedBody implements BodyParser {
  readonly #limits: HeadLimits;
  #state: State = 'size';
  chunks = 0;
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
    const all = this.#partial ? Buffer.concat([this.#partial, chunk]) : chunk;
    this.#partial = undefined;
    const parts: number[] = [];
    let at = 0;
    while (this.#state !== 'done') {
      const next = this.#step(all, at, parts);
      if (next < 0) break;
      at = next;
    }
    const data = joined(all, parts);
    if (data) events.data(data);
    if (this.#state === 'done') {
      const trailers = this.#trailers;
      events.end(trailers.length === 0 ? undefined : trailers);
      return at < all.length ? all.subarray(at) : undefined;
    }
    this.#partial = this.#state !== 'data' && at < all.length ? all.subarray(at) : undefined;
    return undefined;
  }

  /** Index behind what was read; -1: more must come. Where it is data, begin and end are added to `parts`. */
  #step(all: Buffer, at: number, parts: number[]): number {
    switch (this.#state) {
      case 'size':
        return this.#size(all, at);
      case 'data': {
        if (at === all.length) return -1;
        const end = Math.min(all.length, at + this.#left);
        this.#left -= end - at;
        if (this.#left === 0) this.#state = 'dataEnd';
        parts.push(at, end);
        return end;
      }
      case 'dataEnd':
        if (at < all.length && all[at] !== CR) throw new Malformed(400, 'a chunk longer than its size');
        if (at + 1 >= all.length) return -1;
        if (all[at + 1] !== LF) throw new Malformed(400, 'a chunk longer than its size');
        this.#state = 'size';
        return at + 2;
      case 'trailers':
        return this.#endOfTrailers(all, at);
      case 'done':
        return -1;
    }
  }

  #size(all: Buffer, at: number): number {
    let size = 0;
    let end = at;
    for (; end < at + sizeDigits; end++) {
      const digit = hexDigit(all[end]);
      if (digit < 0) break;
      size = size * 16 + digit;
    }
    if (end > at && all[end] === CR && all[end + 1] === LF) return this.#begin(size, end + 2);
    // By hand: lines are short, and a call costs more than most of them.
    let lf = end;
    while (lf < all.length && all[lf] !== LF) lf++;
    if (lf === all.length) {
      if (all.length - at > sizeLineLimit) throw new Malformed(400, "the line of a chunk's size is too long");
      return -1;
    }
    if (lf === at || all[lf - 1] !== CR || lf - at > sizeLineLimit)
      throw new Malformed(400, "the line of a chunk's size");
    if (end === at || !isExtension(all, end, lf - 1)) throw new Malformed(400, 'a chunk without a proper size');
    return this.#begin(size, lf + 1);
  }

  #begin(size: number, next: number): number {
    this.#left = size;
    this.chunks++;
    this.#state = size === 0 ? 'trailers' : 'data';
    return next;
  }

  #trailers: HeaderList = [];

  #endOfTrailers(all: Buffer, at: number): number {
    const end = trailerEnd(all, at);
    if (end < 0) {
      if (all.length - at > this.#limits.bytes) throw new Malformed(431, 'trailers are too large');
      return -1;
    }
    const text = all.toString('latin1', at, end - 2);
    checkCharacters(text);
    this.#trailers = parseFields(text, 0, this.#limits).headers;
    this.#state = 'done';
    return end;
  }
}

/** Nothing, or blanks, a semicolon, and what a line may have. */
function isExtension(all: Buffer, from: number, to: number): boolean {
  let at = from;
  while (at < to && isBlank(all[at]!)) at++;
  if (at === to) return at === from;
  if (all[at] !== SEMICOLON) return false;
  for (; at < to; at++) {
    const code = all[at]!;
    if ((code < 32 && code !== TAB) || code === DELETE) return false;
  }
  return true;
}

function isBlank(code: number): boolean {
  return code === 32 || code === TAB;
}

/** -1: it is none. */
function hexDigit(code: number | undefined): number {
  if (code === undefined) return -1;
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/** What lies between begin and end, begin and end ...; undefined: nothing. */
function joined(all: Buffer, parts: readonly number[]): Buffer | undefined {
  if (parts.length === 0) return undefined;
  if (parts.length === 2) return all.subarray(parts[0], parts[1]);
  const out = Buffer.allocUnsafe(all.length);
  let length = 0;
  for (let i = 0; i < parts.length; i += 2) {
    const [from, to] = [parts[i]!, parts[i + 1]!];
    if (to - from > 64) length += all.copy(out, length, from, to);
    else for (let at = from; at < to; at++) out[length++] = all[at]!;
  }
  return out.subarray(0, length);
}

/** Index behind the empty line that ends the trailers; -1: not there yet. */
function trailerEnd(all: Buffer, at: number): number {
  if (at + 1 < all.length && all[at] === CR && all[at + 1] === LF) return at + 2;
  const end = all.indexOf('\r\n\r\n', at, 'latin1');
  return end < 0 ? -1 : end + 4;
}
