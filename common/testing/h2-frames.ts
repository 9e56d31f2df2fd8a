/** HTTP/2 frames as bytes, and a peer that sends whatever a test tells it to (RFC 9113 4.1, RFC 7541 6.2.2). */
import type { Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import type { WorkloadCertificate } from '../identity/types.ts';

export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flag = { endStream: 1, ack: 1, endHeaders: 4 } as const;
export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export function settingsFrame(entries: readonly (readonly [id: number, value: number])[] = []): Buffer {
  const payload = Buffer.alloc(entries.length * 6);
  entries.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  });
  return frame(frameType.settings, 0, 0, payload);
}

export const settingsAck = frame(frameType.settings, flag.ack, 0);

export function uint32(value: number): Buffer {
  const b = Buffer.alloc(4);
  b.writeUInt32BE(value);
  return b;
}

export function windowUpdate(stream: number, increment: number): Buffer {
  return frame(frameType.windowUpdate, 0, stream, uint32(increment));
}

export function rstStream(stream: number, code: number): Buffer {
  return frame(frameType.rstStream, 0, stream, uint32(code));
}

export function goaway(lastStream: number, code: number): Buffer {
  return frame(frameType.goaway, 0, 0, Buffer.concat([uint32(lastStream), uint32(code)]));
}

/**
 * Begins a block by setting the dynamic table to 0, which a peer that allows none demands (RFC 9113 4.3.1) and every other
 * takes (RFC 7541 4.2).
 */
export const noTable = Buffer.of(0x20);

/** Literal fields without indexing and without Huffman coding: every decoder reads them and no state is kept. */
export function headerBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat([noTable, ...literals(fields)]);
}

function literals(fields: readonly (readonly [name: string, value: string])[]): Buffer[] {
  return fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]);
}

export function headersFrame(
  stream: number,
  fields: readonly (readonly [name: string, value: string])[],
  flags: number = flag.endHeaders,
): Buffer {
  return frame(frameType.headers, flags, stream, headerBlock(fields));
}

export function connectFrame(stream: number, authority = '10.0.0.1:80'): Buffer {
  return headersFrame(stream, [
    [':method', 'CONNECT'],
    [':authority', authority],
  ]);
}

function text(s: string): Buffer {
  const bytes = Buffer.from(s, 'latin1');
  return Buffer.concat([prefixedInteger(bytes.length), bytes]);
}

/** RFC 7541 5.1 with a 7 bit prefix whose first bit (Huffman) is 0. */
function prefixedInteger(n: number): Buffer {
  if (n < 127) return Buffer.of(n);
  const out = [127];
  let rest = n - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128);
  out.push(rest);
  return Buffer.from(out);
}

/** Takes what has arrived apart; the rest stays in it until more comes. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes of the client's preface still to be skipped. */
  #skip: number;

  constructor(skip: number) {
    this.#skip = skip;
  }

  push(bytes: Buffer): readonly Frame[] {
    const skipped = Math.min(this.#skip, bytes.length);
    this.#skip -= skipped;
    this.#rest = Buffer.concat([this.#rest, bytes.subarray(skipped)]);
    const frames: Frame[] = [];
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < 9 + length) break;
      frames.push({
        type: this.#rest[3]!,
        flags: this.#rest[4]!,
        stream: this.#rest.readUInt32BE(5) & 0x7fffffff,
        payload: this.#rest.subarray(9, 9 + length),
      });
      this.#rest = this.#rest.subarray(9 + length);
    }
    return frames;
  }
}

export interface RawPeer {
  readonly socket: Socket;
  /** All frames received so far. */
  readonly frames: readonly Frame[];
  /** The connection is gone, in whatever way. */
  readonly closed: boolean;
  send(...frames: readonly Uint8Array[]): void;
}

/** TLS client with a certificate of the mesh, or none; speaks only what send() is given. */
export function rawClient(raw: Socket, certificate: WorkloadCertificate | undefined): Promise<RawPeer> {
  const socket = connectTls({
    socket: raw,
    ...(certificate && { key: certificate.privateKey, cert: certificate.chain.join('\n') }),
    ALPNProtocols: ['h2'],
    // The test's peer believes anybody.
    rejectUnauthorized: false,
  });
  return rawPeer(socket, 'secureConnect');
}

/** Client in plain text, on a socket that is about to connect. */
export function rawPlainClient(socket: Socket): Promise<RawPeer> {
  return rawPeer(socket, 'connect');
}

/** TLS server on an accepted socket. */
export function rawServer(raw: Socket, certificate: WorkloadCertificate): Promise<RawPeer> {
  const socket = new TLSSocket(raw, {
    isServer: true,
    key: certificate.privateKey,
    cert: certificate.chain.join('\n'),
    ALPNProtocols: ['h2'],
  });
  return rawPeer(socket, 'secure');
}

function rawPeer(socket: Socket, ready: 'connect' | 'secureConnect' | 'secure'): Promise<RawPeer> {
  const reader = new FrameReader(ready === 'secure' ? preface.length : 0);
  const frames: Frame[] = [];
  let closed = false;
  socket.on('data', (bytes: Buffer) => frames.push(...reader.push(bytes)));
  socket.on('error', () => undefined);
  const peer: RawPeer = {
    socket,
    frames,
    get closed() {
      return closed;
    },
    send(...out) {
      if (!socket.destroyed) socket.write(Buffer.concat(out));
    },
  };
  return new Promise((resolve, reject) => {
    socket.once(ready, () => resolve(peer));
    socket.once('end', () => {
      closed = true;
    });
    socket.once('close', () => {
      closed = true;
      reject(new Error('the connection was closed before it was there'));
    });
  });
}
