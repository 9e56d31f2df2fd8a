/** A connection to an upstream host, whatever its version of HTTP. */
import type { Departure } from '../net/departure.ts';
import type { ClientExchange, RequestHead, ResponseReader } from './message.ts';

export interface ClientCodec {
  /** `end`: the request has no body. As many at a time as `streams` said when it opened. */
  request(head: RequestHead, end: boolean, reader: ResponseReader): ClientExchange;
  /** Takes no further request; closes when those under way are done. */
  drain(): void;
  /** Ends it now. */
  cut(error: Error): void;
}

/** What a codec tells besides its answers. Nothing after `closed`. */
export interface ClientHandler {
  /** How many requests the peer allows at a time from now on. */
  allowed(streams: number): void;
  /** It takes no further request; told before the answer is that made it so. */
  draining(): void;
  closed(error: Error | undefined, departure: Departure): void;
}
