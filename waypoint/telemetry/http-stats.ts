/** Envoy's counters of HttpConnectionManager and of clusters, looked up once. */
import type { Counter, Histogram, Stats } from './stats.ts';

export class HttpStats {
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
  readonly protocolErrors: Counter;
  readonly idleTimeouts: Counter;
  readonly noRoute: Counter;
  readonly noCluster: Counter;
  readonly redirects: Counter;
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
    this.protocolErrors = stats.counter(`${prefix}downstream_cx_protocol_error`);
    this.idleTimeouts = stats.counter(`${prefix}downstream_cx_idle_timeout`);
    this.noRoute = stats.counter(`${prefix}no_route`);
    this.noCluster = stats.counter(`${prefix}no_cluster`);
    this.redirects = stats.counter(`${prefix}rq_redirect`);
    this.direct = stats.counter(`${prefix}rq_direct_response`);
    this.routed = stats.counter(`${prefix}rq_total`);
    this.resets = stats.counter(`${prefix}downstream_rq_rx_reset`);
    this.#classes = [1, 2, 3, 4, 5].map((n) => stats.counter(`${prefix}downstream_rq_${n}xx`));
  }

  responded(status: number): void {
    this.completed.value++;
    const counter = this.#classes[Math.floor(status / 100) - 1];
    if (counter) counter.value++;
  }

  counter(name: string): Counter {
    return this.#stats.counter(this.#prefix + name);
  }
}

export class ClusterStats {
  readonly #stats: Stats;
  readonly #prefix: string;
  readonly #statuses = new Map<number, Counter>();
  readonly #classes: readonly Counter[];
  readonly total: Counter;
  readonly active: Counter;
  readonly completed: Counter;
  readonly retries: Counter;
  readonly retrySuccess: Counter;
  readonly retryOverflow: Counter;
  readonly retryLimit: Counter;
  readonly timeouts: Counter;
  readonly perTryTimeouts: Counter;
  readonly noHost: Counter;
  readonly pendingOverflow: Counter;
  readonly resets: Counter;
  readonly ownResets: Counter;
  readonly connectFailures: Counter;
  readonly time: Histogram;

  constructor(stats: Stats, name: string) {
    const prefix = `cluster.${name}.`;
    this.#stats = stats;
    this.#prefix = prefix;
    this.#classes = [1, 2, 3, 4, 5].map((n) => stats.counter(`${prefix}upstream_rq_${n}xx`));
    this.total = stats.counter(`${prefix}upstream_rq_total`);
    this.active = stats.gauge(`${prefix}upstream_rq_active`);
    this.completed = stats.counter(`${prefix}upstream_rq_completed`);
    this.retries = stats.counter(`${prefix}upstream_rq_retry`);
    this.retrySuccess = stats.counter(`${prefix}upstream_rq_retry_success`);
    this.retryOverflow = stats.counter(`${prefix}upstream_rq_retry_overflow`);
    this.retryLimit = stats.counter(`${prefix}upstream_rq_retry_limit_exceeded`);
    this.timeouts = stats.counter(`${prefix}upstream_rq_timeout`);
    this.perTryTimeouts = stats.counter(`${prefix}upstream_rq_per_try_timeout`);
    this.noHost = stats.counter(`${prefix}upstream_cx_none_healthy`);
    this.pendingOverflow = stats.counter(`${prefix}upstream_rq_pending_overflow`);
    this.resets = stats.counter(`${prefix}upstream_rq_rx_reset`);
    this.ownResets = stats.counter(`${prefix}upstream_rq_tx_reset`);
    this.connectFailures = stats.counter(`${prefix}upstream_cx_connect_fail`);
    this.time = stats.histogram(`${prefix}upstream_rq_time`);
  }

  responded(status: number): void {
    this.completed.value++;
    let counter = this.#statuses.get(status);
    if (!counter) {
      counter = this.#stats.counter(`${this.#prefix}upstream_rq_${status}`);
      this.#statuses.set(status, counter);
    }
    counter.value++;
    const ofClass = this.#classes[Math.floor(status / 100) - 1];
    if (ofClass) ofClass.value++;
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
