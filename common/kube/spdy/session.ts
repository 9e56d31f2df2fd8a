/** A server's end of a SPDY/3.1 connection as Kubernetes uses it: streams that the client opens, without windows or priorities. */
import type { Duplex } from 'node:stream';
import { type Carrier, Channel } from '../kubelet/channel.ts';
import {
  encodeData,
  encodeGoaway,
  encodePing,
  encodeReset,
  encodeSynReply,
  type Frame,
  FrameReader,
  resetStatus,
  SpdyError,
} from './frames.ts';
import { HeaderPacker, type Headers, HeaderUnpacker } from './headers.ts';

/** Open at one time. A forwarded connection takes two. */
const mostStreams = 2_000;
/** Bytes that a client which reads nothing may make us keep by its pings and streams. */
const mostUnsent = 4 * 1024 * 1024;

export interface SpdyStream {
  readonly headers: Headers;
  readonly channel: Channel;
}

export class SpdySession {
  readonly #socket: Duplex;
  readonly #onStream: (stream: SpdyStream) => void;
  readonly #streams = new Map<number, Channel>();
  readonly #unpacker = new HeaderUnpacker();
  readonly #packer = new HeaderPacker();
  #lastStream = 0;
  #closing = false;

  /** Every stream is answered; `onStream` owns its channel. */
  constructor(socket: Duplex, onStream: (stream: SpdyStream) => void) {
    this.#socket = socket;
    this.#onStream = onStream;
  }

  /** Resolves when the client has ended the connection; rejects when it breaks or says what it must not. All streams end with it. */
  async read(): Promise<void> {
    const reader = new FrameReader();
    let failure = new Error('the connection was closed');
    try {
      for await (const bytes of this.#socket.iterator({ destroyOnReturn: false })) {
        for (const frame of reader.read(bytes as Buffer)) await this.#take(frame);
      }
    } catch (e) {
      failure = e as Error;
      if (e instanceof SpdyError) this.close();
      else this.#socket.destroy();
      throw e;
    } finally {
      for (const channel of [...this.#streams.values()]) channel.destroy(failure);
      this.#unpacker.close();
    }
  }

  /** Says goodbye; what was sent before arrives before. */
  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    if (!this.#socket.destroyed) this.#socket.end(encodeGoaway(this.#lastStream));
  }

  async #take(frame: Frame): Promise<void> {
    switch (frame.kind) {
      case 'data':
        return this.#data(frame.stream, frame.bytes, frame.final);
      case 'syn-stream': {
        const headers = await this.#unpacker.unpack(frame.headers);
        return this.#open(frame.stream, headers, frame.final);
      }
      case 'syn-reply':
        throw new SpdyError('a server opens no streams, so none is answered');
      case 'headers':
        // Said later than the stream's beginning: nothing is read from them, but the blocks are one stream of zlib.
        await this.#unpacker.unpack(frame.headers);
        if (frame.final) this.#streams.get(frame.stream)?.deliverEnd();
        return;
      case 'rst-stream':
        this.#forget(frame.stream)?.destroy(new Error(`the client reset the stream: status ${frame.status}`));
        return;
      case 'ping':
        // Even numbers are answers to ours, and we ask nothing.
        if (frame.id % 2 === 1) this.#send(encodePing(frame.id));
        return;
      case 'goaway':
      case 'ignored':
        return;
    }
  }

  #open(id: number, headers: Headers, final: boolean): void {
    if (id % 2 === 0 || id <= this.#lastStream) throw new SpdyError(`stream ${id} after stream ${this.#lastStream}`);
    this.#lastStream = id;
    if (this.#closing || this.#streams.size >= mostStreams) {
      this.#send(encodeReset(id, resetStatus.refusedStream));
      return;
    }
    const channel = new Channel(id, this.#carrier);
    // Whoever pipes hears of it; alone it is nothing.
    channel.on('error', () => undefined);
    this.#streams.set(id, channel);
    this.#send(encodeSynReply(id, this.#packer.pack()));
    this.#onStream({ headers, channel });
    if (final) channel.deliverEnd();
  }

  #data(id: number, bytes: Buffer, final: boolean): Promise<void> | undefined {
    const channel = this.#streams.get(id);
    // What was on its way when the stream ended.
    if (channel === undefined) {
      if (id > this.#lastStream) throw new SpdyError(`data of stream ${id}, which was not opened`);
      return undefined;
    }
    const taken = channel.deliver(bytes);
    if (final) channel.deliverEnd();
    return taken;
  }

  #forget(id: number): Channel | undefined {
    const channel = this.#streams.get(id);
    this.#streams.delete(id);
    return channel;
  }

  readonly #carrier: Carrier = {
    write: (channel, bytes, done) => {
      if (this.#closing || this.#socket.destroyed) return done(new Error('the connection is closed'));
      this.#socket.write(encodeData(channel.id, bytes, false), done);
    },
    end: (channel, done) => {
      if (this.#closing || this.#socket.destroyed) return done();
      this.#socket.write(encodeData(channel.id, Buffer.alloc(0), true), () => done());
    },
    closed: (channel) => {
      const known = this.#forget(channel.id) !== undefined;
      if (known && channel.errored !== null) this.#send(encodeReset(channel.id, resetStatus.cancel));
    },
  };

  #send(frame: Buffer): void {
    if (this.#closing || this.#socket.destroyed) return;
    if (this.#socket.writableLength > mostUnsent) this.#socket.destroy(new Error('the client takes no answers'));
    else this.#socket.write(frame);
  }
}
