/** All pools of a cluster: one for each host, protocol, routing priority and key. */
import type { Clock } from '../../../common/core/clock.ts';
import type { BreakerAccount } from '../admission.ts';
import type { CheckedCluster } from '../config.ts';
import type { Connector, PoolCounter, PoolKey, PoolRequest, Ticket, Waiter, WireProtocol } from '../pool-types.ts';
import type { Transport } from '../transport.ts';
import type { Host, HostEvents } from '../types.ts';
import { Pool } from './pool.ts';

export interface PoolsOptions<C> {
  readonly cluster: CheckedCluster;
  readonly connector: Connector<C>;
  readonly admission: BreakerAccount;
  readonly events: HostEvents;
  readonly clock: Clock;
  readonly count: (what: PoolCounter) => void;
  readonly transportOf: (host: Host) => Transport;
}

const plainKey: PoolKey = { text: '', value: undefined };

export class Pools<C> {
  readonly #options: PoolsOptions<C>;
  readonly #pools = new Map<Host, Map<string, Pool<C>>>();

  constructor(options: PoolsOptions<C>) {
    this.#options = options;
  }

  acquire(host: Host, request: PoolRequest, waiter: Waiter<C>): Ticket {
    return this.#pool(host, request).acquire(waiter);
  }

  has(host: Host): boolean {
    return this.#pools.has(host);
  }

  /** The host is gone: requests that are open go on. */
  drain(host: Host): void {
    this.#each(host, (pool) => pool.drain());
  }

  /** The host failed: connections end now. */
  cut(host: Host): void {
    this.#each(host, (pool) => pool.cut());
  }

  /** The host is ill: as Envoy, other connections may find it better. */
  renew(host: Host): void {
    for (const pool of [...(this.#pools.get(host)?.values() ?? [])]) pool.renew();
  }

  drainAll(): void {
    for (const host of [...this.#pools.keys()]) this.drain(host);
  }

  #each(host: Host, act: (pool: Pool<C>) => void): void {
    const pools = this.#pools.get(host);
    // From now on a request gets a new pool.
    this.#pools.delete(host);
    for (const pool of [...(pools?.values() ?? [])]) act(pool);
  }

  #pool(host: Host, { priority, downstream, key = plainKey }: PoolRequest): Pool<C> {
    let ofHost = this.#pools.get(host);
    if (!ofHost) {
      ofHost = new Map();
      this.#pools.set(host, ofHost);
    }
    const protocol = protocolOf(this.#options.cluster, downstream);
    const name = `${protocol} ${priority} ${key.text}`;
    const known = ofHost.get(name);
    if (known) return known;
    const { cluster, connector, admission, events, clock, count, transportOf } = this.#options;
    const members = ofHost;
    const pool: Pool<C> = new Pool({
      cluster,
      host,
      transport: transportOf(host),
      protocol,
      priority,
      key,
      connector,
      admission,
      events,
      clock,
      count,
      emptied: () => {
        if (members.get(name) === pool) members.delete(name);
        if (members.size === 0 && this.#pools.get(host) === members) this.#pools.delete(host);
      },
    });
    members.set(name, pool);
    return pool;
  }
}

function protocolOf(cluster: CheckedCluster, downstream: PoolRequest['downstream']): WireProtocol {
  if (downstream === 'tcp') return 'tcp';
  const { kind } = cluster.protocol.use;
  return kind === 'downstream' ? downstream : kind;
}
