/**
 * A bucket for each key that comes, at most so many. To make room only a bucket that is full again is forgotten, since a new one would
 * be no different; while there is none, all further keys share one bucket. So a flood of keys costs neither memory nor the limit.
 */
import { type BucketSize, TokenBucket } from './bucket.ts';

/** How many of those that were used longest ago are looked at for a full one. */
const looked = 4;

export class KeyedBuckets {
  readonly #size: BucketSize;
  readonly #most: number;
  /** Used longest ago first. */
  readonly #buckets = new Map<string, TokenBucket>();
  #shared: TokenBucket | undefined;

  constructor(size: BucketSize, most: number) {
    this.#size = size;
    this.#most = most;
  }

  get count(): number {
    return this.#buckets.size;
  }

  /** `isShared`: the key has none of its own. */
  of(key: string, now: number): { readonly bucket: TokenBucket; readonly isShared: boolean } {
    const known = this.#buckets.get(key);
    if (known) {
      this.#buckets.delete(key);
      this.#buckets.set(key, known);
      return { bucket: known, isShared: false };
    }
    if (this.#buckets.size >= this.#most && !this.#makeRoom(now)) {
      this.#shared ??= new TokenBucket(this.#size, now);
      return { bucket: this.#shared, isShared: true };
    }
    const bucket = new TokenBucket(this.#size, now);
    this.#buckets.set(key, bucket);
    return { bucket, isShared: false };
  }

  #makeRoom(now: number): boolean {
    let left = looked;
    for (const [key, bucket] of this.#buckets) {
      if (left-- === 0) return false;
      if (!bucket.isFull(now)) continue;
      this.#buckets.delete(key);
      return true;
    }
    return false;
  }
}
