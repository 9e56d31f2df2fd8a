/** What an engine must be able to do for open connections to move to another process (ztunnel/handover). */
import type { Duplex } from 'node:stream';
import type { Fd } from '../../common/core/brand.ts';
import type { MeshError } from '../../common/core/errors.ts';
import type { Begun } from '../../common/hbone/again.ts';
import type { MovedTunnel } from '../handover/unit.ts';

/** A relay that is open: of two streams, or begun by the engine. */
export type RelayEnds = { readonly downstream: Duplex; readonly upstream: Duplex } | Begun;

export interface HandOver {
  /** Of the engine's own state: another one cannot be read. */
  readonly version: string;
  /** What the relay moves with: the same object for all relays of a tunnel. A text: why it cannot move. */
  carrierOf(ends: RelayEnds): Carrier | string;
  /** Touches no socket. Owns the descriptors. Rejects with MeshError PROTOCOL. */
  restore(state: Fd, sockets: readonly Fd[], tunnel: MovedTunnel | undefined): Promise<RestoredCarrier>;
}

export interface Carrier {
  readonly tunnel: MovedTunnel | undefined;
  /** Whoever asks by it is told to ask elsewhere: nothing more begins on it than has begun. */
  noMore(): void;
  /** `relays`: all of it that are known. */
  freeze(relays: readonly RelayEnds[]): Promise<FrozenCarrier | Unmoved>;
}

/** It has gone on where it was. `lacksDescriptors`: it would move if this process could open more. */
export type Unmoved = { readonly unmoved: string } | { readonly lacksDescriptors: string };

/** Exactly one of thaw and forget is called. */
export interface FrozenCarrier {
  /** The state, then sockets. */
  readonly fds: readonly Fd[];
  /** undefined: it does not move with the others. */
  tagOf(ends: RelayEnds): string | undefined;
  /** What was asked of it meanwhile is done now. */
  thaw(): void;
  /** Its relays end with `moved`. */
  forget(): void;
}

/** Exactly one of goLive and discard is called. */
export interface RestoredCarrier {
  /** Of its relays. */
  readonly tags: readonly string[];
  /** `watch`: whether the peer's chain is revoked, where there is a tunnel. The relays, by tag. */
  goLive(watch: (cut: (error: MeshError) => void) => () => void): ReadonlyMap<string, Begun>;
  discard(): void;
}
