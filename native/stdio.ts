/** Standard streams for processes: pipes that /dev/stdout can open again, and pseudo-terminals. */
import { readSync, writeSync } from 'node:fs';
import { Duplex } from 'node:stream';
import type { Fd } from '../common/core/brand.ts';
import { addon, type RawPoll } from './addon.ts';
import { closeFd } from './sock.ts';

/** Both ends are the caller's to close; neither is inherited by accident. */
export interface Pipe {
  readonly read: Fd;
  readonly write: Fd;
}

/** A pipe(7) that `owner` (a uid) may open by /dev/stdout, as it may where container runtimes make it. */
export function makePipe(owner: number): Pipe {
  const [read, write] = addon().makePipe(owner);
  return { read: read as Fd, write: write as Fd };
}

/** A new pseudo-terminal (pty(7)); `process` is the caller's, to give to a process of the user `owner` and to close. */
export function openTerminal(owner: number): { readonly terminal: Terminal; readonly process: Fd } {
  const [ours, process] = addon().openTerminal(owner);
  return { terminal: new Terminal(ours as Fd), process: process as Fd };
}

const [readable, writable] = [1, 2];
const readSize = 16 * 1024;

/** What a user types and sees. It ends when the last process has closed its end; closing it sends SIGHUP to those that have not. */
export class Terminal extends Duplex {
  readonly #fd: Fd;
  readonly #poll: RawPoll;
  readonly #buffer = Buffer.alloc(readSize);
  #reading = false;
  #unwritten: { bytes: Buffer; done: (e?: Error | null) => void } | undefined;

  constructor(fd: Fd) {
    super();
    this.#fd = fd;
    this.#poll = new (addon().Poll)(fd, () => this.#onReady());
  }

  /** Whoever is in the foreground gets SIGWINCH. */
  resize(columns: number, rows: number): void {
    if (!this.destroyed) addon().resizeTerminal(this.#fd, columns, rows);
  }

  override _read(): void {
    this.#reading = true;
    this.#watch();
  }

  override _write(chunk: Buffer, _encoding: string, done: (e?: Error | null) => void): void {
    this.#unwritten = { bytes: chunk, done };
    this.#watch();
  }

  /** A terminal has no end of input but the key for it: EOT (control-D), which a process sees at the beginning of a line. */
  override _final(done: (e?: Error | null) => void): void {
    this._write(Buffer.of(4), '', done);
  }

  override _destroy(error: Error | null, done: (e?: Error | null) => void): void {
    this.#poll.close();
    closeFd(this.#fd);
    done(error);
  }

  #watch(): void {
    if (this.destroyed) return;
    this.#poll.watch((this.#reading ? readable : 0) | (this.#unwritten ? writable : 0));
  }

  #onReady(): void {
    if (this.destroyed) return;
    if (this.#unwritten) this.#writeSome(this.#unwritten);
    if (this.#reading && !this.destroyed) this.#readSome();
    this.#watch();
  }

  #readSome(): void {
    const count = attempt(() => readSync(this.#fd, this.#buffer));
    if (count === undefined) return;
    if (count instanceof Error || count === 0) {
      // EIO: no process has it open any more.
      this.#reading = false;
      this.push(null);
      return;
    }
    this.#reading = this.push(Buffer.from(this.#buffer.subarray(0, count)));
  }

  #writeSome({ bytes, done }: { bytes: Buffer; done: (e?: Error | null) => void }): void {
    const count = attempt(() => writeSync(this.#fd, bytes));
    if (count === undefined) return;
    if (typeof count === 'number' && count < bytes.length) {
      this.#unwritten = { bytes: bytes.subarray(count), done };
      return;
    }
    this.#unwritten = undefined;
    done(count instanceof Error ? count : null);
  }
}

/** undefined: not now. */
function attempt(call: () => number): number | Error | undefined {
  try {
    return call();
  } catch (e) {
    const { code } = e as NodeJS.ErrnoException;
    return code === 'EAGAIN' ? undefined : (e as Error);
  }
}
