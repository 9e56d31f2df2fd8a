/**
 * What an engine may begin by itself: connections that are equal to one that was decided, as long as nothing has changed since. Whoever
 * decides says so by `again`, and hears of each such connection when it stands; whatever does not go as it went then is asked.
 */
import type { Duplex } from 'node:stream';
import type { Fd } from '../core/brand.ts';
import type { Ip, SocketAddr } from '../core/net.ts';
import type { RelayCounters, RelayResult } from './relay.ts';

/** A connection that stands already. */
export interface Begun {
  /** Of the client, on its address of then. */
  readonly port: number;
  /** As it was sent, or came; undefined where the peer sent none. */
  readonly traceparent: string | undefined;
  readonly counters: RelayCounters;
  /** The mesh has changed meanwhile: it is to be judged by what holds now. */
  readonly stale: boolean;
  /** Resets both ends. */
  cut(reason: Error): void;
  /** `over` is called once, never from within this call. */
  onOver(over: (result: RelayResult) => void): void;
}

export interface Heirs {
  begun(connection: Begun): void;
  /** One that never stood, for the account: refused by the peer, or given up by who asked. */
  missed(connection: Pick<Begun, 'port' | 'traceparent'>, error: Error): void;
}

/** Of the client's side: further connections of this source to this target get a tunnel on the same connection. */
export interface AgainOutbound {
  /** The memory's generation when it was decided. */
  readonly asOf: number;
  /** As the engine accepted it. */
  readonly downstream: Duplex;
  readonly source: Ip;
  readonly target: SocketAddr;
  /** A connection with a higher descriptor is asked for. */
  readonly highestFd: number;
  /** But for `forwarded` and `traceparent`, which are made for each. */
  readonly headers: { readonly authority: string; readonly baggage: string };
  /** For `forwarded`. */
  readonly host: string | undefined;
}

/** Of the server's side: further CONNECTs of the same peer that say the same but for client's port and trace. */
export interface AgainInbound {
  readonly asOf: number;
  readonly target: SocketAddr;
  /** The app sees this address as its client's. */
  readonly bind: Ip | undefined;
  readonly sockets: SocketSource;
  /** Headers of the 200. */
  readonly answer: Readonly<Record<string, string>>;
}

/** Where sockets for connections to an app come from; one object for all of a kind. */
export interface SocketSource {
  /** undefined: none is there now. */
  spare(): Fd | undefined;
}
