/**
 * Metrics with many labels, as Prometheus reads them. Series that nothing was added to for a while go; label sets beyond the budget are
 * added up in one overflow series of each family, so that labels made of what strangers send cannot fill the memory.
 */

import { type Millis, millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';

export type Label = readonly [name: string, value: string];

/** Upper bounds of all histograms, Envoy's. */
export const bounds = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];

export interface Series {
  /** As they stand between braces, without those. */
  readonly labels: string;
  /** When it was added to last, in sweeps. */
  touched: number;
  /** It is on the page no more: whoever holds it asks for it anew. */
  gone: boolean;
  /** Of a counter, or the sum of a histogram. */
  value: number;
  /** Of a histogram: how many each bucket has, the last one all beyond the bounds. */
  readonly buckets: number[] | undefined;
}

type Kind = 'counter' | 'gauge' | 'histogram';

interface Family {
  readonly kind: Kind;
  readonly series: Map<string, Series>;
  overflow: Series | undefined;
}

export interface SeriesOptions {
  readonly clock: Clock;
  /** How long a series without news stays; undefined: for ever. */
  readonly idle: Millis | undefined;
  /** Of each family. */
  readonly limit: number;
}

/** What the labels of the overflow series say. */
const overflow = 'overflow';
/** Sweeps within the time that a series may be idle. */
const sweepsPerIdle = 4;
/** Lines of the page that are made in one go: about a millisecond. */
const slice = 200;

export class SeriesStore {
  readonly #options: SeriesOptions;
  readonly #families = new Map<string, Family>();
  #sweeps = 0;
  #timer: Timer | undefined;
  /** Label sets that had no place of their own. */
  overflowed = 0;

  constructor(options: SeriesOptions) {
    this.#options = options;
  }

  get count(): number {
    let count = 0;
    for (const { series } of this.#families.values()) count += series.size;
    return count;
  }

  /** The series of these labels; the overflow one where there are too many. */
  get(name: string, kind: Kind, labels: readonly Label[]): Series {
    const family = this.#family(name, kind);
    const text = labelText(labels);
    const found = family.series.get(text);
    if (found) return found;
    if (family.series.size >= this.#options.limit) {
      this.overflowed++;
      family.overflow ??= made(labelText(labels.map(([label]) => [label, overflow])), kind, this.#sweeps);
      return family.overflow;
    }
    const series = made(text, kind, this.#sweeps);
    family.series.set(text, series);
    this.#arm();
    return series;
  }

  add(series: Series, amount: number): void {
    series.value += amount;
    series.touched = this.#sweeps;
  }

  record(series: Series, value: number): void {
    series.value += value;
    series.touched = this.#sweeps;
    const buckets = series.buckets!;
    let i = 0;
    while (i < bounds.length && value > bounds[i]!) i++;
    buckets[i]!++;
  }

  /** The page in parts, each of which took a few milliseconds to make. */
  *pages(): Generator<string> {
    let lines = 0;
    let text = '';
    for (const [name, { kind, series, overflow }] of this.#families) {
      text += `# TYPE ${name} ${kind}\n`;
      for (const one of overflow ? [...series.values(), overflow] : series.values()) {
        if (one.buckets === undefined) {
          text += `${name}{${one.labels}} ${one.value}\n`;
          lines++;
        } else {
          text += histogramLines(name, one);
          lines += bounds.length + 3;
        }
        if (lines < slice) continue;
        yield text;
        text = '';
        lines = 0;
      }
    }
    if (text !== '') yield text;
  }

  #family(name: string, kind: Kind): Family {
    let family = this.#families.get(name);
    if (!family) {
      family = { kind, series: new Map(), overflow: undefined };
      this.#families.set(name, family);
    }
    return family;
  }

  /** Only while there is something that could go. */
  #arm(): void {
    const { clock, idle } = this.#options;
    if (idle === undefined || this.#timer) return;
    this.#timer = clock.after(millis(idle / sweepsPerIdle), () => {
      this.#timer = undefined;
      this.#sweep();
    });
  }

  #sweep(): void {
    this.#sweeps++;
    let left = 0;
    for (const { series } of this.#families.values()) {
      for (const [key, one] of series) {
        if (this.#sweeps - one.touched <= sweepsPerIdle) continue;
        one.gone = true;
        series.delete(key);
      }
      left += series.size;
    }
    if (left > 0) this.#arm();
  }
}

function made(labels: string, kind: Kind, touched: number): Series {
  const buckets = kind === 'histogram' ? new Array<number>(bounds.length + 1).fill(0) : undefined;
  return { labels, touched, gone: false, value: 0, buckets };
}

function histogramLines(name: string, { labels, buckets, value }: Series): string {
  const head = `${name}_bucket{${labels},le="`;
  let text = '';
  let sum = 0;
  for (let i = 0; i < bounds.length; i++) {
    sum += buckets![i]!;
    text += `${head}${bounds[i]}"} ${sum}\n`;
  }
  sum += buckets![bounds.length]!;
  return `${text}${head}+Inf"} ${sum}\n${name}_sum{${labels}} ${value}\n${name}_count{${labels}} ${sum}\n`;
}

function labelText(labels: readonly Label[]): string {
  return labels.map(([name, value]) => `${name}="${escaped(value)}"`).join(',');
}

function escaped(value: string): string {
  return /[\\"\n]/.test(value) ? value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n') : value;
}
