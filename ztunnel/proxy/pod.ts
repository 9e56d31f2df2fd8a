/** One proxied pod as the stages see it; worker/pod.ts makes it real. */

import type { Fd } from '../../common/core/brand.ts';
import type { CancelSignal } from '../../common/core/cancel.ts';
import type { SocketSource } from '../../common/hbone/again.ts';
import type { HbonePool } from '../../common/hbone/types.ts';
import { proxyPorts } from '../../common/mesh/address.ts';
import type { Workload } from '../../common/mesh/types.ts';
import type { WorkloadInfo } from '../../common/zds/types.ts';
import type { SocketKind } from '../control/messages.ts';

export interface ProxiedPod {
  readonly uid: string;
  /** Its network namespace: a uid that comes again in another one is another pod. */
  readonly netns: string;
  /** Identity as the node agent vouched for it, for exactly this network namespace. */
  readonly info: WorkloadInfo;
  /** Never a destination: the well-known ports and those of this pod's listeners. */
  readonly ownPorts: ReadonlySet<number>;
  /** The app sees the proxy's address instead of its clients'. */
  readonly hidesClients: boolean;
  /** Connections to other pods carry this pod's identity and address: they are never shared. */
  readonly pool: HbonePool;
  /** What the mesh says about this pod now. */
  workload(): Workload | undefined;
  /** Waits up to 5 s for it. MeshError UNKNOWN_SOURCE. */
  waitForWorkload(): Promise<Workload>;
  /** Sockets of a kind for an engine that connects by itself; the same object each time. */
  spares(kind: SocketKind): SocketSource;
  /** Highest descriptor that a connection of the pod may have. */
  readonly highestFd: number;
  /** What an engine began by itself: the pod's end waits for it, and may cut it. Returns how to say that it is over. */
  hold(connection: { resetAndDestroy(): void }): () => void;
  /** A socket inside the pod's namespace; the caller owns it. MeshError KERNEL, CANCELLED. */
  socket(kind: SocketKind, signal: CancelSignal): Fd | Promise<Fd>;
}

/** Ports that are never a destination: those of ambient-wire 1.1 and those of the pod's own listeners. */
export function ownPorts(listeners: readonly { readonly port: number }[]): ReadonlySet<number> {
  return new Set([...proxyPorts, ...listeners.map((l) => l.port)]);
}
