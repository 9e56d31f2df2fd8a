/**
 * Outlier detection ("Outlier detection" of Envoy): hosts that answer badly are left out for a while. Events come from the
 * runtime and the pools; time from the clock.
 */
import { type Millis, millis } from '../../../common/core/brand.ts';
import type { Clock, Timer } from '../../../common/core/clock.ts';
import type { OutlierDetection } from '../config.ts';
import type { LiveHost } from '../hosts/host.ts';
import type { Dice, HostEvents } from '../types.ts';
import { judge, type Rate } from './judge.ts';

export type Detection =
  | 'consecutive_5xx'
  | 'consecutive_gateway_failure'
  | 'consecutive_local_origin_failure'
  | 'success_rate'
  | 'local_origin_success_rate'
  | 'failure_percentage'
  | 'local_origin_failure_percentage';

/** What there is to tell: metrics and log. */
export interface OutlierReport {
  readonly host: LiveHost;
  readonly detection: Detection;
  /** `unenforced`: by its percentage of enforcement; `overflow`: too many are ejected already. */
  readonly outcome: 'ejected' | 'unenforced' | 'overflow';
}

export interface DetectorOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly hosts: () => readonly LiveHost[];
  /** A host was ejected, or is back. */
  readonly changed: (host: LiveHost) => void;
  readonly report: (report: OutlierReport) => void;
}

class Monitor {
  consecutive5xx = 0;
  consecutiveGateway = 0;
  consecutiveLocal = 0;
  readonly external = new Bucket();
  readonly local = new Bucket();
  ejectedAt = 0;
  returnedAt: number | undefined;
  jitter = 0;
  /** How many times base_ejection_time the next ejection lasts, at most. */
  backoff = 0;
}

/** Requests of the interval that runs, and of the one before, which is judged. */
class Bucket {
  total = 0;
  good = 0;
  #before: Rate = { total: 0, good: 0 };

  count(good: boolean): void {
    this.total++;
    if (good) this.good++;
  }

  turn(): Rate {
    this.#before = { total: this.total, good: this.good };
    this.total = 0;
    this.good = 0;
    return this.#before;
  }

  get before(): Rate {
    return this.#before;
  }
}

const gatewayErrors: ReadonlySet<number> = new Set([502, 503, 504]);

export class OutlierDetector implements HostEvents {
  readonly #config: OutlierDetection;
  readonly #options: DetectorOptions;
  readonly #monitors = new Map<LiveHost, Monitor>();
  #timer: Timer | undefined;
  #ejected = 0;

  constructor(config: OutlierDetection, options: DetectorOptions) {
    this.#config = config;
    this.#options = options;
    this.#arm();
  }

  responded(host: LiveHost, status: number): void {
    const monitor = this.#monitor(host);
    const good = status < 500 || status > 599;
    monitor.external.count(good);
    if (good) {
      monitor.consecutive5xx = 0;
      monitor.consecutiveGateway = 0;
      return;
    }
    const { consecutiveGateway, consecutive5xx } = this.#config;
    if (!gatewayErrors.has(status)) monitor.consecutiveGateway = 0;
    else if (++monitor.consecutiveGateway === consecutiveGateway.failures) {
      this.#detected(host, 'consecutive_gateway_failure', consecutiveGateway.enforcing);
      monitor.consecutiveGateway = 0;
    }
    if (++monitor.consecutive5xx === consecutive5xx.failures) {
      this.#detected(host, 'consecutive_5xx', consecutive5xx.enforcing);
      monitor.consecutive5xx = 0;
    }
  }

  connected(host: LiveHost): void {
    if (!this.#config.splitLocalOrigin) return;
    const monitor = this.#monitor(host);
    monitor.local.count(true);
    monitor.consecutiveLocal = 0;
  }

  failed(host: LiveHost, cause: 'connect-failed' | 'timeout' | 'reset'): void {
    if (!this.#config.splitLocalOrigin) {
      this.responded(host, cause === 'timeout' ? 504 : 503);
      return;
    }
    const monitor = this.#monitor(host);
    const { consecutiveLocal } = this.#config;
    monitor.local.count(false);
    if (++monitor.consecutiveLocal === consecutiveLocal.failures) {
      this.#detected(host, 'consecutive_local_origin_failure', consecutiveLocal.enforcing);
      monitor.consecutiveLocal = 0;
    }
  }

  /** A health check passed: that ends an ejection where the configuration says so. */
  healthCheckPassed(host: LiveHost): void {
    if (this.#config.healthCheckEnds && host.ejected && !host.failedCheck) this.#return(host);
  }

  /** The host is no longer in the cluster. */
  forget(host: LiveHost): void {
    if (host.ejected) this.#ejected--;
    this.#monitors.delete(host);
  }

  close(): void {
    this.#timer?.cancel();
  }

  #monitor(host: LiveHost): Monitor {
    let monitor = this.#monitors.get(host);
    if (!monitor) {
      monitor = new Monitor();
      this.#monitors.set(host, monitor);
    }
    return monitor;
  }

  #detected(host: LiveHost, detection: Detection, enforcing: number): void {
    // A late answer from before the ejection, or from before the host left.
    if (host.ejected || !this.#options.hosts().includes(host)) return;
    this.#options.report({ host, detection, outcome: this.#eject(host, enforcing) });
  }

  #eject(host: LiveHost, enforcing: number): OutlierReport['outcome'] {
    const { maxEjectedPercent, alwaysEjectOne, baseEjection, maxEjection, ejectionJitter } = this.#config;
    const percent = (100 * (this.#ejected + 1)) / this.#options.hosts().length;
    if (percent > maxEjectedPercent && !(alwaysEjectOne && this.#ejected === 0)) return 'overflow';
    if (this.#options.dice.random() * 100 >= enforcing) return 'unenforced';
    const monitor = this.#monitor(host);
    host.ejected = true;
    this.#ejected++;
    monitor.ejectedAt = this.#options.clock.now();
    monitor.jitter = Math.floor(this.#options.dice.random() * (ejectionJitter + 1));
    if (monitor.backoff * baseEjection < maxEjection + baseEjection) monitor.backoff++;
    this.#options.changed(host);
    return 'ejected';
  }

  #return(host: LiveHost): void {
    const monitor = this.#monitor(host);
    host.ejected = false;
    this.#ejected--;
    monitor.consecutive5xx = 0;
    monitor.consecutiveGateway = 0;
    monitor.consecutiveLocal = 0;
    monitor.returnedAt = this.#options.clock.now();
    this.#options.changed(host);
  }

  #arm(): void {
    this.#timer = this.#options.clock.after(millis(this.#config.interval), () => {
      this.#interval(this.#options.clock.now());
      this.#arm();
    });
  }

  #interval(now: Millis): void {
    const { baseEjection, maxEjection, interval } = this.#config;
    const external = new Map<LiveHost, Rate>();
    const local = new Map<LiveHost, Rate>();
    for (const [host, monitor] of this.#monitors) {
      const length = Math.min(baseEjection * monitor.backoff, maxEjection) + monitor.jitter;
      if (host.ejected && now - monitor.ejectedAt >= length) this.#return(host);
      monitor.external.turn();
      monitor.local.turn();
      if (host.ejected) continue;
      external.set(host, monitor.external.before);
      local.set(host, monitor.local.before);
    }
    this.#judgeRates(external, 'external');
    this.#judgeRates(local, 'local');
    for (const [host, monitor] of this.#monitors) {
      const calm = monitor.returnedAt !== undefined && now - monitor.returnedAt >= interval;
      if (!host.ejected && calm && monitor.backoff > 0) monitor.backoff--;
    }
  }

  #judgeRates(rates: ReadonlyMap<LiveHost, Rate>, origin: 'external' | 'local'): void {
    const hosts = this.#options.hosts().length;
    const { successRate, failurePercentage } = this.#config;
    const verdict = judge(rates, hosts, this.#config);
    const own = origin === 'external';
    for (const host of verdict.successRate) {
      const enforcing = own ? successRate.enforcing : successRate.enforcingLocal;
      this.#detected(host, own ? 'success_rate' : 'local_origin_success_rate', enforcing);
    }
    for (const host of verdict.failurePercentage) {
      const enforcing = own ? failurePercentage.enforcing : failurePercentage.enforcingLocal;
      this.#detected(host, own ? 'failure_percentage' : 'local_origin_failure_percentage', enforcing);
    }
  }
}
