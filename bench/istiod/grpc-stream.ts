/**
 * One bidirectional gRPC stream on a connection of its own, in plain HTTP/2 (RFC 9113): as little as a client can do, so that fifty of
 * them cost their process less than the server they measure. No header of an answer is read: what ends a stream ends it, whatever it says.
 */
import { connect, type Socket } from 'node:net';

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const frame = { data: 0, headers: 1, rstStream: 3, settings: 4, ping: 6, goaway: 7, windowUpdate: 8 } as const;
const flag = { ack: 1, endStream: 1, endHeaders: 4, padded: 8 } as const;
/** SETTINGS_INITIAL_WINDOW_SIZE. */
const initialWindowSize = 4;
/** Bytes, as a ztunnel's. */
const streamWindow = 1 << 20;
const connectionWindow = 1 << 22;
/** The connection's before anybody says otherwise (RFC 9113 6.9.2). */
const defaultWindow = 65_535;
const streamId = 1;

export interface GrpcStreamOptions {
  readonly port: number;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly onMessage: (message: Buffer) => void;
  /** The stream or its connection has ended. */
  readonly onEnd: (reason: Error) => void;
}

export class GrpcStream {
  readonly #options: GrpcStreamOptions;
  readonly #socket: Socket;
  /** Of a frame that has not come whole. */
  #rest: Buffer = Buffer.alloc(0);
  #chunks: Buffer[] = [];
  #size = 0;
  #unreported = 0;
  #ended = false;

  constructor(options: GrpcStreamOptions) {
    this.#options = options;
    this.#socket = connect({ host: '127.0.0.1', port: options.port, noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on('error', (e) => this.#end(e));
    this.#socket.on('close', () => this.#end(new Error('the connection was closed')));
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(initialWindowSize);
    settings.writeUInt32BE(streamWindow, 2);
    this.#socket.write(
      Buffer.concat([
        Buffer.from(preface),
        frameOf(frame.settings, 0, 0, settings),
        frameOf(frame.windowUpdate, 0, 0, number(connectionWindow - defaultWindow)),
        frameOf(frame.headers, flag.endHeaders, streamId, requestHeaders(options.path)),
      ]),
    );
  }

  send(message: Uint8Array): void {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    this.#socket.write(frameOf(frame.data, 0, streamId, Buffer.concat([head, message])));
  }

  /** Says no more, `onEnd` neither. */
  close(): void {
    this.#ended = true;
    this.#socket.destroy();
  }

  #end(reason: Error): void {
    if (this.#ended) return;
    this.close();
    this.#options.onEnd(reason);
  }

  #onData(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 9 && !this.#ended) {
      const length = bytes.readUIntBE(0, 3);
      if (bytes.length < 9 + length) break;
      this.#onFrame(bytes[3]!, bytes[4]!, bytes.subarray(9, 9 + length));
      bytes = bytes.subarray(9 + length);
    }
    this.#rest = bytes;
  }

  #onFrame(type: number, flags: number, payload: Buffer): void {
    switch (type) {
      case frame.data:
        if (flags & flag.padded) this.#end(new Error('the server pads, which this client does not read'));
        else this.#onBytes(payload);
        break;
      case frame.settings:
        if (!(flags & flag.ack)) this.#socket.write(frameOf(frame.settings, flag.ack, 0, Buffer.alloc(0)));
        break;
      case frame.ping:
        if (!(flags & flag.ack)) this.#socket.write(frameOf(frame.ping, flag.ack, 0, payload));
        break;
      case frame.rstStream:
      case frame.goaway:
        this.#end(new Error(`the server ended it: ${payload.toString('latin1')}`));
        break;
    }
    if ((type === frame.data || type === frame.headers) && flags & flag.endStream) {
      this.#end(new Error('the server ended the stream'));
    }
  }

  #onBytes(payload: Buffer): void {
    this.#unreported += payload.length;
    if (this.#unreported >= streamWindow / 2) {
      const size = number(this.#unreported);
      this.#unreported = 0;
      this.#socket.write(
        Buffer.concat([frameOf(frame.windowUpdate, 0, 0, size), frameOf(frame.windowUpdate, 0, streamId, size)]),
      );
    }
    this.#chunks.push(payload);
    this.#size += payload.length;
    while (this.#size >= 5) {
      if (this.#chunks[0]!.length < 5) this.#chunks = [Buffer.concat(this.#chunks)];
      const length = this.#chunks[0]!.readUInt32BE(1) + 5;
      if (this.#size < length) return;
      const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
      this.#chunks = length < all.length ? [all.subarray(length)] : [];
      this.#size -= length;
      this.#options.onMessage(all.subarray(5, length));
    }
  }
}

/** In HPACK without a table and without Huffman's code (RFC 7541 6.1, 6.2.2). */
function requestHeaders(path: string): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  const named = (index: number, value: string) => Buffer.concat([Buffer.from([index]), text(value)]);
  const literal = (name: string, value: string) => Buffer.concat([Buffer.from([0]), text(name), text(value)]);
  return Buffer.concat([
    Buffer.from([0x83, 0x86]),
    named(4, path),
    named(1, 'istiod'),
    literal('content-type', 'application/grpc'),
    literal('te', 'trailers'),
  ]);
}

function frameOf(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
