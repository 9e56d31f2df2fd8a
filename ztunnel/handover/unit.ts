/**
 * What JavaScript knows of open connections that move to another process together: a tunnel with all that it carries, or one plain
 * relay. Keys, stream states and bytes under way are not here; the engine's own state carries them.
 */
import type { Ip, SocketAddr } from '../../common/core/net.ts';
import type { DialTarget } from '../../common/hbone/types.ts';
import type { Identity } from '../../common/mesh/types.ts';
import type { ConnectionRecord } from '../proxy/account.ts';

export interface Unit {
  readonly pod: PodInstance;
  /** undefined: a plain relay, or one whose stream has gone. */
  readonly tunnel: MovedTunnel | undefined;
  readonly relays: readonly MovedRelay[];
}

/** A pod in one network namespace; numbers of pods are their supervisor's own. */
export interface PodInstance {
  readonly uid: string;
  /** See Kernel.netnsKey. */
  readonly netns: string;
}

export interface MovedTunnel {
  readonly remote: SocketAddr;
  readonly local: SocketAddr;
  /** Which identity the peer proved. */
  readonly peer: Identity;
  /** The peer's, DER, leaf first: whether it is revoked is judged again. */
  readonly chain: readonly Uint8Array[];
  /** Ms since the epoch: when the first of both leaf certificates expires. */
  readonly expiresAt: number;
  /** What the peer's SETTINGS allow; undefined: no limit. */
  readonly maxStreams: number | undefined;
  /** It takes no new stream: a GOAWAY came or went. */
  readonly leaving: boolean;
  /** What the pool knows it by; undefined: it was accepted. */
  readonly dialled: DialTarget | undefined;
}

export interface MovedRelay {
  /** By which the engine's state names it, 0 to 2^32-1. */
  readonly tag: number;
  readonly record: ConnectionRecord;
  /** ms that it has been open for. */
  readonly elapsedMs: number;
  /** Bytes until now, as RelayCounters. */
  readonly received: number;
  readonly sent: number;
  /** What policies are asked again about it; undefined for connections from the pod, over which none rules. */
  readonly inbound: { readonly source: Ip; readonly target: SocketAddr } | undefined;
}
