/**
 * What JavaScript knows of open connections that move to another process together: a tunnel with all that it carries, or one plain
 * relay. Keys, stream states and bytes under way are not here; the engine's own state carries them.
 */
import type { Ip, SocketAddr } from '../../common/core/net.ts';
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

/** It takes nothing new in the process that it comes to: peers are told by GOAWAY, which breaks no stream. */
export interface MovedTunnel {
  /** `client`: it was dialled from here. */
  readonly role: 'client' | 'server';
  /** For messages. */
  readonly remote: string;
  /** The peer's, DER, leaf first: whether it is revoked is judged again. */
  readonly chain: readonly Uint8Array[];
}

export interface MovedRelay {
  /** By which the engine's state names it. */
  readonly tag: string;
  readonly record: ConnectionRecord;
  /** ms that it has been open for. */
  readonly elapsedMs: number;
  /** Bytes until now, as RelayCounters. */
  readonly received: number;
  readonly sent: number;
  /** What policies are asked again about it; undefined for connections from the pod, over which none rules. */
  readonly inbound: { readonly source: Ip; readonly target: SocketAddr } | undefined;
}
