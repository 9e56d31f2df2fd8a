/**
 * Connections to one host that are alike: which request goes on which, when another is made, when one has had enough. Knows no
 * sockets: those are the connector's. The limits are those of Envoy's pools, so that the same requests wait, overflow or go on.
 */
import type { Millis } from '../../../common/core/brand.ts';
import type { Clock } from '../../../common/core/clock.ts';
import type { BreakerAccount } from '../admission.ts';
import type { CheckedCluster } from '../config.ts';
import type {
  Connecting,
  Connector,
  Lease,
  PoolCounter,
  PoolFailure,
  PoolKey,
  Ticket,
  Waiter,
  WireProtocol,
} from '../pool-types.ts';
import type { Transport } from '../transport.ts';
import type { Host, HostEvents, RoutingPriority } from '../types.ts';
import { PooledConnection } from './connection.ts';

export interface PoolOptions<C> {
  readonly cluster: CheckedCluster;
  readonly host: Host;
  readonly transport: Transport;
  readonly protocol: WireProtocol;
  readonly priority: RoutingPriority;
  readonly key: PoolKey;
  readonly connector: Connector<C>;
  readonly admission: BreakerAccount;
  readonly events: HostEvents;
  readonly clock: Clock;
  readonly count: (what: PoolCounter) => void;
  /** The pool has no connection and nobody waits. */
  readonly emptied: () => void;
}

interface Waiting<C> {
  readonly waiter: Waiter<C>;
}

export class Pool<C> {
  readonly #options: PoolOptions<C>;
  readonly #connections = new Set<PooledConnection<C>>();
  readonly #waiting = new Set<Waiting<C>>();
  /** All that can take a request, and some that could; the one that was freed last is on top, so that few are kept awake, as at Envoy. */
  readonly #usable: PooledConnection<C>[] = [];
  /** Those that are being made, with how many requests each will take; and the sum. */
  readonly #making = new Map<PooledConnection<C>, number>();
  #coming = 0;
  #closing = false;

  constructor(options: PoolOptions<C>) {
    this.#options = options;
  }

  acquire(waiter: Waiter<C>): Ticket {
    const none: Ticket = { cancel: () => undefined };
    const ready = this.#ready();
    if (ready) {
      this.#attach(ready, waiter);
      return none;
    }
    const { admission, priority, count } = this.#options;
    if (!admission.take('pending', priority)) {
      count('upstream_rq_pending_overflow');
      waiter.failed({ kind: 'overflow', breaker: 'max_pending_requests' });
      return none;
    }
    const waiting = { waiter };
    this.#waiting.add(waiting);
    count('upstream_rq_pending_total');
    this.#connect();
    return {
      cancel: () => {
        if (!this.#stopWaiting(waiting)) return;
        count('upstream_rq_cancelled');
        this.#settle();
      },
    };
  }

  /** No new requests: what is open goes on, who waits is told that the host is gone. */
  drain(): void {
    this.#closing = true;
    this.#failAll({ kind: 'gone' });
    for (const connection of [...this.#connections]) connection.drain();
    this.#settle();
  }

  /** Requests that come, and those that wait, get new connections: those that are there end with their last request. */
  renew(): void {
    for (const connection of [...this.#connections]) if (!connection.connecting) connection.drain();
  }

  /** Ends everything now, as for a host whose health failed. */
  cut(): void {
    this.#closing = true;
    this.#failAll({ kind: 'gone' });
    for (const connection of [...this.#connections]) connection.close(false);
    this.#settle();
  }

  get connections(): number {
    return this.#connections.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** A connection that can take a request. The busy ones are not asked each time: there may be a thousand. */
  #ready(): PooledConnection<C> | undefined {
    this.#forgetFull();
    return this.#usable.at(-1);
  }

  #forgetFull(): void {
    for (let last = this.#usable.at(-1); last && last.free <= 0; last = this.#usable.at(-1)) {
      last.offered = false;
      this.#usable.pop();
    }
  }

  #offer(connection: PooledConnection<C>): void {
    if (connection.offered || connection.free <= 0) return;
    connection.offered = true;
    this.#usable.push(connection);
  }

  #made(connection: PooledConnection<C>): void {
    this.#coming -= this.#making.get(connection) ?? 0;
    this.#making.delete(connection);
  }

  #attach(connection: PooledConnection<C>, waiter: Waiter<C>): void {
    const { admission, priority, host, events, protocol } = this.#options;
    const counted = protocol !== 'tcp';
    if (counted && !admission.take('requests', priority)) {
      this.#options.count('upstream_rq_pending_overflow');
      waiter.failed({ kind: 'overflow', breaker: 'max_requests' });
      return;
    }
    host.load.requests++;
    events.connected(host);
    const earlier = connection.begin(waiter);
    // Where it is freed it comes back on top.
    this.#forgetFull();
    let open = true;
    const lease: Lease<C> = {
      codec: connection.codec,
      host,
      protocol: connection.protocol,
      earlier,
      release: (reusable) => {
        if (!open) throw new Error('a lease is released once');
        open = false;
        host.load.requests--;
        if (counted) admission.give('requests', priority);
        connection.end(waiter, reusable && counted);
        this.#offer(connection);
        this.#serve();
      },
    };
    waiter.ready(lease);
  }

  /** As many connections as those who wait need, as far as the breakers let. */
  #connect(): void {
    const { admission, priority, host, cluster } = this.#options;
    while (!this.#closing && this.#waiting.size > this.#coming) {
      const first = this.#connections.size === 0;
      const room = host.load.connections < cluster.hostConnections && admission.take('connections', priority);
      if (!room) {
        this.#options.count('upstream_cx_overflow');
        // Other hosts have them all: one connection is always let, or this host would never be reached.
        if (!first) return;
        admission.force('connections', priority);
      }
      host.load.connections++;
      this.#open();
    }
  }

  #open(): void {
    const { connector, host, transport, protocol, key, cluster, clock, count } = this.#options;
    count('upstream_cx_total');
    // By ALPN it is known later.
    if (protocol === 'http1' || protocol === 'http2') count(`upstream_cx_${protocol}_total`);
    let handle: Connecting | undefined;
    const connection = new PooledConnection<C>({
      protocol,
      settings: cluster.protocol,
      clock,
      connectTimeout: cluster.connectTimeout as Millis,
      count,
      close: (graceful) => handle?.close(graceful),
      freed: () => {
        this.#made(connection);
        this.#offer(connection);
        this.#serve();
      },
      gone: (failure) => this.#gone(connection, failure),
    });
    this.#connections.add(connection);
    this.#making.set(connection, connection.expected);
    this.#coming += connection.expected;
    handle = connector.connect({ host, transport, protocol, key }, connection.events);
  }

  #gone(connection: PooledConnection<C>, failure: PoolFailure | undefined): void {
    const { admission, priority, host, events, count } = this.#options;
    if (!this.#connections.delete(connection)) return;
    this.#made(connection);
    if (connection.offered) this.#usable.splice(this.#usable.lastIndexOf(connection), 1);
    admission.give('connections', priority);
    host.load.connections--;
    if (failure) {
      count('upstream_cx_connect_fail');
      if (failure.kind === 'connect' && failure.failure.kind === 'timeout') count('upstream_cx_connect_timeout');
      // Envoy too lets all fail that wait here: a retry finds another host sooner than the next attempt would end.
      for (let i = this.#waiting.size; i > 0; i--) events.failed(host, 'connect-failed');
      this.#failAll(failure);
    } else this.#connect();
    this.#settle();
  }

  #serve(): void {
    for (const waiting of this.#waiting) {
      const connection = this.#ready();
      if (!connection) break;
      this.#stopWaiting(waiting);
      this.#attach(connection, waiting.waiter);
    }
    this.#connect();
    this.#settle();
  }

  #stopWaiting(waiting: Waiting<C>): boolean {
    if (!this.#waiting.delete(waiting)) return false;
    this.#options.admission.give('pending', this.#options.priority);
    return true;
  }

  #failAll(failure: PoolFailure): void {
    for (const waiting of [...this.#waiting]) {
      if (!this.#stopWaiting(waiting)) continue;
      this.#options.count('upstream_rq_pending_failure_eject');
      waiting.waiter.failed(failure);
    }
  }

  #settle(): void {
    if (this.#connections.size === 0 && this.#waiting.size === 0) this.#options.emptied();
  }
}
