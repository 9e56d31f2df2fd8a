/**
 * Active health checks: when each host is probed, and what the answers make of it, with Envoy's thresholds and intervals. The probe
 * itself is an injected function.
 */
import { type Millis, millis } from '../../../common/core/brand.ts';
import type { Clock, Timer } from '../../../common/core/clock.ts';
import type { HealthCheck } from '../config.ts';
import type { LiveHost } from '../hosts/host.ts';
import type { Dice } from '../types.ts';

export type ProbeResult =
  | { readonly kind: 'passed'; readonly degraded: boolean }
  /** `answered`: the host said so itself, and is out at once unless `retriable`; else the connection failed or time ran out. */
  | { readonly kind: 'failed'; readonly reason: string; readonly answered: boolean; readonly retriable: boolean };

/** Rejects or resolves before `signal` aborts, or is taken for a timeout. */
export type Probe = (host: LiveHost, check: HealthCheck, signal: AbortSignal) => Promise<ProbeResult>;

export interface CheckerOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly probe: Probe;
  /** The cluster has had requests: `no_traffic_interval` applies until then. */
  readonly hasTraffic: () => boolean;
  /** The host's health changed, by this check. */
  readonly changed: (host: LiveHost, reason: string) => void;
  /** Each probe that passed. */
  readonly passed: (host: LiveHost) => void;
  /** Each host's first result. */
  readonly first: (host: LiveHost) => void;
}

interface Watch {
  readonly abort: AbortController;
  timer: Timer | undefined;
  /** Results of the same kind in a row. */
  good: number;
  bad: number;
  seen: boolean;
}

export class HealthChecker {
  readonly #check: HealthCheck;
  readonly #options: CheckerOptions;
  readonly #watches = new Map<LiveHost, Watch>();

  constructor(check: HealthCheck, options: CheckerOptions) {
    this.#check = check;
    this.#options = options;
  }

  add(host: LiveHost): void {
    if (host.healthCheck.disabled || this.#watches.has(host)) return;
    const watch: Watch = { abort: new AbortController(), timer: undefined, good: 0, bad: 0, seen: false };
    this.#watches.set(host, watch);
    const delay = this.#options.dice.random() * this.#check.initialJitter;
    watch.timer = this.#options.clock.after(millis(delay), () => void this.#run(host, watch));
  }

  remove(host: LiveHost): void {
    const watch = this.#watches.get(host);
    this.#watches.delete(host);
    watch?.timer?.cancel();
    watch?.abort.abort();
  }

  close(): void {
    for (const host of [...this.#watches.keys()]) this.remove(host);
  }

  async #run(host: LiveHost, watch: Watch): Promise<void> {
    const result = await this.#probe(host, watch);
    if (this.#watches.get(host) !== watch) return;
    const first = !watch.seen;
    const before = host.failedCheck;
    const changed = this.#judge(host, watch, result);
    watch.seen = true;
    host.pendingCheck = false;
    if (result.kind === 'passed') this.#options.passed(host);
    if (changed || first) this.#options.changed(host, result.kind === 'passed' ? 'health check passed' : result.reason);
    if (first) this.#options.first(host);
    watch.timer = this.#options.clock.after(this.#interval(host, before), () => void this.#run(host, watch));
  }

  async #probe(host: LiveHost, watch: Watch): Promise<ProbeResult> {
    const { clock, probe } = this.#options;
    const abort = new AbortController();
    const end = () => abort.abort();
    watch.abort.signal.addEventListener('abort', end, { once: true });
    let timer: Timer | undefined;
    const timeout = new Promise<ProbeResult>((resolve) => {
      timer = clock.after(this.#check.timeout, () => {
        resolve({ kind: 'failed', reason: 'timeout', answered: false, retriable: false });
        end();
      });
    });
    try {
      return await Promise.race([probe(host, this.#check, abort.signal), timeout]);
    } catch (e) {
      return { kind: 'failed', reason: e instanceof Error ? e.message : String(e), answered: false, retriable: false };
    } finally {
      timer?.cancel();
      watch.abort.signal.removeEventListener('abort', end);
    }
  }

  /** true: the host is another than before to balancers. */
  #judge(host: LiveHost, watch: Watch, result: ProbeResult): boolean {
    if (result.kind === 'passed') {
      watch.bad = 0;
      const degraded = host.degradedCheck !== result.degraded;
      host.degradedCheck = result.degraded;
      if (!host.failedCheck) return degraded;
      // The first answer ever is enough: a start need not wait for the threshold.
      if (++watch.good < this.#check.healthyThreshold && watch.seen) return degraded;
      host.failedCheck = false;
      host.healthySince = this.#options.clock.now();
      return true;
    }
    watch.good = 0;
    if (host.failedCheck) return false;
    const enough = ++watch.bad >= this.#check.unhealthyThreshold;
    // A host that itself says no is believed; one that cannot be reached gets the whole threshold.
    if (!enough && !(result.answered && !result.retriable)) return false;
    host.failedCheck = true;
    host.healthySince = undefined;
    return true;
  }

  /** Until the next probe; `before`: whether the host was out before this one. */
  #interval(host: LiveHost, before: boolean): Millis {
    const check = this.#check;
    const base = this.#baseInterval(host, before);
    const jitter = this.#options.dice.random() * check.intervalJitter;
    const percent = (base * this.#options.dice.random() * check.intervalJitterPercent) / 100;
    return millis(base + jitter + percent);
  }

  #baseInterval(host: LiveHost, before: boolean): Millis {
    const check = this.#check;
    const failed = host.failedCheck;
    if (failed !== before) return failed ? check.unhealthyEdgeInterval : check.healthyEdgeInterval;
    if (!this.#options.hasTraffic()) return failed ? check.noTrafficInterval : check.noTrafficHealthyInterval;
    return failed ? check.unhealthyInterval : check.interval;
  }
}
