/**
 * What moves bytes, behind one object: listeners, dials, HBONE server, HBONE pool and relay (DESIGN 6). Everything above
 * decides and accounts; it sees streams, and reads or writes one only where a protocol is spoken in TypeScript.
 */
import type { Duplex } from 'node:stream';
import type { Fd } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import type { SocketSource } from '../../common/hbone/again.ts';
import type { Relay, RelayCounters } from '../../common/hbone/relay.ts';
import type { HbonePool, HbonePoolOptions, HboneServer, HboneServerOptions } from '../../common/hbone/types.ts';
import type { Accepted } from '../proxy/accept.ts';
import type { Dial } from '../proxy/dial.ts';
import type { HandOver } from './hand-over.ts';

export interface Engine {
  /** Accepts until closed. The listener's descriptor is taken over; TCP_NODELAY and keep-alive are inherited from it. */
  accept(fd: Fd, onAccepted: (accepted: Accepted) => void, onError: (error: Error) => void): Listener;
  dialer(clock: Clock): Dial;
  createServer(options: HboneServerOptions): HboneServer;
  createPool(options: HbonePoolOptions): HbonePool;
  /** What a relay counts in. */
  counters(): RelayCounters;
  readonly relay: Relay;
  /** undefined: it is asked for each connection. */
  readonly memory: Memory | undefined;
  /** undefined: what is open stays in its process. */
  readonly handOver: HandOver | undefined;
  /** The engine was asked to relay the two ahead and has begun; also where that is over already. Then `relay` is to be called in any case. */
  begun(downstream: Duplex, upstream: Duplex): boolean;
}

/** Answers that the engine gives again by itself: `again` of tunnels (common/hbone/again.ts). */
export interface Memory {
  /** Of what is decided now. */
  readonly generation: number;
  /** The mesh has changed. What was kept is not used from this call on, and what was decided before is not kept any more. */
  forget(): void;
  /** The engine has no use for sockets of this source any more. */
  giveBack(source: SocketSource): void;
}

export interface Listener {
  /** What waits in the backlog is for whoever else has the socket. */
  close(): void;
}
