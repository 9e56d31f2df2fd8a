/** One of several streams of bytes that share a connection. */
import { Duplex } from 'node:stream';

/** What carries the channel's bytes to the other end. `done` is called when more may be given. */
export interface Carrier {
  write(channel: Channel, bytes: Buffer, done: (e?: Error | null) => void): void;
  end(channel: Channel, done: (e?: Error | null) => void): void;
  /** The channel is no more: both ends are done, or it was destroyed (`channel.errored`). */
  closed?(channel: Channel): void;
}

export class Channel extends Duplex {
  readonly id: number;
  readonly #carrier: Carrier;
  #taken: (() => void) | undefined;
  #over = false;

  constructor(id: number, carrier: Carrier) {
    super({ allowHalfOpen: true });
    this.id = id;
    this.#carrier = carrier;
  }

  /** What came from the other end. Resolves when the reader can take more: whoever reads the connection waits for it. */
  deliver(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#over || this.destroyed || bytes.length === 0 || this.push(bytes)) return undefined;
    return new Promise((resolve) => {
      this.#taken = resolve;
    });
  }

  /** The other end has said all. */
  deliverEnd(): void {
    if (this.#over || this.destroyed) return;
    this.#over = true;
    this.push(null);
  }

  override _read(): void {
    this.#taken?.();
    this.#taken = undefined;
  }

  override _write(chunk: Buffer, _encoding: string, done: (e?: Error | null) => void): void {
    this.#carrier.write(this, chunk, done);
  }

  override _final(done: (e?: Error | null) => void): void {
    this.#carrier.end(this, done);
  }

  override _destroy(error: Error | null, done: (e?: Error | null) => void): void {
    this.#taken?.();
    this.#taken = undefined;
    this.#carrier.closed?.(this);
    done(error);
  }
}
