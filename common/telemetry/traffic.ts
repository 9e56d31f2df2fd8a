/**
 * istio_tcp_* (ambient-wire 7.1). Connections add to plain numbers; label sets are built once for each pair of ends and
 * reach prom-client only when somebody scrapes, since it hashes all labels at each call.
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { ResponseFlag } from '../core/errors.ts';
import type { Workload } from '../mesh/types.ts';
import {
  type Flow,
  flowKey,
  flowLabelNames,
  flowLabels,
  type Labels,
  type Reporter,
  sourceLabelNames,
  sourceLabels,
} from './labels.ts';

/** One open connection. Of `close` and `leave` the first call counts. */
export interface TrafficMeter {
  /** Bytes from downstream to upstream, whoever reports. */
  received(bytes: number): void;
  /** Bytes from upstream to downstream. */
  sent(bytes: number): void;
  /** `-` for an orderly end. */
  close(flag: ResponseFlag): void;
  /** It goes on in another process, which counts its end. */
  leave(): void;
}

/** The numbers of one label set; the flags are of closed and of failed connections. */
interface Series {
  readonly labels: Labels;
  opened: number;
  received: number;
  sent: number;
  readonly closed: Map<ResponseFlag, number>;
  readonly failed: Map<ResponseFlag, number>;
}

const reporters = ['source', 'destination'] as const satisfies readonly Reporter[];
type OpenNow = Record<Reporter, number>;

/** Label sets kept apart; peers choose some labels, so there is an end to it: later ones count without labels of their ends. */
const maxSeries = 20_000;

export class TrafficMetrics {
  readonly #byKey = new Map<string, Series>();
  readonly #byLabels = new Map<string, Series>();
  readonly #open: OpenNow = { source: 0, destination: 0 };
  readonly #onDemandDns: Counter;

  constructor(registry: Registry) {
    this.#counter(registry, 'connections_opened', 'TCP connections opened', (s) => [['-', s.opened]]);
    this.#counter(registry, 'connections_closed', "TCP connections closed, a predecessor's too", (s) => s.closed);
    this.#counter(registry, 'connections_failed', 'TCP connections that never opened', (s) => s.failed);
    this.#counter(registry, 'received_bytes', 'Bytes from downstream to upstream', (s) => [['-', s.received]]);
    this.#counter(registry, 'sent_bytes', 'Bytes from upstream to downstream', (s) => [['-', s.sent]]);
    const open = this.#open;
    new Gauge({
      name: 'istio_tcp_sockets_open',
      help: 'Connections open now',
      labelNames: ['reporter'],
      registers: [registry],
      collect() {
        for (const reporter of reporters) this.set({ reporter }, open[reporter]);
      },
    });
    this.#onDemandDns = new Counter({
      name: 'istio_on_demand_dns_total',
      help: 'Connections that waited for the address of a workload known by a host name',
      labelNames: [...sourceLabelNames, 'hostname'],
      registers: [registry],
    });
  }

  open(flow: Flow): TrafficMeter {
    const series = this.#series(flow);
    series.opened++;
    return new Meter(series, this.#open, flow.reporter);
  }

  /** As `open`, of a connection that another process has counted as opened. */
  adopt(flow: Flow): TrafficMeter {
    return new Meter(this.#series(flow), this.#open, flow.reporter);
  }

  /** A connection that was refused or could not be made. */
  failed(flow: Flow, flag: ResponseFlag): void {
    add(this.#series(flow).failed, flag);
  }

  /** A connection of the source needs the address of a host name. */
  resolving(source: Workload, hostname: string): void {
    this.#onDemandDns.inc({ ...sourceLabels(source), hostname });
  }

  #series(flow: Flow): Series {
    const key = flowKey(flow);
    const known = this.#byKey.get(key);
    if (known) return known;
    // Keys follow objects, and those are replaced at each update: dropping them costs a rebuild and bounds the map.
    if (this.#byKey.size >= maxSeries) this.#byKey.clear();
    const series = this.#labelled(flow);
    this.#byKey.set(key, series);
    return series;
  }

  #labelled(flow: Flow): Series {
    const labels = flowLabels(flow);
    const known = this.#byLabels.get(textOf(labels));
    if (known) return known;
    if (this.#byLabels.size < maxSeries) return this.#add(labels);
    const overflow = flowLabels(anonymous(flow.reporter));
    return this.#byLabels.get(textOf(overflow)) ?? this.#add(overflow);
  }

  #add(labels: Labels): Series {
    const series: Series = { labels, opened: 0, received: 0, sent: 0, closed: new Map(), failed: new Map() };
    this.#byLabels.set(textOf(labels), series);
    return series;
  }

  #counter(
    registry: Registry,
    name: string,
    help: string,
    values: (s: Series) => Iterable<readonly [ResponseFlag, number]>,
  ): void {
    const all = this.#byLabels;
    new Counter({
      name: `istio_tcp_${name}_total`,
      help,
      labelNames: flowLabelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const series of all.values()) {
          for (const [flag, value] of values(series)) {
            if (value > 0) this.inc({ ...series.labels, response_flags: flag }, value);
          }
        }
      },
    });
  }
}

class Meter implements TrafficMeter {
  readonly #series: Series;
  readonly #openNow: OpenNow;
  readonly #reporter: Reporter;
  #open = true;

  constructor(series: Series, openNow: OpenNow, reporter: Reporter) {
    this.#series = series;
    this.#openNow = openNow;
    this.#reporter = reporter;
    openNow[reporter]++;
  }

  received(bytes: number): void {
    this.#series.received += bytes;
  }

  sent(bytes: number): void {
    this.#series.sent += bytes;
  }

  close(flag: ResponseFlag): void {
    if (!this.#open) return;
    add(this.#series.closed, flag);
    this.leave();
  }

  leave(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#openNow[this.#reporter]--;
  }
}

function textOf(labels: Labels): string {
  return Object.values(labels).join('\0');
}

function anonymous(reporter: Reporter): Flow {
  return { reporter, source: undefined, destination: undefined, service: undefined, mutualTls: undefined };
}

function add(counts: Map<ResponseFlag, number>, flag: ResponseFlag): void {
  counts.set(flag, (counts.get(flag) ?? 0) + 1);
}
