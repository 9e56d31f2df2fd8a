/**
 * Frames of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00, section 2) as far as Kubernetes' streaming uses them: header blocks stay
 * compressed here (headers.ts). Pure.
 */

export type Frame =
  | { readonly kind: 'data'; readonly stream: number; readonly final: boolean; readonly bytes: Buffer }
  | { readonly kind: 'syn-stream'; readonly stream: number; readonly final: boolean; readonly headers: Buffer }
  /** Its headers say nothing that Kubernetes' clients need. */
  | { readonly kind: 'syn-reply'; readonly stream: number }
  | { readonly kind: 'headers'; readonly stream: number; readonly final: boolean; readonly headers: Buffer }
  | { readonly kind: 'rst-stream'; readonly stream: number; readonly status: number }
  | { readonly kind: 'ping'; readonly id: number }
  | { readonly kind: 'goaway' }
  /** SETTINGS and WINDOW_UPDATE: Kubernetes' clients neither keep windows nor tell any. */
  | { readonly kind: 'ignored' };

export class SpdyError extends Error {}

const headLength = 8;
/** Bytes of a control frame; those of Kubernetes' clients have less than 1 KiB. */
const longestControl = 16 * 1024;
const version = 3;
const types = { synStream: 1, synReply: 2, rstStream: 3, settings: 4, ping: 6, goaway: 7, headers: 8, windowUpdate: 9 };
const finFlag = 0x01;

/** Statuses of RST_STREAM. */
export const resetStatus = {
  protocolError: 1,
  invalidStream: 2,
  refusedStream: 3,
  cancel: 5,
  internalError: 6,
} as const;

interface DataFrame {
  readonly stream: number;
  readonly final: boolean;
  left: number;
}

/** Bytes to frames. A data frame comes in as many pieces as its bytes do, the last one alone `final`. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);
  #data: DataFrame | undefined;

  *read(bytes: Buffer): Generator<Frame> {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const frame = this.#data === undefined ? this.#next() : this.#piece(this.#data);
      if (frame === undefined) return;
      if (frame !== 'again') yield frame;
    }
  }

  #piece(data: DataFrame): Frame | undefined {
    if (this.#rest.length === 0 && data.left > 0) return undefined;
    const bytes = this.#take(Math.min(data.left, this.#rest.length));
    data.left -= bytes.length;
    const last = data.left === 0;
    if (last) this.#data = undefined;
    return { kind: 'data', stream: data.stream, final: last && data.final, bytes };
  }

  #next(): Frame | 'again' | undefined {
    if (this.#rest.length < headLength) return undefined;
    const first = this.#rest.readUInt32BE(0);
    const flags = this.#rest[4]!;
    const length = this.#rest.readUIntBE(5, 3);
    if (first >>> 31 === 0) {
      if (first === 0) throw new SpdyError('there is no stream 0');
      this.#take(headLength);
      this.#data = { stream: first, final: (flags & finFlag) !== 0, left: length };
      return 'again';
    }
    if (((first >>> 16) & 0x7fff) !== version) throw new SpdyError('a frame of another version than 3');
    if (length > longestControl) throw new SpdyError(`a control frame of ${length} bytes is too long`);
    if (this.#rest.length < headLength + length) return undefined;
    const body = this.#take(headLength + length).subarray(headLength);
    return control(first & 0xffff, (flags & finFlag) !== 0, body);
  }

  #take(length: number): Buffer {
    const bytes = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return bytes;
  }
}

function control(type: number, final: boolean, body: Buffer): Frame {
  const word = (at: number): number => {
    if (body.length < at + 4)
      throw new SpdyError(`a control frame of type ${type} with ${body.length} bytes is cut short`);
    return body.readUInt32BE(at);
  };
  const stream = () => word(0) & 0x7fffffff;
  switch (type) {
    case types.synStream:
      word(6);
      // The stream it belongs to, its priority and a slot are of no use here.
      return { kind: 'syn-stream', stream: stream(), final, headers: body.subarray(10) };
    case types.synReply:
      return { kind: 'syn-reply', stream: stream() };
    case types.headers:
      return { kind: 'headers', stream: stream(), final, headers: body.subarray(4) };
    case types.rstStream:
      return { kind: 'rst-stream', stream: stream(), status: word(4) };
    case types.ping:
      return { kind: 'ping', id: word(0) };
    case types.goaway:
      return { kind: 'goaway' };
    case types.settings:
    case types.windowUpdate:
      return { kind: 'ignored' };
    default:
      throw new SpdyError(`there is no control frame of type ${type}`);
  }
}

/** `bytes` has less than 16 MiB. */
export function encodeData(stream: number, bytes: Uint8Array, final: boolean): Buffer {
  const frame = Buffer.allocUnsafe(headLength + bytes.length);
  frame.writeUInt32BE(stream, 0);
  frame[4] = final ? finFlag : 0;
  frame.writeUIntBE(bytes.length, 5, 3);
  frame.set(bytes, headLength);
  return frame;
}

/** Of the highest priority, and of no other stream. */
export function encodeSynStream(stream: number, headers: Uint8Array): Buffer {
  return encodeControl(types.synStream, Buffer.concat([words(stream, 0), Buffer.of(0, 0), headers]));
}

export function encodeSynReply(stream: number, headers: Uint8Array): Buffer {
  return encodeControl(types.synReply, Buffer.concat([words(stream), headers]));
}

export function encodeReset(stream: number, status: number): Buffer {
  return encodeControl(types.rstStream, words(stream, status));
}

export function encodePing(id: number): Buffer {
  return encodeControl(types.ping, words(id));
}

/** With status OK. */
export function encodeGoaway(lastStream: number): Buffer {
  return encodeControl(types.goaway, words(lastStream, 0));
}

function encodeControl(type: number, body: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headLength + body.length);
  frame.writeUInt32BE(((0x8000 | version) << 16) >>> 0, 0);
  frame.writeUInt16BE(type, 2);
  frame.writeUInt32BE(body.length, 4);
  frame.set(body, headLength);
  return frame;
}

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4);
  return bytes;
}
