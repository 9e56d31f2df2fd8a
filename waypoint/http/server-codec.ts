/** The seam between a codec and what decides about its requests: another codec takes the same calls. */
import type { Departure } from '../net/departure.ts';
import type { ResponseHead, ServerExchange } from './message.ts';

export interface ServerCodec {
  /** Takes no new requests; closes when those under way are answered. */
  drain(): void;
  /** Ends the connection now. */
  cut(error: Error): void;
}

export interface ServerHandler {
  exchange(exchange: ServerExchange): void;
  /** Some bytes of a request's head have come, and not all of it. */
  begun(): void;
  /** No request is under way. */
  idle(): void;
  /** What the peer sent is no request: how to answer. `first`: no exchange knows of it. */
  malformed(status: number, detail: string, first: boolean): { readonly head: ResponseHead; readonly body: string };
  /** All was sent, and the peer is to close. */
  ending(): void;
  /** The last call. */
  closed(error: Error | undefined, departure: Departure): void;
}
