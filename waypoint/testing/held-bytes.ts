/** The end of a connection whose peer is the test: what was written is kept as frames, and the test says what comes. */
import { type Frame, FrameReader, preface } from '../../common/testing/h2-frames.ts';
import type { ByteReader, ByteStream } from '../net/byte-stream.ts';

export class HeldBytes implements ByteStream {
  /** Frames that were sent, in order. */
  readonly frames: Frame[] = [];
  ended = false;
  destroyed = false;
  /** The peer reads nothing: writers are told to wait. */
  deaf = false;
  /** The reader wants nothing now. */
  paused = false;
  readonly #sent: FrameReader;
  #reader: ByteReader | undefined;

  /** `client`: what is sent begins with the preface. */
  constructor(client = false) {
    this.#sent = new FrameReader(client ? preface.length : 0);
  }

  /** As from the peer; then everything is sent that it gives rise to. */
  async comes(...parts: readonly Uint8Array[]): Promise<void> {
    // A copy: the bytes are the reader's from now on.
    this.#reader!.bytes(Buffer.concat(parts));
    await this.settled();
  }

  /** The peer sends nothing more, whether the reader is paused or not. */
  ends(): void {
    this.#reader!.ended();
  }

  /** All that has come is read. */
  async settled(): Promise<void> {
    do await this.turn();
    while (this.paused);
  }

  /** What is put off to the end of the turn, or to the next one, is done. */
  turn(): Promise<void> {
    return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  }

  attach(reader: ByteReader): void {
    this.#reader = reader;
  }

  unread(): void {
    throw new Error('HTTP/2 gives nothing back');
  }

  write(chunk: Buffer | string): boolean {
    if (this.ended || this.destroyed) return true;
    this.frames.push(...this.#sent.push(typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk));
    return !this.deaf;
  }

  end(): void {
    this.ended = true;
  }

  destroy(error?: Error): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#reader?.closed(error);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }
}
