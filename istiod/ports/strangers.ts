/**
 * Connections that have not said who they are. They are few, short and small, so that nobody can keep others out or fill memory
 * before having shown a token: the flood of one address costs that address's own connections.
 */
import { type Millis, millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';

export interface StrangerLimits {
  /** At once. */
  readonly connections: number;
  /** From accept to a call that is authenticated. */
  readonly time: Millis;
  /** Bytes received meanwhile, TLS included. Looked at ten times a second. */
  readonly bytes: number;
  /** Calls that may be refused on one connection. */
  readonly refusals: number;
}

export const strangerLimits: StrangerLimits = {
  connections: 256,
  time: millis(15_000),
  bytes: 512 * 1024,
  refusals: 5,
};

/** Of a socket. */
export interface StrangerSocket {
  readonly bytesRead: number;
  destroy(): void;
}

interface Stranger {
  readonly peer: string;
  readonly address: string;
  readonly socket: StrangerSocket;
  readonly since: number;
  refusals: number;
}

const look = millis(100);

export class Strangers {
  readonly #limits: StrangerLimits;
  readonly #clock: Clock;
  readonly #dropped: (peer: string, reason: string) => void;
  /** In the order in which they came. */
  readonly #all = new Map<string, Stranger>();
  #looking = false;

  constructor(limits: StrangerLimits, clock: Clock, dropped: (peer: string, reason: string) => void) {
    this.#limits = limits;
    this.#clock = clock;
    this.#dropped = dropped;
  }

  get size(): number {
    return this.#all.size;
  }

  enter(peer: string, address: string, socket: StrangerSocket): void {
    this.#all.set(peer, { peer, address, socket, since: this.#clock.now(), refusals: 0 });
    if (this.#all.size > this.#limits.connections) this.#drop(this.#oldestOfMost(), 'too many connections');
    this.#look();
  }

  /** It is known now, or gone. */
  leave(peer: string): void {
    this.#all.delete(peer);
  }

  refused(peer: string): void {
    const stranger = this.#all.get(peer);
    if (stranger === undefined) return;
    stranger.refusals++;
    if (stranger.refusals >= this.#limits.refusals) this.#drop(stranger, 'too many refusals');
  }

  #look(): void {
    if (this.#looking) return;
    this.#looking = true;
    this.#clock.after(look, () => {
      this.#looking = false;
      const { time, bytes } = this.#limits;
      for (const s of this.#all.values()) {
        if (this.#clock.now() - s.since >= time) this.#drop(s, 'not authenticated in time');
        else if (s.socket.bytesRead > bytes) this.#drop(s, 'too many bytes before authentication');
      }
      if (this.#all.size > 0) this.#look();
    });
  }

  #drop(stranger: Stranger, reason: string): void {
    this.#all.delete(stranger.peer);
    this.#dropped(stranger.peer, reason);
    stranger.socket.destroy();
  }

  /** Of the address that has most of them. */
  #oldestOfMost(): Stranger {
    const counts = new Map<string, number>();
    for (const { address } of this.#all.values()) counts.set(address, (counts.get(address) ?? 0) + 1);
    const most = Math.max(...counts.values());
    for (const s of this.#all.values()) if (counts.get(s.address) === most) return s;
    throw new Error('there are no strangers');
  }
}
