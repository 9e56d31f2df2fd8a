/** Takes the bytes of a connection apart into frames (RFC 9113 4.1). DATA is handed on as it comes, what else there is when it is whole. */
import { Gathered } from '../../net/gathered.ts';
import { ConnectionError, errorCode, flag, frameType, headBytes, maxFrame } from './wire.ts';

export interface FrameSink {
  /** Nothing more is to be read. */
  readonly over: boolean;
  /** No more now: what is left waits for the next call of `push`. */
  readonly sated: boolean;
  /** A whole frame, but DATA: its payload is `bytes` from `start` to `end`. */
  frame(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void;
  /** The beginning of DATA; `empty`: no payload besides padding. */
  dataBegins(stream: number, flags: number, empty: boolean): void;
  /** A piece of it. `counted`: with padding, as flow control counts it. */
  data(stream: number, chunk: Buffer | undefined, counted: number): void;
  dataEnds(stream: number, flags: number): void;
}

export class FrameReader {
  readonly #sink: FrameSink;
  /** A head or a frame of which more is to come. */
  readonly #rest = new Gathered();
  /** Of the DATA that is being read: what is left of it, and of its padding. */
  #payload = 0;
  #padding = 0;
  #stream = 0;
  #flags = 0;
  #inData = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  push(chunk: Buffer): void {
    const rest = this.#rest;
    const kept = rest.length > 0;
    const bytes = kept ? rest.add(chunk) : chunk;
    let at = 0;
    while (!this.#sink.over && !this.#sink.sated) {
      if (this.#inData) at = this.#readData(bytes, at);
      if (this.#inData) break;
      const next = this.#readFrame(bytes, at);
      if (next === undefined) break;
      at = next;
    }
    // What is there of a frame stays where more of it is to come.
    if (kept && at === 0 && !this.#sink.over) return;
    rest.clear();
    if (at < bytes.length && !this.#sink.over) rest.add(bytes.subarray(at));
  }

  /** Where the next one begins; undefined: this one is not all there. */
  #readFrame(bytes: Buffer, at: number): number | undefined {
    if (bytes.length - at < headBytes) return undefined;
    const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    if (length > maxFrame) throw new ConnectionError(errorCode.frameSize, 'a frame larger than allowed');
    const type = bytes[at + 3]!;
    const flags = bytes[at + 4]!;
    const stream = ((bytes[at + 5]! & 0x7f) << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]!;
    const start = at + headBytes;
    if (type === frameType.data) return this.#beginData(bytes, start, length, stream, flags);
    if (bytes.length - start < length) return undefined;
    this.#sink.frame(type, flags, stream, bytes, start, start + length);
    return start + length;
  }

  #beginData(bytes: Buffer, start: number, length: number, stream: number, flags: number): number | undefined {
    let at = start;
    let padding = 0;
    const padded = (flags & flag.padded) !== 0;
    if (padded) {
      if (length === 0) throw new ConnectionError(errorCode.frameSize, 'DATA without the length of its padding');
      if (at >= bytes.length) return undefined;
      padding = bytes[at++]!;
      if (padding >= length) throw new ConnectionError(errorCode.protocol, 'padding longer than its frame');
    }
    this.#payload = length - padding - (padded ? 1 : 0);
    this.#padding = padding;
    this.#stream = stream;
    this.#flags = flags;
    this.#inData = true;
    this.#sink.dataBegins(stream, flags, this.#payload === 0);
    if (padded) this.#sink.data(stream, undefined, 1);
    return at;
  }

  #readData(bytes: Buffer, start: number): number {
    let at = start;
    const payload = Math.min(this.#payload, bytes.length - at);
    if (payload > 0) {
      this.#payload -= payload;
      this.#sink.data(this.#stream, bytes.subarray(at, at + payload), payload);
      at += payload;
    }
    const padding = this.#payload > 0 ? 0 : Math.min(this.#padding, bytes.length - at);
    if (padding > 0) {
      this.#padding -= padding;
      this.#sink.data(this.#stream, undefined, padding);
      at += padding;
    }
    if (this.#payload === 0 && this.#padding === 0) {
      this.#inData = false;
      this.#sink.dataEnds(this.#stream, this.#flags);
    }
    return at;
  }
}
