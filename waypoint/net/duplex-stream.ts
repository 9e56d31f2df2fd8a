/** What Node has as a Duplex (sockets, TLS, streams of its HTTP/2) as a ByteStream. */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ByteReader, ByteStream } from './byte-stream.ts';

/** Pieces up to this many bytes in all leave as one copy: cheaper than a vector of small ones. */
const gatherUpTo = 16_384;

/** Writes of one turn leave in one system call. The Duplex must be made with allowHalfOpen, where it is a socket. */
export class DuplexStream implements ByteStream {
  readonly #duplex: Duplex;
  #reader: ByteReader | undefined;
  #waiting: (Buffer | string)[] = [];
  #waitingBytes = 0;
  #scheduled = false;
  #ending = false;
  #full = false;
  #error: Error | undefined;
  readonly #onData = (chunk: Buffer) => this.#reader!.bytes(chunk);
  readonly #onClose = () => {
    this.#waiting = [];
    this.#reader?.closed(this.#error);
  };
  readonly #onEnd = () => this.#reader!.ended();
  readonly #flush = () => {
    this.#scheduled = false;
    this.#send();
  };

  constructor(duplex: Duplex) {
    this.#duplex = duplex;
    duplex.on('error', (error) => {
      this.#error ??= error;
    });
    duplex.on('close', this.#onClose);
  }

  get destroyed(): boolean {
    return this.#duplex.destroyed;
  }

  attach(reader: ByteReader): void {
    const first = this.#reader === undefined;
    this.#reader = reader;
    const duplex = this.#duplex;
    if (!first) {
      duplex.resume();
      return;
    }
    duplex.on('data', this.#onData);
    duplex.on('end', this.#onEnd);
    duplex.on('drain', () => {
      if (!this.#full) return;
      this.#full = false;
      this.#reader!.drained();
    });
    if (duplex.destroyed) process.nextTick(() => this.#reader!.closed(this.#error));
  }

  unread(chunk: Buffer): void {
    this.#duplex.unshift(chunk);
  }

  /** The Duplex itself, for who takes it over: TLS or HTTP/2 on top of it. Nothing of this object is called afterwards. */
  release(): Duplex {
    const duplex = this.#duplex;
    duplex.off('data', this.#onData);
    duplex.off('end', this.#onEnd);
    duplex.off('close', this.#onClose);
    duplex.pause();
    return duplex;
  }

  write(chunk: Buffer | string): boolean {
    if (this.#ending || this.#duplex.destroyed || chunk.length === 0) return true;
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    this.#schedule();
    if (this.#waitingBytes + this.#duplex.writableLength < this.#duplex.writableHighWaterMark) return true;
    this.#full = true;
    return false;
  }

  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#schedule();
  }

  destroy(error?: Error): void {
    const duplex = this.#duplex;
    if (duplex.destroyed) return;
    this.#waiting = [];
    this.#error ??= error;
    if (duplex instanceof Socket && !duplex.connecting && !('encrypted' in duplex)) {
      // libuv refuses a reset while a shutdown is under way, and Node then loses the descriptor.
      if (duplex.writableEnded && !duplex.writableFinished) duplex.once('finish', () => duplex.resetAndDestroy());
      else duplex.resetAndDestroy();
    } else duplex.destroy();
  }

  pause(): void {
    this.#duplex.pause();
  }

  resume(): void {
    this.#duplex.resume();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(this.#flush);
  }

  #send(): void {
    const duplex = this.#duplex;
    if (duplex.destroyed) return;
    const waiting = this.#waiting;
    if (waiting.length > 0) {
      this.#waiting = [];
      const bytes = this.#waitingBytes;
      this.#waitingBytes = 0;
      if (waiting.length === 1) writePiece(duplex, waiting[0]!);
      else if (bytes <= gatherUpTo) duplex.write(gather(waiting, bytes));
      else {
        duplex.cork();
        for (const piece of waiting) writePiece(duplex, piece);
        duplex.uncork();
      }
      // Only what the Duplex itself holds back brings a `drain`.
      if (this.#full && !duplex.writableNeedDrain) {
        this.#full = false;
        this.#reader?.drained();
      }
    }
    if (this.#ending && !duplex.writableEnded) duplex.end();
  }
}

function writePiece(duplex: Duplex, piece: Buffer | string): void {
  if (typeof piece === 'string') duplex.write(piece, 'latin1');
  else duplex.write(piece);
}

function gather(pieces: readonly (Buffer | string)[], bytes: number): Buffer {
  const out = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const piece of pieces) {
    if (typeof piece === 'string') at += out.write(piece, at, 'latin1');
    else at += piece.copy(out, at);
  }
  return out;
}
