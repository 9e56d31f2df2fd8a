/** Tokens that come evenly: of so many at most, so many each interval. Time is the caller's, in ms, and never goes back. */
export interface BucketSize {
  readonly max: number;
  /** Tokens a ms. */
  readonly rate: number;
}

export class TokenBucket {
  readonly size: BucketSize;
  #tokens: number;
  #at: number;

  /** Full. */
  constructor(size: BucketSize, now: number) {
    this.size = size;
    this.#tokens = size.max;
    this.#at = now;
  }

  /** False: there is none, and none was taken. */
  take(now: number): boolean {
    this.#fill(now);
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Whole ones that are left. */
  left(now: number): number {
    this.#fill(now);
    return Math.floor(this.#tokens);
  }

  /** Ms until there is one; 0: there is. */
  wait(now: number): number {
    this.#fill(now);
    return this.#tokens >= 1 ? 0 : (1 - this.#tokens) / this.size.rate;
  }

  /** As if it were new: to forget it lets nobody do more. */
  isFull(now: number): boolean {
    this.#fill(now);
    return this.#tokens >= this.size.max;
  }

  #fill(now: number): void {
    if (now <= this.#at) return;
    this.#tokens = Math.min(this.size.max, this.#tokens + (now - this.#at) * this.size.rate);
    this.#at = now;
  }
}
