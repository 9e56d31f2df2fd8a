/** A cluster at work, as the runtime uses it. Made by upstream.ts. */

import type { Assignment } from './assignment.ts';
import type { LocalCluster } from './balance/zone-aware.ts';
import type { CheckedCluster } from './config.ts';
import type { PoolRequest, Ticket, Waiter } from './pool-types.ts';
import type { Transport } from './transport.ts';
import type { Admission, Host, HostEvents, Locality, Pick, PickContext } from './types.ts';

export interface Upstream<C> {
  readonly cluster: CheckedCluster;
  readonly admission: Admission;
  /** Tell how each request ended; connects are told by the pools. */
  readonly events: HostEvents;
  pick(context: PickContext): Pick;
  /** A connection to this host for one request. */
  acquire(host: Host, request: PoolRequest, waiter: Waiter<C>): Ticket;
  transportOf(host: Host): Transport;
  hosts(): readonly Host[];
  /** This cluster as the one that the proxy itself is part of. `panicThreshold`: of the cluster that is balanced. */
  census(locality: Locality, panicThreshold: number): LocalCluster;
  /** The cluster that the proxy is part of has other hosts, or their health is another. */
  localChanged(): void;
  /** EDS: the newest assignment for `cluster.discovery.serviceName`. */
  assign(assignment: Assignment): void;
  /** Resolves when the first hosts are known (static at once; EDS after `assign`; DNS after the first answers or failures; health checks once each host was checked). */
  readonly ready: Promise<void>;
  /** Stops health checks, DNS and timers, and drains the pools: open requests go on. */
  close(): void;
}
