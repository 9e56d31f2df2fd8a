/** Made once: an abort without a reason makes an exception with a stack for each request. */
const over = new Error('the request is over');

/** From a request's begin to its end. A signal costs as much as all else of a small request, and few handlers ask for one. */
export class Lifetime {
  readonly #stopping: AbortSignal;
  #ended = false;
  #end: AbortController | undefined;
  #signal: AbortSignal | undefined;

  /** `stopping`: of the server. */
  constructor(stopping: AbortSignal) {
    this.#stopping = stopping;
  }

  /** Aborts when the request is over or the server stops. */
  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      this.#end = new AbortController();
      this.#signal = AbortSignal.any([this.#end.signal, this.#stopping]);
      if (this.#ended) this.#end.abort(over);
    }
    return this.#signal;
  }

  end(): void {
    this.#ended = true;
    this.#end?.abort(over);
  }
}
