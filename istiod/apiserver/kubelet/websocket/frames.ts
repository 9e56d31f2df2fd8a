/** Frames of WebSocket (RFC 6455 section 5) as a server reads and writes them. No extensions. Pure. */
import { createHash } from 'node:crypto';

export type FrameKind = 'continuation' | 'text' | 'binary' | 'close' | 'ping' | 'pong';

export interface Frame {
  readonly kind: FrameKind;
  readonly final: boolean;
  readonly payload: Buffer;
}

const codes: Readonly<Record<FrameKind, number>> = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };
const kinds = new Map(Object.entries(codes).map(([kind, code]) => [code, kind as FrameKind]));

/** Bytes of one frame from a client. */
export const longestPayload = 1024 * 1024;

/** Close codes (section 7.4.1). */
export const closeCodes = { normal: 1000, goingAway: 1001, protocol: 1002, tooBig: 1009, internal: 1011 } as const;

export class WebSocketError extends Error {
  /** For the Close frame. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Bytes to frames. WebSocketError for what a client must not send. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  *read(bytes: Buffer): Generator<Frame> {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const frame = this.#next();
      if (frame === undefined) return;
      yield frame;
    }
  }

  #next(): Frame | undefined {
    const b = this.#rest;
    if (b.length < 2) return undefined;
    const [first, second] = [b[0]!, b[1]!];
    const kind = kinds.get(first & 0x0f);
    const final = (first & 0x80) !== 0;
    if (kind === undefined) throw new WebSocketError(closeCodes.protocol, `frame of unknown kind ${first & 0x0f}`);
    if ((first & 0x70) !== 0) throw new WebSocketError(closeCodes.protocol, 'no extension was agreed on');
    if ((second & 0x80) === 0) throw new WebSocketError(closeCodes.protocol, 'frames of a client are masked');
    const short = second & 0x7f;
    if (codes[kind] >= codes.close && (short > 125 || !final)) {
      throw new WebSocketError(closeCodes.protocol, 'a control frame is short and whole');
    }
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const head = 2 + lengthBytes + 4;
    if (b.length < head) return undefined;
    const length = short === 126 ? b.readUInt16BE(2) : short === 127 ? Number(b.readBigUInt64BE(2)) : short;
    if (length > longestPayload)
      throw new WebSocketError(closeCodes.tooBig, `a frame has more than ${longestPayload} bytes`);
    if (b.length < head + length) return undefined;
    const mask = b.subarray(head - 4, head);
    const payload = Buffer.from(b.subarray(head, head + length));
    for (let i = 0; i < length; i++) payload[i]! ^= mask[i & 3]!;
    this.#rest = b.subarray(head + length);
    return { kind, final, payload };
  }
}

/** A whole frame, without a mask. */
export function encodeFrame(kind: FrameKind, payload: Uint8Array): Buffer {
  const { length } = payload;
  const lengthBytes = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const frame = Buffer.allocUnsafe(2 + lengthBytes + length);
  frame[0] = 0x80 | codes[kind];
  frame[1] = lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127;
  if (lengthBytes === 2) frame.writeUInt16BE(length, 2);
  if (lengthBytes === 8) frame.writeBigUInt64BE(BigInt(length), 2);
  frame.set(payload, 2 + lengthBytes);
  return frame;
}

/** `reason` is cut to what a control frame holds. */
export function encodeClose(code: number, reason = ''): Buffer {
  const text = Buffer.from(reason).subarray(0, 123);
  const payload = Buffer.allocUnsafe(2 + text.length);
  payload.writeUInt16BE(code, 0);
  payload.set(text, 2);
  return encodeFrame('close', payload);
}

/** Section 4.2.2. */
export function acceptKey(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}
