/** A ByteStream as a Duplex, for Node's TLS and HTTP/2 on top of it. */
import { Duplex } from 'node:stream';
import type { ByteStream } from './byte-stream.ts';
import { DuplexStream } from './duplex-stream.ts';

/** The stream is the Duplex's from now on. */
export function toDuplex(stream: ByteStream): Duplex {
  return stream instanceof DuplexStream ? stream.release() : new StreamDuplex(stream);
}

class StreamDuplex extends Duplex {
  readonly #stream: ByteStream;
  #written: (() => void) | undefined;

  constructor(stream: ByteStream) {
    super({ allowHalfOpen: true });
    this.#stream = stream;
    stream.attach({
      bytes: (chunk) => {
        if (!this.push(chunk)) stream.pause();
      },
      ended: () => void this.push(null),
      closed: (error) => void this.destroy(error),
      drained: () => {
        const done = this.#written;
        this.#written = undefined;
        done?.();
      },
    });
  }

  override _read(): void {
    this.#stream.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#stream.write(chunk)) done();
    else this.#written = done;
  }

  override _final(done: () => void): void {
    this.#stream.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stream.destroy(error ?? undefined);
    done(error);
  }
}
