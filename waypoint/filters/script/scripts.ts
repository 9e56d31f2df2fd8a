/** The modules of one waypoint, by the name of the object that brought them. */
import type { Clock } from '../../../common/core/clock.ts';
import type { Logger } from '../../../common/core/log.ts';
import type { SeriesStore } from '../../telemetry/series.ts';
import type { Stats } from '../../telemetry/stats.ts';
import type { ScriptHost, ScriptSpec } from './host.ts';
import { defaultLimits, type ScriptLimits } from './limits.ts';
import { ScriptProcess } from './process.ts';
import { Script } from './script.ts';

export interface ScriptsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly stats: Stats;
  readonly series: SeriesStore;
  /** Default: `defaultLimits`. */
  readonly limits?: ScriptLimits;
}

/** Lines of log a module may write in one second. */
const linesPerSecond = 10;

export class Scripts implements ScriptHost {
  readonly #o: ScriptsOptions;
  readonly #scripts = new Map<string, Script>();
  readonly #lines = new Map<string, { second: number; count: number }>();

  constructor(options: ScriptsOptions) {
    this.#o = options;
  }

  /**
   * Starts the module, or swaps it: one name has one module. A module that is used no more keeps its process until nobody has asked it
   * for some minutes.
   */
  use(name: string, spec: ScriptSpec): Script {
    const found = this.#scripts.get(name);
    if (found) {
      found.swap(spec);
      return found;
    }
    const { clock, log, limits = defaultLimits } = this.#o;
    const script = new Script(spec, {
      name,
      limits,
      clock,
      log,
      run: (of, bounds, counters, events) => new ScriptProcess(of, bounds, counters, events),
      onDeath: (death) => this.count(name, `stopped.${death}`),
    });
    this.#scripts.set(name, script);
    return script;
  }

  count(name: string, what: string): void {
    this.#o.stats.counter(`script.${name}.${what}`).value++;
  }

  measure(metric: string, labels: readonly (readonly [string, string])[], n: number): void {
    const { series } = this.#o;
    series.add(series.get(`aquifer_filter_${metric}`, 'counter', labels), n);
  }

  line(name: string, level: 'info' | 'warn' | 'error', text: string): void {
    const second = Math.floor(this.#o.clock.now() / 1_000);
    const seen = this.#lines.get(name);
    const count = seen?.second === second ? seen.count + 1 : 1;
    this.#lines.set(name, { second, count });
    if (count <= linesPerSecond) this.#o.log[level](text, { filter: name });
    else this.count(name, 'lines_dropped');
  }

  close(): void {
    for (const script of this.#scripts.values()) script.close();
    this.#scripts.clear();
  }
}
