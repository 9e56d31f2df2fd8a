/** A server's end of a WebSocket connection: messages out of frames, pings answered, and a proper end. */
import type { Duplex } from 'node:stream';
import { closeCodes, encodeClose, encodeFrame, FrameReader, WebSocketError } from './frames.ts';

/** Bytes of one message. */
const longestMessage = 4 * 1024 * 1024;
/** Bytes that a client which reads nothing may make us keep by its pings. */
const mostUnsent = 4 * 1024 * 1024;

export class WebSocketConnection {
  readonly #socket: Duplex;
  #closing = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  /** `onMessage` is awaited before the next one. Resolves when the client has said goodbye; rejects when the connection breaks. */
  async read(onMessage: (message: Buffer) => Promise<void> | undefined): Promise<void> {
    try {
      await this.#read(onMessage);
    } catch (e) {
      if (e instanceof WebSocketError) this.close(e.code, e.message);
      else this.#socket.destroy();
      throw e;
    }
  }

  async #read(onMessage: (message: Buffer) => Promise<void> | undefined): Promise<void> {
    const reader = new FrameReader();
    let parts: Buffer[] | undefined;
    let size = 0;
    for await (const bytes of this.#socket.iterator({ destroyOnReturn: false })) {
      for (const { kind, final, payload } of reader.read(bytes as Buffer)) {
        if (kind === 'pong') continue;
        if (kind === 'ping') {
          this.#pong(payload);
          continue;
        }
        if (kind === 'close') {
          this.close(closeCodes.normal);
          return;
        }
        if ((kind === 'continuation') !== (parts !== undefined)) {
          throw new WebSocketError(closeCodes.protocol, 'the parts of a message are not in order');
        }
        parts = [...(parts ?? []), payload];
        size += payload.length;
        if (size > longestMessage || parts.length > 1000) {
          throw new WebSocketError(
            closeCodes.tooBig,
            `a message has more than ${longestMessage} bytes or too many parts`,
          );
        }
        if (!final) continue;
        const message = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
        parts = undefined;
        size = 0;
        await onMessage(message);
      }
    }
  }

  send(message: Uint8Array, done: (e?: Error | null) => void): void {
    if (this.#closing || this.#socket.destroyed) done(new Error('the connection is closed'));
    else this.#socket.write(encodeFrame('binary', message), done);
  }

  /** Says goodbye once; what was sent before arrives before. */
  close(code: number, reason = ''): void {
    if (this.#closing) return;
    this.#closing = true;
    if (!this.#socket.destroyed) this.#socket.end(encodeClose(code, reason));
  }

  #pong(payload: Buffer): void {
    if (this.#closing) return;
    if (this.#socket.writableLength > mostUnsent) throw new Error('the client takes no answers');
    this.#socket.write(encodeFrame('pong', payload));
  }
}
