/**
 * A pod's ready sockets. The supervisor makes them, because only it may enter the pod's namespace; a worker keeps a few of each
 * kind so that a connection does not wait for it, and asks for more in batches that follow the demand.
 */

import type { Fd } from '../../common/core/brand.ts';
import type { CancelSignal } from '../../common/core/cancel.ts';
import { MeshError } from '../../common/core/errors.ts';
import { maxSocketsPerPacket, type SocketKind, socketKinds } from '../control/messages.ts';

export interface SocketStockOptions {
  /** Asks the supervisor; `supply` is the answer. */
  readonly request: (kind: SocketKind, count: number) => void;
  readonly closeFd: (fd: Fd) => void;
}

/** Sockets asked for at a time when nothing is going on. */
const quietBatch = 8;

interface Waiter {
  readonly resolve: (fd: Fd) => void;
  readonly reject: (error: Error) => void;
}

interface Shelf {
  readonly free: Fd[];
  readonly waiting: Set<Waiter>;
  requested: number;
  /** 8 to 128: doubles when a taker had to wait, falls back when a sweep sees no demand. */
  batch: number;
  taken: number;
}

export class SocketStock {
  readonly #options: SocketStockOptions;
  readonly #shelves: Readonly<Record<SocketKind, Shelf>>;
  #closed = false;

  constructor(options: SocketStockOptions) {
    this.#options = options;
    this.#shelves = Object.fromEntries(
      socketKinds.map((kind) => [kind, { free: [], waiting: new Set(), requested: 0, batch: quietBatch, taken: 0 }]),
    ) as unknown as Record<SocketKind, Shelf>;
  }

  /** Open descriptors in stock. */
  get size(): number {
    return socketKinds.reduce((n, kind) => n + this.#shelves[kind].free.length, 0);
  }

  /** Asks for a first batch, so that the pod's first connection does not wait. */
  prime(kind: SocketKind): void {
    this.#refill(kind, this.#shelves[kind]);
  }

  /** The caller owns the descriptor. undefined: use `wait`. */
  take(kind: SocketKind): Fd | undefined {
    const shelf = this.#shelves[kind];
    shelf.taken++;
    const fd = shelf.free.pop();
    if (fd !== undefined) this.#refill(kind, shelf);
    return fd;
  }

  /** As `take`, but leaves some for those who would have to wait, and asks for larger batches instead. */
  spare(kind: SocketKind): Fd | undefined {
    const shelf = this.#shelves[kind];
    if (shelf.free.length > quietBatch / 2) return this.take(kind);
    if (shelf.requested === 0) shelf.batch = Math.min(shelf.batch * 2, maxSocketsPerPacket);
    this.#refill(kind, shelf);
    return undefined;
  }

  /** Waits for the supervisor. MeshError KERNEL with its reason, CANCELLED when the signal aborts or the pod goes. */
  wait(kind: SocketKind, signal: CancelSignal): Promise<Fd> {
    const shelf = this.#shelves[kind];
    if (this.#closed || signal.aborted) return Promise.reject(cancelled());
    shelf.batch = Math.min(shelf.batch * 2, maxSocketsPerPacket);
    return new Promise((resolve, reject) => {
      const done = () => {
        shelf.waiting.delete(waiter);
        signal.removeEventListener('abort', abort);
      };
      const waiter: Waiter = {
        resolve(fd) {
          done();
          resolve(fd);
        },
        reject(error) {
          done();
          reject(error);
        },
      };
      const abort = () => waiter.reject(cancelled());
      signal.addEventListener('abort', abort);
      shelf.waiting.add(waiter);
      this.#refill(kind, shelf);
    });
  }

  /** The supervisor's answer to one request. */
  supply(kind: SocketKind, asked: number, fds: readonly Fd[], error: string): void {
    const shelf = this.#shelves[kind];
    shelf.requested = Math.max(0, shelf.requested - asked);
    if (this.#closed) {
      for (const fd of fds) this.#options.closeFd(fd);
      return;
    }
    for (const fd of fds) {
      const [first] = shelf.waiting;
      if (first) first.resolve(fd);
      else shelf.free.push(fd);
    }
    if (error !== '') {
      // As many as this request would have served: the rest may still get theirs from another.
      for (const waiter of [...shelf.waiting].slice(0, asked)) {
        waiter.reject(new MeshError('KERNEL', `no socket could be made in the pod's network namespace: ${error}`));
      }
    } else {
      this.#refill(kind, shelf);
    }
  }

  /** Called now and then: gives back what a burst left behind. */
  sweep(): void {
    for (const kind of socketKinds) {
      const shelf = this.#shelves[kind];
      if (shelf.taken === 0) {
        shelf.batch = quietBatch;
        for (const fd of shelf.free.splice(quietBatch)) this.#options.closeFd(fd);
      }
      shelf.taken = 0;
    }
  }

  close(): void {
    this.#closed = true;
    for (const kind of socketKinds) {
      const shelf = this.#shelves[kind];
      for (const fd of shelf.free.splice(0)) this.#options.closeFd(fd);
      for (const waiter of [...shelf.waiting]) waiter.reject(cancelled());
    }
  }

  #refill(kind: SocketKind, shelf: Shelf): void {
    if (this.#closed) return;
    let missing = shelf.waiting.size - shelf.requested;
    if (shelf.free.length + shelf.requested - shelf.waiting.size < shelf.batch / 2) {
      missing = Math.max(missing, shelf.batch);
    }
    while (missing > 0) {
      const count = Math.min(missing, maxSocketsPerPacket);
      shelf.requested += count;
      missing -= count;
      this.#options.request(kind, count);
    }
  }
}

function cancelled(): MeshError {
  return new MeshError('CANCELLED', 'the connection ended before a socket was ready');
}
