/** One stream of HTTP/2: its states, its windows, what waits to be sent and to be read. */
import type { BodyReader, BodyWriter, Break, HeaderList } from '../message.ts';
import { errorCode, maxWindow, resetCodes } from './wire.ts';

/** Bytes that may wait to be sent before writers are told to wait, and at which they may go on. */
const highWater = 65_536;
const lowWater = 16_384;
/** What is unread is kept in pieces of at least this size, so that a peer that sends byte by byte costs no more than its bytes. */
const pieceBytes = 4_096;
/** Pieces of a chunk that is at least so large are kept as they came. */
const keptAsIs = 8_192;

/** The connection, as its streams see it. */
export interface StreamHost {
  /** The connection is to take no DATA now. */
  readonly blocked: boolean;
  /** The window of each stream as announced. */
  readonly announced: number;
  /** How much of `wanted` may be sent now; it counts as sent. */
  takeWindow(wanted: number): number;
  sendData(stream: Stream, chunk: Buffer, end: boolean): void;
  /** END_STREAM, with trailers or without. */
  sendEnd(stream: Stream, trailers: HeaderList | undefined): void;
  sendWindow(stream: Stream, bytes: number): void;
  sendReset(stream: Stream, code: number): void;
  /** More waits to be sent, and it is not the stream's window that stops it. */
  queued(stream: Stream): void;
  /** Somebody waits for `drained`. */
  full(stream: Stream): void;
  /** So many bytes more or fewer are kept for readers. */
  kept(bytes: number): void;
  /** Both directions are over, or it was reset. `byPeer`: it was the peer's doing. */
  streamClosed(stream: Stream, byPeer: boolean): void;
}

/** A piece of what is unread; `used` of its bytes are filled. */
interface Piece {
  readonly bytes: Buffer;
  used: number;
}

export abstract class Stream implements BodyWriter {
  readonly id: number;
  /** The host's clock. */
  readonly opened: number;
  readonly #host: StreamHost;
  #reader: BodyReader | undefined;
  /** The peer will send no more. */
  remoteEnded = false;
  /** All that we send is sent. */
  localEnded = false;
  /** Closed in both directions, or reset: frames of it are of no stream. */
  closed = false;
  resetByUs = false;
  /** Nobody is told anything more. */
  #silent = false;

  sendWindow: number;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #ending = false;
  #trailers: HeaderList | undefined;
  #full = false;

  receiveWindow: number;
  /** Read, and not given back to the window yet. */
  #owed = 0;
  #paused = false;
  /** Nothing of a tunnel is given on before it is answered. */
  #held = false;
  #unread: Piece[] = [];
  #delivering = false;
  #endToTell: { readonly trailers: HeaderList | undefined } | undefined;
  /** What Content-Length said is still to come. */
  #expected: number | undefined;

  constructor(host: StreamHost, id: number, now: number, sendWindow: number, receiveWindow: number) {
    this.#host = host;
    this.id = id;
    this.opened = now;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }

  protected get host(): StreamHost {
    return this.#host;
  }

  protected get reader(): BodyReader | undefined {
    return this.#reader;
  }

  /** Nobody is told anything of it any more. */
  get silent(): boolean {
    return this.#silent;
  }

  protected attach(reader: BodyReader): void {
    this.#reader = reader;
  }

  /** What the head says of the body's length. */
  expect(bytes: number | undefined): void {
    this.#expected = bytes;
  }

  // What the peer sends.

  /** False: more than the stream's window. */
  takes(counted: number): boolean {
    this.receiveWindow -= counted;
    return this.receiveWindow >= 0;
  }

  /** False: more than Content-Length. */
  receive(chunk: Buffer): boolean {
    if (this.#expected !== undefined) {
      this.#expected -= chunk.length;
      if (this.#expected < 0) return false;
    }
    if (this.#silent) this.credit(chunk.length);
    else if (this.#waits || this.#unread.length > 0) this.#keep(chunk);
    else {
      this.#reader?.data(chunk);
      this.credit(chunk.length);
    }
    return true;
  }

  /** The peer's END_STREAM. False: less than Content-Length. */
  receiveEnd(trailers: HeaderList | undefined): boolean {
    if (this.#expected !== undefined && this.#expected > 0) return false;
    this.remoteEnded = true;
    this.#endToTell = { trailers };
    this.#closeIfOver();
    this.received();
    this.#deliver();
    return true;
  }

  /** END_STREAM came with the head, which told of it. */
  headEnded(): void {
    this.remoteEnded = true;
    this.#closeIfOver();
    this.received();
  }

  /** So many bytes are done with. */
  credit(bytes: number): void {
    this.#owed += bytes;
    if (this.remoteEnded || this.closed || this.#owed * 2 < this.#host.announced) return;
    const owed = this.#owed;
    this.#owed = 0;
    this.receiveWindow += owed;
    this.#host.sendWindow(this, owed);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#goOn();
  }

  protected hold(): void {
    this.#held = true;
  }

  protected release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#goOn();
  }

  get #waits(): boolean {
    return this.#paused || this.#held;
  }

  #goOn(): void {
    if (this.#delivering || (this.#unread.length === 0 && !this.#endToTell)) return;
    // Never from within the caller's call.
    process.nextTick(() => this.#deliver());
  }

  #keep(chunk: Buffer): void {
    if (chunk.length >= keptAsIs) {
      this.#unread.push({ bytes: chunk, used: chunk.length });
      this.#host.kept(chunk.length);
      return;
    }
    let rest = chunk;
    const last = this.#unread.at(-1);
    if (last && last.used < last.bytes.length) {
      const copied = rest.copy(last.bytes, last.used);
      last.used += copied;
      rest = rest.subarray(copied);
    }
    if (rest.length === 0) return;
    const bytes = Buffer.allocUnsafeSlow(Math.max(pieceBytes, rest.length));
    this.#unread.push({ bytes, used: rest.copy(bytes) });
    this.#host.kept(bytes.length);
  }

  #deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    while (!this.#waits && !this.#silent && this.#unread.length > 0) {
      const { bytes, used } = this.#unread.shift()!;
      this.#host.kept(-bytes.length);
      this.#reader?.data(used === bytes.length ? bytes : bytes.subarray(0, used));
      this.credit(used);
    }
    this.#delivering = false;
    const end = this.#endToTell;
    if (!end || this.#waits || this.#silent) return;
    this.#endToTell = undefined;
    this.#reader?.end(end.trailers);
  }

  #forget(): void {
    for (const { bytes } of this.#unread) this.#host.kept(-bytes.length);
    this.#unread = [];
    this.#endToTell = undefined;
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  // What we send.

  write(chunk: Buffer): boolean {
    if (this.closed || this.#ending || chunk.length === 0) return true;
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    this.send(Number.POSITIVE_INFINITY);
    if (this.#queuedBytes < highWater && !this.#host.blocked) return true;
    if (!this.#full) {
      this.#full = true;
      this.#host.full(this);
    }
    return false;
  }

  end(trailers?: HeaderList): void {
    if (this.closed || this.#ending) return;
    this.#ending = true;
    this.#trailers = trailers;
    if (this.#queue.length === 0) this.#sendEnd();
  }

  /** The head that we sent ended the stream. */
  protected headSentEnd(): void {
    this.#ending = true;
    this.#localOver();
  }

  reset(why: 'cancel' | 'internal' | 'protocol'): void {
    this.#silent = true;
    if (!this.closed) this.abort(resetCodes[why], false);
    this.#forget();
  }

  /** Up to so many frames of what waits, as far as windows and connection let it. */
  send(frames: number): void {
    const host = this.#host;
    for (let left = frames; left > 0 && this.#queue.length > 0 && !this.closed; left--) {
      if (this.sendWindow <= 0) return;
      const first = this.#queue[0]!;
      const bytes = host.blocked ? 0 : host.takeWindow(Math.min(first.length, this.sendWindow));
      if (bytes === 0) {
        host.queued(this);
        return;
      }
      this.sendWindow -= bytes;
      this.#queuedBytes -= bytes;
      if (bytes === first.length) this.#queue.shift();
      else this.#queue[0] = first.subarray(bytes);
      const last = this.#queue.length === 0 && this.#ending && this.#trailers === undefined;
      host.sendData(this, bytes === first.length ? first : first.subarray(0, bytes), last);
      if (last) {
        this.#localOver();
        return;
      }
    }
    if (this.closed) return;
    if (this.#queue.length > 0) host.queued(this);
    else if (this.#ending && !this.localEnded) this.#sendEnd();
  }

  /** False: beyond what a window may be. */
  widen(bytes: number): boolean {
    this.sendWindow += bytes;
    if (this.sendWindow > maxWindow) return false;
    if (bytes > 0 && this.#queue.length > 0) this.send(Number.POSITIVE_INFINITY);
    return true;
  }

  /** The connection takes more. True: nobody waits any more. */
  relieve(): boolean {
    if (!this.#full) return true;
    if (this.#queuedBytes > lowWater && !this.closed) return false;
    this.#full = false;
    if (!this.#silent) this.#reader?.drained();
    return !this.#full;
  }

  #sendEnd(): void {
    this.#host.sendEnd(this, this.#trailers);
    this.#localOver();
  }

  #localOver(): void {
    this.localEnded = true;
    this.sent();
    this.#closeIfOver();
  }

  /** All is sent, with END_STREAM. */
  protected sent(): void {}

  /** All has come, with END_STREAM. */
  protected received(): void {}

  #closeIfOver(): void {
    if (!this.closed && this.remoteEnded && this.localEnded) this.#close(false);
  }

  #close(byPeer: boolean): void {
    this.closed = true;
    this.#host.streamClosed(this, byPeer);
  }

  /** RST_STREAM. */
  abort(code: number, byPeer: boolean): void {
    if (this.closed) return;
    this.resetByUs = true;
    this.#host.sendReset(this, code);
    this.#close(byPeer);
  }

  /** The message is over; what waits still comes, and what the peer sends besides is of no use. */
  protected finish(code: number = errorCode.noError): void {
    this.#silent = true;
    if (!this.closed) this.abort(code, false);
  }

  /** The peer reset it, or it was lost with the connection. */
  lost(why: Break): void {
    const silent = this.#silent;
    this.#silent = true;
    if (!this.closed) this.#close(true);
    this.#forget();
    if (!silent && this.broken()) this.#reader?.broke(why);
  }

  /** It broke a rule that is the stream's alone (RFC 9113 5.4.2). */
  offend(code: number, detail: string): void {
    if (!this.closed) this.abort(code, true);
    this.lost({ kind: 'protocol', detail });
  }

  /** There is something to tell of its breaking off. */
  protected abstract broken(): boolean;
}
