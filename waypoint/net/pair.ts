/** Two ends of a connection inside this process, as to an internal listener: what is written to one is read from the other. */
import type { ByteReader, ByteStream } from './byte-stream.ts';

/** Bytes that one end may have unread before writes to the other say "wait". */
const highWater = 65_536;

/** `left`: the second end was told to leave. */
export function streamPair(left?: () => void): readonly [ByteStream, ByteStream] {
  const a = new End();
  const b = new End(left);
  a.join(b);
  b.join(a);
  return [a, b];
}

class End implements ByteStream {
  #peer!: End;
  #reader: ByteReader | undefined;
  /** What came while nobody read. */
  #unread: Buffer[] = [];
  #unreadBytes = 0;
  #paused = true;
  #ended = false;
  #endTold = false;
  #ending = false;
  #peerWaits = false;
  #scheduled = false;
  #closed = false;
  #closeError: Error | undefined;
  destroyed = false;
  readonly #left: (() => void) | undefined;

  constructor(left?: () => void) {
    this.#left = left;
  }

  join(peer: End): void {
    this.#peer = peer;
  }

  attach(reader: ByteReader): void {
    this.#reader = reader;
    this.#paused = false;
    this.#schedule();
  }

  unread(chunk: Buffer): void {
    this.#unread.unshift(chunk);
    this.#unreadBytes += chunk.length;
    if (!this.#paused) this.#schedule();
  }

  write(chunk: Buffer | string): boolean {
    if (this.#ending || this.destroyed || chunk.length === 0) return true;
    return this.#peer.#take(typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk);
  }

  end(): void {
    if (this.#ending || this.destroyed) return;
    this.#ending = true;
    this.#peer.#ended = true;
    this.#peer.#schedule();
  }

  destroy(error?: Error): void {
    if (this.destroyed) return;
    // Both directions are done as far as this end goes: the peer may still read what it has.
    if (this.#ending && this.#endTold && error === undefined) return;
    this.#breakOff(error);
    this.#peer.#breakOff(error ?? new Error('the other end of the internal connection was cut'));
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#unread.length > 0 || this.#ended) this.#schedule();
  }

  leave(): void {
    if (!this.destroyed) this.#left?.();
  }

  #take(chunk: Buffer): boolean {
    if (this.destroyed) return true;
    this.#unread.push(chunk);
    this.#unreadBytes += chunk.length;
    if (!this.#paused) this.#schedule();
    if (this.#unreadBytes < highWater) return true;
    this.#peerWaits = true;
    return false;
  }

  /** Never from within the writer's call: readers write in turn, and two that talk to each other would nest without end. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    const reader = this.#reader;
    if (!reader) return;
    while (!this.#paused && !this.destroyed && this.#unread.length > 0) {
      const chunk = this.#unread.length === 1 ? this.#unread[0]! : Buffer.concat(this.#unread);
      this.#unread = [];
      this.#unreadBytes = 0;
      this.#reader!.bytes(chunk);
    }
    if (this.#peerWaits && this.#unreadBytes < highWater && !this.destroyed) {
      this.#peerWaits = false;
      this.#peer.#reader?.drained();
    }
    if (this.#ended && !this.#endTold && !this.#paused && this.#unread.length === 0 && !this.destroyed) {
      this.#endTold = true;
      this.#reader!.ended();
    }
    if (this.#endTold && this.#peer.#endTold) this.#finish(undefined);
    if (this.destroyed && !this.#closed) {
      this.#closed = true;
      this.#reader!.closed(this.#closeError);
    }
  }

  /** Both directions are done. */
  #finish(error: Error | undefined): void {
    this.#breakOff(error);
    this.#peer.#breakOff(error);
  }

  #breakOff(error: Error | undefined): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#unread = [];
    this.#closeError = error;
    this.#schedule();
  }
}
