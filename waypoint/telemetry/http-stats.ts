/** Envoy's counters of HttpConnectionManager and of clusters, looked up once. */
import type { PoolCounter } from '../cluster/pool-types.ts';
import type { Departure } from '../net/departure.ts';
import type { Counter, Histogram, Stats } from './stats.ts';

export class HttpStats {
  readonly #ofFilters = new Map<string, Counter>();
  readonly #prefix: string;
  readonly #stats: Stats;
  readonly total: Counter;
  readonly active: Counter;
  readonly http1: Counter;
  readonly http2: Counter;
  readonly completed: Counter;
  readonly time: Histogram;
  readonly connections: Counter;
  readonly activeConnections: Counter;
  readonly http1Connections: Counter;
  readonly http2Connections: Counter;
  readonly upgrades: Counter;
  readonly #departures: Readonly<Record<Departure['by'] | 'any', readonly [all: Counter, busy: Counter]>>;
  readonly protocolErrors: Counter;
  readonly idleTimeouts: Counter;
  readonly noRoute: Counter;
  readonly noCluster: Counter;
  readonly direct: Counter;
  readonly routed: Counter;
  readonly resets: Counter;
  readonly #classes: readonly (Counter | undefined)[];

  constructor(stats: Stats, statPrefix: string) {
    const prefix = `http.${statPrefix}.`;
    this.#stats = stats;
    this.#prefix = prefix;
    this.total = stats.counter(`${prefix}downstream_rq_total`);
    this.active = stats.gauge(`${prefix}downstream_rq_active`);
    this.http1 = stats.counter(`${prefix}downstream_rq_http1_total`);
    this.http2 = stats.counter(`${prefix}downstream_rq_http2_total`);
    this.completed = stats.counter(`${prefix}downstream_rq_completed`);
    this.time = stats.histogram(`${prefix}downstream_rq_time`);
    this.connections = stats.counter(`${prefix}downstream_cx_total`);
    this.activeConnections = stats.gauge(`${prefix}downstream_cx_active`);
    this.http1Connections = stats.counter(`${prefix}downstream_cx_http1_total`);
    this.http2Connections = stats.counter(`${prefix}downstream_cx_http2_total`);
    this.upgrades = stats.counter(`${prefix}downstream_cx_upgrades_total`);
    this.#departures = {
      any: [stats.counter(`${prefix}downstream_cx_destroy`), stats.counter(`${prefix}downstream_cx_destroy_active_rq`)],
      us: [
        stats.counter(`${prefix}downstream_cx_destroy_local`),
        stats.counter(`${prefix}downstream_cx_destroy_local_active_rq`),
      ],
      peer: [
        stats.counter(`${prefix}downstream_cx_destroy_remote`),
        stats.counter(`${prefix}downstream_cx_destroy_remote_active_rq`),
      ],
    };
    this.protocolErrors = stats.counter(`${prefix}downstream_cx_protocol_error`);
    this.idleTimeouts = stats.counter(`${prefix}downstream_cx_idle_timeout`);
    this.noRoute = stats.counter(`${prefix}no_route`);
    this.noCluster = stats.counter(`${prefix}no_cluster`);
    this.direct = stats.counter(`${prefix}rq_direct_response`);
    this.routed = stats.counter(`${prefix}rq_total`);
    this.resets = stats.counter(`${prefix}downstream_rq_rx_reset`);
    this.#classes = [1, 2, 3, 4, 5].map((n) => stats.counter(`${prefix}downstream_rq_${n}xx`));
  }

  departed({ by, isBusy }: Departure): void {
    for (const [all, busy] of [this.#departures.any, this.#departures[by]]) {
      all.value++;
      if (isBusy) busy.value++;
    }
  }

  responded(status: number): void {
    this.completed.value++;
    const counter = this.#classes[Math.floor(status / 100) - 1];
    if (counter) counter.value++;
  }

  /** What filters count. */
  count(name: string, by = 1): void {
    let counter = this.#ofFilters.get(name);
    if (!counter) {
      counter = this.#stats.counter(this.#prefix + name);
      this.#ofFilters.set(name, counter);
    }
    counter.value += by;
  }
}

/** Answers by their status: `upstream_rq_503`, `upstream_rq_5xx`, `upstream_rq_completed` behind a prefix. */
class CodeStats {
  readonly #stats: Stats;
  readonly #prefix: string;
  readonly #completed: Counter;
  readonly #counters = new Map<number, readonly Counter[]>();

  constructor(stats: Stats, prefix: string) {
    this.#stats = stats;
    this.#prefix = prefix;
    this.#completed = stats.counter(`${prefix}upstream_rq_completed`);
  }

  responded(status: number): void {
    this.#completed.value++;
    let counters = this.#counters.get(status);
    if (!counters) {
      const names = [String(status), `${Math.floor(status / 100)}xx`];
      counters = names.map((name) => this.#stats.counter(`${this.#prefix}upstream_rq_${name}`));
      this.#counters.set(status, counters);
    }
    for (const counter of counters) counter.value++;
  }
}

export class ClusterStats {
  readonly #stats: Stats;
  readonly #prefix: string;
  readonly #codes: CodeStats;
  #external: CodeStats | undefined;
  #internal: CodeStats | undefined;
  #retry: CodeStats | undefined;
  readonly #pool = new Map<PoolCounter, Counter>();
  readonly total: Counter;
  readonly active: Counter;
  readonly retries: Counter;
  readonly retriesBackedOff: Counter;
  readonly retriesRateLimited: Counter;
  readonly retrySuccess: Counter;
  readonly retryOverflow: Counter;
  readonly retryLimit: Counter;
  readonly timeouts: Counter;
  readonly perTryTimeouts: Counter;
  readonly noHost: Counter;
  readonly resets: Counter;
  readonly ownResets: Counter;
  readonly time: Histogram;

  constructor(stats: Stats, name: string) {
    const prefix = `cluster.${name}.`;
    this.#stats = stats;
    this.#prefix = prefix;
    this.#codes = new CodeStats(stats, prefix);
    this.total = stats.counter(`${prefix}upstream_rq_total`);
    this.active = stats.gauge(`${prefix}upstream_rq_active`);
    this.retries = stats.counter(`${prefix}upstream_rq_retry`);
    this.retriesBackedOff = stats.counter(`${prefix}upstream_rq_retry_backoff_exponential`);
    this.retriesRateLimited = stats.counter(`${prefix}upstream_rq_retry_backoff_ratelimited`);
    this.retrySuccess = stats.counter(`${prefix}upstream_rq_retry_success`);
    this.retryOverflow = stats.counter(`${prefix}upstream_rq_retry_overflow`);
    this.retryLimit = stats.counter(`${prefix}upstream_rq_retry_limit_exceeded`);
    this.timeouts = stats.counter(`${prefix}upstream_rq_timeout`);
    this.perTryTimeouts = stats.counter(`${prefix}upstream_rq_per_try_timeout`);
    this.noHost = stats.counter(`${prefix}upstream_cx_none_healthy`);
    this.resets = stats.counter(`${prefix}upstream_rq_rx_reset`);
    this.ownResets = stats.counter(`${prefix}upstream_rq_tx_reset`);
    this.time = stats.histogram(`${prefix}upstream_rq_time`);
  }

  /** The answer that a client gets, the host's or ours. `isInternal`: the request said `x-envoy-internal`. */
  responded(status: number, isInternal: boolean): void {
    this.#codes.responded(status);
    if (isInternal) {
      this.#internal ??= new CodeStats(this.#stats, `${this.#prefix}internal.`);
      this.#internal.responded(status);
    } else {
      this.#external ??= new CodeStats(this.#stats, `${this.#prefix}external.`);
      this.#external.responded(status);
    }
  }

  /** An answer in whose place another try comes. */
  retried(status: number): void {
    this.#retry ??= new CodeStats(this.#stats, `${this.#prefix}retry.`);
    this.#retry.responded(status);
  }

  count(name: PoolCounter): void {
    let counter = this.#pool.get(name);
    if (!counter) {
      counter = this.#stats.counter(this.#prefix + name);
      this.#pool.set(name, counter);
    }
    counter.value++;
  }
}

const made = new WeakMap<Stats, Map<string, ClusterStats>>();

export function clusterStats(stats: Stats, name: string): ClusterStats {
  let all = made.get(stats);
  if (!all) {
    all = new Map();
    made.set(stats, all);
  }
  let found = all.get(name);
  if (!found) {
    found = new ClusterStats(stats, name);
    all.set(name, found);
  }
  return found;
}
