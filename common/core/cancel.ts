/**
 * What a connection is given up by. An AbortSignal fits `CancelSignal`; `Cancellation` is made for each connection instead, because
 * an AbortController with its listeners and events cost 2 to 3 % of a worker's time in new connections.
 */

/** The part of AbortSignal that waiting for something needs. */
export interface CancelSignal {
  readonly aborted: boolean;
  /** What `abort` was called with. */
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** Signal and controller in one. Each listener is called once. */
export class Cancellation implements CancelSignal {
  #aborted = false;
  #reason: unknown;
  readonly #listeners: (() => void)[] = [];

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    if (!this.#aborted) this.#listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.#listeners.indexOf(listener);
    if (at >= 0) this.#listeners.splice(at, 1);
  }

  /** The first call counts. */
  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    // One by one, so that a listener that an earlier one removes is not called, as with AbortSignal.
    while (this.#listeners.length > 0) this.#listeners.shift()!();
  }
}
