/**
 * A connection or a tunnel's stream of the native engine. Cheap to make: no byte comes to JavaScript unless somebody reads or
 * writes here, and relayed ones never do.
 */
import { Duplex } from 'node:stream';
import { getSystemErrorName } from 'node:util';
import type { ByteStream } from '../../../common/core/byte-stream.ts';
import { MeshError } from '../../../common/core/errors.ts';
import {
  command,
  type EngineEvent,
  type EngineLoop,
  event,
  type Handle,
  type Receiver,
  readResult,
  relayEnd,
  writePieces,
} from '../../../native/engine.ts';

/** Bytes that JavaScript may have written beyond what the kernel took. */
const writeAhead = 64 * 1024;
/** Bytes of one read. */
const readSize = 64 * 1024;

/** HTTP/2's, RFC 9113 7. */
export const http2Code = { noError: 0, protocolError: 1, refusedStream: 7, cancel: 8, connectError: 10 } as const;
const http2Names = [
  ...['NO_ERROR', 'PROTOCOL_ERROR', 'INTERNAL_ERROR', 'FLOW_CONTROL_ERROR', 'SETTINGS_TIMEOUT', 'STREAM_CLOSED'],
  ...['FRAME_SIZE_ERROR', 'REFUSED_STREAM', 'CANCEL', 'COMPRESSION_ERROR', 'CONNECT_ERROR', 'ENHANCE_YOUR_CALM'],
];

export function http2Name(code: number): string {
  return http2Names[code] ?? `code ${code}`;
}

/** How a relay ended: what is told about it, if it failed. */
export type RelayOver = (error: NodeJS.ErrnoException | undefined, moved?: true) => void;

/** Where a relay counts: an index of the loop's, until it is given back. */
export interface LoopCounters {
  follow(loop: EngineLoop): number;
  settle(): void;
}

/** A relay that the loop was asked to begin by itself. */
interface Ahead {
  readonly downstream: NativeStream;
  readonly counters: LoopCounters;
  /** It has begun. */
  running: boolean;
  /** It has ended before JavaScript came to it. */
  over: { readonly error: NodeJS.ErrnoException | undefined } | undefined;
}

export class NativeStream extends Duplex implements ByteStream, Receiver {
  readonly handle: Handle;
  readonly #loop: EngineLoop;
  #state: 'open' | 'relayed' | 'gone' = 'open';
  #reading = false;
  /** Called when the read that is under way has been answered. */
  #answered: (() => void) | undefined;
  /** Waits for room. */
  #drained: (() => void) | undefined;
  #writtenAhead = 0;
  #relayOver: RelayOver | undefined;
  #ahead: Ahead | undefined;
  #cutReason: Error | undefined;

  /** `named`: by the loop, for what it made; undefined for what a command is about to make. */
  constructor(
    loop: EngineLoop,
    named?: { readonly slot: number; readonly generation: number },
    options: { readonly autoDestroy?: boolean } = {},
  ) {
    super({ allowHalfOpen: true, ...options });
    this.#loop = loop;
    // Whoever uses it looks at 'close'; an error that nobody waits for is none of the process's.
    this.on('error', ignore);
    this.handle = named ? loop.adopt(named.slot, named.generation, this) : loop.name(this);
  }

  receive(e: EngineEvent): void {
    switch (e.type) {
      case event.read:
        this.#onRead(e);
        break;
      case event.drained:
        this.#onDrained();
        break;
      case event.broken:
        this.destroy(systemError(e.a, 'write'));
        break;
      case event.relayed:
        this.#onRelayed(e.a, e.b);
        break;
    }
  }

  /** Sends what a command of its own makes of it, e.g. a dial. */
  protected send(type: number, a = 0, b = 0, c = 0, bytes?: Uint8Array): void {
    if (this.#state !== 'gone') this.#loop.send(type, this.handle, a, b, c, bytes);
  }

  override _read(): void {
    if (this.#reading || this.#state !== 'open') return;
    this.#reading = true;
    this.send(command.read, readSize);
  }

  #onRead({ a: result, b: errno, bytes }: EngineEvent): void {
    this.#reading = false;
    switch (result) {
      case readResult.data:
        // The engine's memory is used again.
        this.push(Buffer.from(bytes));
        break;
      case readResult.end:
        this.push(null);
        break;
      case readResult.failed:
        this.destroy(systemError(errno, 'read'));
        break;
    }
    this.#answered?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#writtenAhead += chunk.length;
    const full = this.#writtenAhead > writeAhead && this.#state === 'open';
    this.send(command.write, full ? 1 : 0, 0, 0, chunk);
    if (full) this.#drained = done;
    else done();
  }

  #onDrained(): void {
    this.#writtenAhead = 0;
    const done = this.#drained;
    this.#drained = undefined;
    done?.();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#drained = done;
    this.send(command.end, 1);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.stands(false);
    if (this.#state === 'relayed') {
      this.#cutReason ??= error ?? new MeshError('CANCELLED', 'the connection was cut');
      this.#loop.send(command.reset, this.handle, http2Code.connectError);
    } else if (this.#state === 'open') {
      if (error) this.#loop.send(command.reset, this.handle, http2Code.connectError);
      else this.#loop.send(command.close, this.handle);
      this.#over();
    }
    done(error);
  }

  resetAndDestroy(): void {
    if (this.#state === 'open') {
      this.#loop.send(command.reset, this.handle, http2Code.connectError);
      this.#over();
    }
    this.destroy();
  }

  /** Its number goes to somebody else; what is here is a shell. */
  protected handedOver(): void {
    this.#over();
    this.destroy();
  }

  /** The loop has closed it; of a relay it tells before, unless the end came before the relay. */
  protected closedByLoop(error: NodeJS.ErrnoException | undefined): void {
    if (this.#state === 'relayed') {
      const over = this.#relayOver;
      this.#relayOver = undefined;
      over?.(error);
      return;
    }
    this.#over();
    this.destroy(error);
  }

  #over(): void {
    if (this.#state === 'gone') return;
    this.#state = 'gone';
    if (this.keepsReceiving) return;
    this.#loop.forget(this.handle);
  }

  /** Events come past the end, until `done()`. */
  protected get keepsReceiving(): boolean {
    return false;
  }

  protected done(): void {
    this.#state = 'gone';
    this.#loop.forget(this.handle);
  }

  /** Nothing is under way to JavaScript and nothing waits here; undefined when that is so already. */
  settled(): Promise<void> | undefined {
    // What is written goes at once from now on: the peer of the relay waits behind it.
    this.#onDrained();
    if (!this.#reading) {
      if (this.readableLength > 0) this.#giveBack();
      return undefined;
    }
    this.pause();
    return new Promise((resolve) => {
      this.#answered = () => {
        this.#answered = undefined;
        this.#giveBack();
        resolve();
      };
      this.send(command.unread);
    });
  }

  #giveBack(): void {
    this.pause();
    const state = this.#reading;
    // Keeps read() from asking for more.
    this.#reading = true;
    for (let chunk = this.read() as Buffer | null; chunk !== null; chunk = this.read() as Buffer | null) {
      this.send(command.unshift, 0, 0, 0, chunk);
    }
    this.#reading = state;
  }

  /** Nothing was read, written or ended here, nor is it about to be. */
  get untouched(): boolean {
    return this.#state === 'open' && !this.#reading && this.readableLength === 0 && this.#writtenAhead === 0;
  }

  /**
   * The loop relays it with `downstream` as soon as it stands: a dial, or a CONNECT; `answer` are headers of the 200 that the downstream is
   * waiting for, undefined where it is none. join() takes that over. Sent behind the command that makes this stream.
   */
  relayWhenReady(downstream: NativeStream, counters: LoopCounters, answer: readonly string[] | undefined): void {
    this.#ahead = { downstream, counters, running: false, over: undefined };
    const { slot, generation } = this.handle;
    const index = counters.follow(this.#loop);
    this.#loop.send(command.relayWhen, downstream.handle, slot, generation, index, answer && writePieces(answer));
  }

  /** It stands, or never will; `relayed`: and the loop has begun. */
  protected stands(relayed: boolean): void {
    const ahead = this.#ahead;
    if (!ahead || ahead.running) return;
    const { downstream, counters } = ahead;
    // Given up since then, as the loop is about to hear: it ends both, and tells the downstream.
    if (!relayed || downstream.#state !== 'open') {
      this.#ahead = undefined;
      counters.settle();
      if (relayed) this.resetAndDestroy();
      return;
    }
    ahead.running = true;
    this.#state = 'relayed';
    downstream.#state = 'relayed';
    downstream.#relayOver = (error) => {
      this.#leave();
      downstream.#leave();
      counters.settle();
      ahead.over = { error: downstream.#cutReason ?? this.#cutReason ?? error };
    };
  }

  get isRelayed(): boolean {
    return this.#state === 'relayed';
  }

  /** The loop has begun to relay it with `upstream`. */
  isRelayedAheadTo(upstream: NativeStream): boolean {
    const ahead = upstream.#ahead;
    return ahead?.downstream === this && ahead.running;
  }

  /** Both ends belong to the loop until `over`; `signal`ling an end is `cut`. */
  join(upstream: NativeStream, counters: LoopCounters, over: RelayOver): void {
    const ahead = upstream.#ahead;
    if (ahead?.over) {
      over(ahead.over.error);
      return;
    }
    this.#state = 'relayed';
    upstream.#state = 'relayed';
    this.#relayOver = (error, moved) => {
      upstream.#leave();
      this.#leave();
      over(this.#cutReason ?? upstream.#cutReason ?? error, moved);
    };
    if (ahead?.running) return;
    const { slot, generation } = upstream.handle;
    this.#loop.send(command.relay, this.handle, slot, generation, counters.follow(this.#loop));
  }

  /** Of a relay's downstream: the relay goes on in another process, whose both ends are. */
  moved(): void {
    const over = this.#relayOver;
    this.#relayOver = undefined;
    over?.(undefined, true);
  }

  /** Resets both ends of the relay, for this reason. */
  cut(reason: Error): void {
    this.#cutReason ??= reason;
    if (this.#state === 'relayed') this.#loop.send(command.reset, this.handle, http2Code.connectError);
  }

  #leave(): void {
    this.#state = 'gone';
    if (!this.keepsReceiving) this.#loop.forget(this.handle);
    this.destroy();
  }

  #onRelayed(kind: number, value: number): void {
    const over = this.#relayOver;
    this.#relayOver = undefined;
    const error = relayError(kind, value);
    if (over) {
      over(error);
    } else {
      // Begun by the loop with an end that was given up meanwhile.
      this.#over();
      this.destroy(error);
    }
  }
}

const ignore = () => undefined;

export function relayError(kind: number, value: number): NodeJS.ErrnoException | undefined {
  switch (kind) {
    case relayEnd.failed:
      return systemError(value, 'relay');
    case relayEnd.streamReset:
      return resetError(value);
    case relayEnd.connectionLost:
      return new MeshError('H2_FAILED', 'the HBONE connection was lost');
    default:
      return undefined;
  }
}

export function resetError(code: number): NodeJS.ErrnoException {
  const error: NodeJS.ErrnoException = new Error(`the peer reset the stream with ${http2Name(code)}`);
  error.code = 'ERR_HTTP2_STREAM_ERROR';
  return error;
}

export function systemError(errno: number, syscall: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno);
  const error: NodeJS.ErrnoException = new Error(`${syscall} ${code}`);
  error.code = code;
  error.errno = -errno;
  error.syscall = syscall;
  return error;
}
