/** Addresses of a lab. Every lab uses the same ones: labs share no network with each other or with the machine. */
import { MeshError } from '../common/core/errors.ts';

export interface Addresses {
  readonly v4: string;
  readonly v6: string;
}

export const hostNetwork = { v4: 24, v6: 64 } as const;
export const controlPlane: Addresses = { v4: '172.18.0.2', v6: 'fd00:172:18::2' };
export const serviceRange: Addresses = { v4: '10.96.0.0/16', v6: 'fd00:10:96::/112' };
/** Number 10 of the services' range. */
export const clusterDns: Addresses = serviceAddress(10);
export const clusterDomain = 'cluster.local';
/** What pods use as next hop; on the node's end of every pod's veth. */
export const podGateway: Addresses = { v4: '169.254.1.1', v6: 'fe80::1' };

/** `index` is 1 to 9. */
export function nodeAddress(index: number): Addresses {
  return { v4: `172.18.0.${10 + index}`, v6: `fd00:172:18::${10 + index}` };
}

export function podRange(index: number): Addresses {
  return { v4: `10.244.${index}.0/24`, v6: `fd00:10:244:${index}::/64` };
}

/** `host` is 2 to 254. */
export function podAddress(index: number, host: number): Addresses {
  return { v4: `10.244.${index}.${host}`, v6: `fd00:10:244:${index}::${host.toString(16)}` };
}

/** `host` is 1 to 65,534. */
export function serviceAddress(host: number): Addresses {
  return { v4: `10.96.${host >> 8}.${host & 0xff}`, v6: `fd00:10:96::${host.toString(16)}` };
}

/** Numbers handed out in turn, so that a number that was given back rests for as long as possible. */
export class NumberPool {
  readonly #first: number;
  readonly #last: number;
  readonly #taken = new Set<number>();
  #next: number;

  /** Both ends belong to the pool. */
  constructor(first: number, last: number) {
    this.#first = first;
    this.#last = last;
    this.#next = first;
  }

  /** MeshError CONFIG when none is left. */
  take(): number {
    for (let i = this.#first; i <= this.#last; i++) {
      const n = this.#next;
      this.#next = n === this.#last ? this.#first : n + 1;
      if (this.reserve(n)) return n;
    }
    throw new MeshError('CONFIG', `all ${this.#last - this.#first + 1} addresses are in use`);
  }

  /** False when it is taken or outside of the pool. */
  reserve(n: number): boolean {
    if (n < this.#first || n > this.#last || this.#taken.has(n)) return false;
    this.#taken.add(n);
    return true;
  }

  release(n: number): void {
    this.#taken.delete(n);
  }
}
