/**
 * The border to the native engine's thread: commands leave in one batch for each turn of Node's loop, events come in one. Both are
 * records of eight numbers, with bytes behind them. Objects are named by a slot and its generation, so that whatever comes late
 * for one that is gone does nothing.
 */
import { addon, type RawContext, type RawEngineLoop } from './addon.ts';

export type { RawContext } from './addon.ts';

/** What their arguments mean: native/engine/loop/messages.h. */
export const command = {
  listen: 0,
  dial: 1,
  read: 2,
  unread: 3,
  unshift: 4,
  write: 5,
  end: 6,
  close: 7,
  reset: 8,
  relay: 9,
  relayWhen: 10,
  tunnel: 11,
  accepted: 12,
  refuse: 13,
  open: 14,
  respond: 15,
  ping: 16,
  heard: 17,
  goaway: 18,
  planOut: 19,
  planIn: 20,
  stock: 21,
  supply: 22,
  revisit: 23,
  freeze: 24,
  restore: 25,
  live: 26,
  forget: 27,
} as const;

export const event = {
  accepted: 0,
  acceptFailed: 1,
  connected: 2,
  read: 3,
  drained: 4,
  broken: 5,
  relayed: 6,
  handshaken: 7,
  settings: 8,
  pong: 9,
  heard: 10,
  goaway: 11,
  request: 12,
  response: 13,
  refused: 14,
  streamClosed: 15,
  flooded: 16,
  failed: 17,
  closed: 18,
  begun: 19,
  missed: 20,
  taken: 21,
  frozen: 22,
  unmoved: 23,
  restored: 24,
  unreadable: 25,
} as const;

/** The same text as the addon's: native/engine/loop/messages.h. */
const names = (of: Record<string, number>) =>
  Object.keys(of)
    .map((name) => `${name},`)
    .join('');
export const abi = `commands:${names(command)}events:${names(event)}record:8`;

export const readResult = { data: 0, end: 1, failed: 2, nothing: 3 } as const;
export const relayEnd = { complete: 0, failed: 1, streamReset: 2, connectionLost: 3 } as const;
export const tunnelFailure = { tls: 0, http2: 1, peerFlood: 2, truncated: 3 } as const;

/** An object of the loop. */
export interface Handle {
  /** Below 0: named here; else by the loop. */
  readonly slot: number;
  readonly generation: number;
}

export interface EngineEvent {
  readonly type: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  /** Valid during the call. */
  readonly bytes: Buffer;
}

/** Commands that wait. One of both, once. */
export interface Held {
  /** They go now. */
  goOn(): void;
  /** Nobody is there for them any more. */
  drop(): void;
}

export interface Receiver {
  receive(event: EngineEvent): void;
}

/** Numbers of one record. */
const width = 8;
const relaysInChunk = 4096;
const noBytes = Buffer.alloc(0);

class Names {
  readonly generations: number[] = [];
  readonly receivers: (Receiver | undefined)[] = [];

  at(index: number, generation: number): Receiver | undefined {
    return this.generations[index] === generation ? this.receivers[index] : undefined;
  }
}

export class EngineLoop {
  readonly #raw: RawEngineLoop;
  readonly #ours = new Names();
  readonly #theirs = new Names();
  readonly #free: number[] = [];
  #live = 0;
  #records = new Int32Array(width * 1024);
  #count = 0;
  #bytes = Buffer.allocUnsafeSlow(64 * 1024);
  #size = 0;
  #scheduled = false;
  /** Events are being worked on; submit() is called behind them. */
  #receiving = false;
  readonly #counterChunks: Float64Array[] = [];
  readonly #freeCounters: number[] = [];
  #nextCounter = 0;
  readonly #submit = () => this.submit();
  /** What waits for objects that are frozen, by their names. */
  readonly #held = new Map<string, (() => void)[]>();

  /**
   * `spinUs`: how long its thread asks the kernel for events before it sleeps, while there are any; 0 to 1,000. Throws when the addon is not
   * built, or is another version's.
   */
  constructor(spinUs = 0) {
    const { EngineLoop: Raw } = addon();
    if (Raw.abi !== abi) {
      throw new Error('the addon native/build/aquifer.node is of another version; run: make -C native');
    }
    this.#raw = new Raw((count, records, bytes) => this.#receive(count, records, bytes), this.#submit, spinUs);
  }

  /** Names an object that a command is about to make. While there are any, the process stays. */
  name(receiver: Receiver): Handle {
    const index = this.#free.pop() ?? this.#ours.generations.length;
    const generation = ((this.#ours.generations[index] ?? 0) + 1) | 0;
    this.#ours.generations[index] = generation;
    this.#ours.receivers[index] = receiver;
    this.#hold(1);
    return { slot: ~index, generation };
  }

  /** Receives for an object that the loop has named. */
  adopt(slot: number, generation: number, receiver: Receiver): Handle {
    this.#theirs.generations[slot] = generation;
    this.#theirs.receivers[slot] = receiver;
    this.#hold(1);
    return { slot, generation };
  }

  /** It is gone, or the command that ends it was sent. */
  forget({ slot, generation }: Handle): void {
    const names = slot < 0 ? this.#ours : this.#theirs;
    const index = slot < 0 ? ~slot : slot;
    if (names.at(index, generation) === undefined) return;
    names.receivers[index] = undefined;
    if (slot < 0) this.#free.push(index);
    this.#hold(-1);
  }

  send(type: number, to: Handle, a = 0, b = 0, c = 0, bytes: Uint8Array = noBytes): void {
    const waiting = this.#held.size > 0 ? this.#held.get(nameOf(to)) : undefined;
    if (waiting) {
      const copy = Uint8Array.from(bytes);
      waiting.push(() => this.send(type, to, a, b, c, copy));
      return;
    }
    const at = this.#count * width;
    if (at + width > this.#records.length) this.#records = grown(this.#records);
    const records = this.#records;
    const size = bytes.length;
    if (size > 0) {
      if (this.#size + size > this.#bytes.length) {
        const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#size + size));
        this.#bytes.copy(larger, 0, 0, this.#size);
        this.#bytes = larger;
      }
      this.#bytes.set(bytes, this.#size);
    }
    records[at] = type;
    records[at + 1] = to.slot;
    records[at + 2] = to.generation;
    records[at + 3] = a;
    records[at + 4] = b;
    records[at + 5] = c;
    records[at + 6] = this.#size;
    records[at + 7] = size;
    this.#size += size;
    this.#count++;
    // What a batch of events leads to is handed over together, when they and all promises behind them are done.
    if (this.#scheduled || this.#receiving) return;
    this.#scheduled = true;
    setImmediate(this.#submit);
  }

  /**
   * Commands to these wait, in their order, until `goOn` or `drop`: the loop has frozen the objects, and would drop them. What was sent before
   * goes first.
   */
  hold(handles: Iterable<Handle>): Held {
    const held = new Set(Array.from(handles, nameOf));
    const waiting: (() => void)[] = [];
    for (const name of held) this.#held.set(name, waiting);
    const release = () => {
      for (const name of held) this.#held.delete(name);
    };
    return {
      goOn() {
        release();
        for (const send of waiting) send();
      },
      drop: release,
    };
  }

  /** Hands over what has been sent; comes by itself in the same turn. */
  submit(): void {
    this.#scheduled = false;
    this.#receiving = false;
    if (this.#count === 0) return;
    this.#raw.submit(this.#records, this.#count, this.#bytes, this.#size);
    this.#count = 0;
    this.#size = 0;
  }

  /** Plans of before mean nothing from this call on. Returns the generation of those that follow. */
  raise(): number {
    return this.#raw.raise();
  }

  addContext(context: RawContext): number {
    return this.#raw.addContext(context);
  }

  removeContext(context: number): void {
    this.#raw.removeContext(context);
  }

  /** Where one relay counts. */
  takeCounters(): number {
    const index = this.#freeCounters.pop() ?? this.#nextCounter++;
    const chunk = Math.floor(index / relaysInChunk);
    this.#counterChunks[chunk] ??= this.#raw.counters(chunk);
    this.#counterChunks[chunk].fill(0, (index % relaysInChunk) * 2, (index % relaysInChunk) * 2 + 2);
    return index;
  }

  giveCounters(index: number): void {
    this.#freeCounters.push(index);
  }

  /** `side` 0: bytes from downstream; 1: to it. */
  count(index: number, side: 0 | 1): number {
    const chunk = Math.floor(index / relaysInChunk);
    this.#counterChunks[chunk] ??= this.#raw.counters(chunk);
    return this.#counterChunks[chunk][(index % relaysInChunk) * 2 + side]!;
  }

  #hold(by: 1 | -1): void {
    this.#live += by;
    if (by === 1 && this.#live === 1) this.#raw.ref();
    else if (this.#live === 0) this.#raw.unref();
  }

  #receive(count: number, records: Int32Array, bytes: Uint8Array): void {
    this.#receiving = true;
    const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0; i < count * width; i += width) {
      const slot = records[i + 1]!;
      const generation = records[i + 2]!;
      const receiver = slot < 0 ? this.#ours.at(~slot, generation) : this.#theirs.at(slot, generation);
      const type = records[i]!;
      const a = records[i + 3]!;
      const b = records[i + 4]!;
      if (receiver === undefined) {
        // Nobody is there who would end it.
        if (type === event.accepted || type === event.request || type === event.begun)
          this.send(command.reset, { slot: a, generation: b });
        continue;
      }
      const length = records[i + 7]!;
      const offset = records[i + 6]!;
      receiver.receive({
        type,
        a,
        b,
        c: records[i + 5]!,
        bytes: length === 0 ? noBytes : all.subarray(offset, offset + length),
      });
    }
  }
}

/** One object's in all of the loop. */
export function nameOf({ slot, generation }: Handle): string {
  return `${slot}|${generation}`;
}

function grown(records: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(records.length * 2);
  larger.set(records);
  return larger;
}

/** Pieces behind each other, each behind its length. */
export function readPieces(bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at + 4 <= bytes.length; ) {
    const size = bytes.readUInt32LE(at);
    pieces.push(bytes.subarray(at + 4, at + 4 + size));
    at += 4 + size;
  }
  return pieces;
}

/** Of text in Latin-1, as headers are. */
export function writePieces(pieces: readonly string[]): Buffer {
  let size = 0;
  for (const piece of pieces) size += 4 + piece.length;
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const piece of pieces) {
    // Without writeUInt32LE, whose checks cost a tenth of a worker under new connections.
    const { length } = piece;
    bytes[at++] = length;
    bytes[at++] = length >>> 8;
    bytes[at++] = length >>> 16;
    bytes[at++] = length >>> 24;
    at += bytes.write(piece, at, 'latin1');
  }
  return bytes;
}
