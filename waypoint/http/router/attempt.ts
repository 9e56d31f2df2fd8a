/** One try of a request at one host. */
import type { Lease } from '../../cluster/pool-types.ts';
import type { UpstreamConnection } from '../../upstream/connector.ts';
import type { Break, ClientExchange, HeaderList, RequestHead, ResponseHead, ResponseReader } from '../message.ts';

export interface AttemptEvents {
  informational(head: ResponseHead): void;
  response(head: ResponseHead, end: boolean): void;
  data(chunk: Buffer): void;
  end(trailers: HeaderList | undefined): void;
  broke(why: Break): void;
  drained(): void;
}

/** Gives its lease back exactly once, whatever happens. */
export class Attempt implements ResponseReader {
  readonly #lease: Lease<UpstreamConnection>;
  readonly #events: AttemptEvents;
  readonly #exchange: ClientExchange;
  #released = false;
  #responded = false;
  #sent: boolean;

  constructor(lease: Lease<UpstreamConnection>, head: RequestHead, end: boolean, events: AttemptEvents) {
    this.#lease = lease;
    this.#events = events;
    this.#sent = end;
    const connection = lease.codec;
    if (connection.kind !== 'http') throw new Error('a connection of bytes was given for a request');
    this.#exchange = connection.codec.request(head, end, this);
  }

  get protocol(): 'http1' | 'http2' | 'tcp' {
    return this.#lease.protocol;
  }

  get responded(): boolean {
    return this.#responded;
  }

  informational(head: ResponseHead): void {
    if (!this.#released) this.#events.informational(head);
  }

  response(head: ResponseHead, end: boolean): void {
    if (this.#released) return;
    this.#responded = true;
    if (end) this.#release(this.#sent);
    this.#events.response(head, end);
  }

  data(chunk: Buffer): void {
    if (!this.#released) this.#events.data(chunk);
  }

  end(trailers: HeaderList | undefined): void {
    if (this.#released) return;
    this.#release(this.#sent);
    this.#events.end(trailers);
  }

  broke(why: Break): void {
    if (this.#released) return;
    this.#release(false);
    this.#events.broke(why);
  }

  drained(): void {
    this.#events.drained();
  }

  write(chunk: Buffer): boolean {
    return this.#exchange.write(chunk);
  }

  finish(trailers: HeaderList | undefined): void {
    this.#sent = true;
    this.#exchange.end(trailers);
  }

  pause(): void {
    this.#exchange.pause();
  }

  resume(): void {
    this.#exchange.resume();
  }

  /** Nothing is told afterwards. */
  reset(): void {
    if (this.#released) return;
    this.#release(false);
    this.#exchange.reset('cancel');
  }

  #release(reusable: boolean): void {
    this.#released = true;
    // Other streams of HTTP/2 go on, whatever became of this one.
    this.#lease.release(reusable || this.#lease.protocol === 'http2');
  }
}
