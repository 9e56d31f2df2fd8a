/**
 * Counters, gauges and histograms under Envoy's names (`http.x.downstream_rq_total`), and their text for Prometheus, where parts of a
 * name become labels as Envoy's tag rules make them.
 */

export interface Counter {
  value: number;
}

/** Upper bounds in ms, Envoy's. */
const bounds = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];

export class Histogram {
  readonly counts: number[] = bounds.map(() => 0);
  sum = 0;
  count = 0;

  record(ms: number): void {
    this.sum += ms;
    this.count++;
    for (let i = 0; i < bounds.length; i++) {
      if (ms <= bounds[i]!) {
        this.counts[i]!++;
        return;
      }
    }
  }
}

type Kind = 'counter' | 'gauge';

/** Tells the values of gauges that are kept elsewhere. */
export type Gauges = () => Iterable<readonly [name: string, value: number]>;

export class Stats {
  readonly #observed: Gauges[] = [];
  readonly #values = new Map<string, { readonly kind: Kind; readonly counter: Counter }>();
  readonly #histograms = new Map<string, Histogram>();

  counter(name: string): Counter {
    return this.#value(name, 'counter');
  }

  gauge(name: string): Counter {
    return this.#value(name, 'gauge');
  }

  /** Asked whenever the values are read; of equal names the sum counts. */
  observe(gauges: Gauges): void {
    this.#observed.push(gauges);
  }

  histogram(name: string): Histogram {
    let found = this.#histograms.get(name);
    if (!found) {
      found = new Histogram();
      this.#histograms.set(name, found);
    }
    return found;
  }

  #value(name: string, kind: Kind): Counter {
    let found = this.#values.get(name);
    if (!found) {
      found = { kind, counter: { value: 0 } };
      this.#values.set(name, found);
    }
    return found.counter;
  }

  /** `name: value` lines, sorted, as /stats. */
  text(filter: (name: string) => boolean): string {
    const lines = [...this.#read()].filter(([name]) => filter(name)).map(([name, { value }]) => `${name}: ${value}`);
    return `${lines.sort().join('\n')}\n`;
  }

  json(filter: (name: string) => boolean): string {
    const stats = [...this.#read()].filter(([name]) => filter(name)).map(([name, { value }]) => ({ name, value }));
    return JSON.stringify({ stats });
  }

  *#read(): Generator<readonly [name: string, { readonly kind: Kind; readonly value: number }]> {
    for (const [name, { kind, counter }] of this.#values) yield [name, { kind, value: counter.value }];
    const sums = new Map<string, number>();
    for (const gauges of this.#observed) {
      for (const [name, value] of gauges()) sums.set(name, (sums.get(name) ?? 0) + value);
    }
    for (const [name, value] of sums) yield [name, { kind: 'gauge', value }];
  }

  prometheus(): string {
    const families = new Map<string, { readonly kind: string; readonly lines: string[] }>();
    const family = (name: string, kind: string): string[] => {
      let found = families.get(name);
      if (!found) {
        found = { kind, lines: [] };
        families.set(name, found);
      }
      return found.lines;
    };
    for (const [name, { kind, value }] of this.#read()) {
      const { base, labels } = tagged(name);
      family(base, kind).push(`${base}${braces(labels)} ${value}`);
    }
    for (const [name, histogram] of this.#histograms) {
      const { base, labels } = tagged(name);
      const lines = family(base, 'histogram');
      let sum = 0;
      bounds.forEach((bound, i) => {
        sum += histogram.counts[i]!;
        lines.push(`${base}_bucket${braces([...labels, ['le', String(bound)]])} ${sum}`);
      });
      lines.push(`${base}_bucket${braces([...labels, ['le', '+Inf']])} ${histogram.count}`);
      lines.push(`${base}_sum${braces(labels)} ${histogram.sum}`, `${base}_count${braces(labels)} ${histogram.count}`);
    }
    return [...families].map(([name, { kind, lines }]) => `# TYPE ${name} ${kind}\n${lines.join('\n')}\n`).join('');
  }
}

type Label = readonly [name: string, value: string];

/** Each takes a part out of the name; names of clusters may hold dots, so the known end of the name decides. */
const rules: readonly { readonly pattern: RegExp; readonly label: string; readonly to: string }[] = [
  {
    pattern:
      /^cluster\.(.+?)\.((?:external\.|internal\.|canary\.)?upstream_|membership_|lb_|bind_|assignment_|circuit_breakers\.|outlier_detection\.|health_check\.|update_|retry_|http1\.|http2\.|version)/,
    label: 'envoy_cluster_name',
    to: 'cluster.$2',
  },
  {
    pattern: /^http\.(.+?)\.(downstream_|rq_|passthrough_|tracing\.|rbac\.|fault\.|no_|rs_)/,
    label: 'envoy_http_conn_manager_prefix',
    to: 'http.$2',
  },
  { pattern: /^tcp\.(.+?)\.(downstream_|idle_|max_|upstream_)/, label: 'envoy_tcp_prefix', to: 'tcp.$2' },
  {
    pattern: /^listener\.(.+?)\.(downstream_|http\.|no_|ssl\.|worker_)/,
    label: 'envoy_listener_address',
    to: 'listener.$2',
  },
];

function tagged(name: string): { readonly base: string; readonly labels: Label[] } {
  const labels: Label[] = [];
  let left = name;
  for (const { pattern, label, to } of rules) {
    const found = pattern.exec(left);
    if (!found) continue;
    labels.push([label, found[1]!]);
    left = to.replace('$2', found[2]!) + left.slice(found[0].length);
    break;
  }
  const classed = /(_rq)_([1-5]xx|\d{3})$/.exec(left);
  if (classed) {
    left = `${left.slice(0, classed.index)}_rq${classed[2]!.endsWith('xx') ? '_xx' : ''}`;
    labels.push(
      classed[2]!.endsWith('xx')
        ? ['envoy_response_code_class', classed[2]![0]!]
        : ['envoy_response_code', classed[2]!],
    );
  }
  return { base: `envoy_${left.replace(/[^a-zA-Z0-9_]/g, '_')}`, labels };
}

function braces(labels: readonly Label[]): string {
  if (labels.length === 0) return '{}';
  const escaped = (value: string) => value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
  return `{${labels.map(([name, value]) => `${name}="${escaped(value)}"`).join(',')}}`;
}
