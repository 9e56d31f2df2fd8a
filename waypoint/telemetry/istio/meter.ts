/** Istio's standard metrics of requests and connections, from where the waypoint stands: names, labels and buckets are Istio's. */
import type { FormatContext } from '../../format/format.ts';
import type { Label, Series, SeriesStore } from '../series.ts';
import type { MetricOverride, StatsConfig } from './config.ts';
import { destinationOf, localPrincipalOf, type Peer, principalOf, serviceOf, sourceOf } from './peers.ts';

/** In the order in which they were told of first: names without the prefix. */
const httpMetrics = {
  requests: ['requests_total', 'counter'],
  duration: ['request_duration_milliseconds', 'histogram'],
  received: ['request_bytes', 'histogram'],
  sent: ['response_bytes', 'histogram'],
} as const;
const grpcMetrics = {
  requestMessages: ['request_messages_total', 'counter'],
  responseMessages: ['response_messages_total', 'counter'],
} as const;
const tcpMetrics = {
  opened: ['tcp_connections_opened_total', 'counter'],
  closed: ['tcp_connections_closed_total', 'counter'],
  tcpSent: ['tcp_sent_bytes_total', 'counter'],
  tcpReceived: ['tcp_received_bytes_total', 'counter'],
} as const;
const all = { ...httpMetrics, ...grpcMetrics, ...tcpMetrics };

export type Metric = keyof typeof all;
type Kind = 'counter' | 'gauge' | 'histogram';

/** What labels are made of. */
interface Facets {
  /** Ids of the ends and of the service. */
  readonly source: number;
  readonly destination: number;
  readonly service: number;
  readonly protocol: string;
  readonly code: string;
  readonly grpc: string;
  readonly flags: string;
  readonly local: string;
  readonly host: string;
  /** Of all tags. */
  readonly values: readonly (string | undefined)[];
}

/** Series of one set of labels, by metric; a metric that is dropped has none. */
interface Entry {
  readonly facets: Facets;
  readonly labels: readonly Label[];
  readonly series: Partial<Record<Metric, Series | null>>;
  readonly custom: Map<string, Series>;
}

interface Rule {
  readonly drop: boolean;
  readonly removed: ReadonlySet<string>;
  /** Index of the value by the name of the label. */
  readonly tags: ReadonlyMap<string, number>;
}

/** Entries that are looked up fast; beyond, they are found by their labels again. */
const remembered = 20_000;
/** Places of those that came last, a power of two. */
const places = 64;

export interface Messages {
  readonly request: number;
  readonly response: number;
}

export class IstioMeter {
  readonly config: StatsConfig;
  readonly #store: SeriesStore;
  readonly #entries = new Map<string, Entry>();
  /** Mostly a request's like was there just before: comparing is quicker than making a key. */
  readonly #recent: (Entry | undefined)[] = new Array<undefined>(places).fill(undefined);
  /** Expressions of all tags; each is evaluated once for a request. */
  readonly #values: readonly ((context: FormatContext) => string | undefined)[];
  readonly #rules: ReadonlyMap<string, Rule>;

  constructor(store: SeriesStore, config: StatsConfig) {
    this.#store = store;
    this.config = config;
    this.#values = config.overrides.flatMap(({ tags }) => tags.map(([, value]) => value));
    const names = [...Object.values(all).map(([name]) => name), ...config.definitions.map(({ name }) => name)];
    this.#rules = new Map(names.map((name) => [name, ruleOf(name, config.overrides)]));
  }

  /** A request that is over, after `duration` ms. */
  request(context: FormatContext, duration: number, isGrpc: boolean): void {
    const { response, trailers, facts } = context;
    const grpc = isGrpc ? (trailers?.get('grpc-status') ?? response?.headers.get('grpc-status') ?? '') : '';
    const entry = this.#entry(context, isGrpc ? 'grpc' : 'http', String(response?.status ?? 0), grpc);
    this.#add(entry, 'requests', 1);
    this.#record(entry, 'duration', duration);
    this.#record(entry, 'received', facts.wireReceived ?? 0);
    this.#record(entry, 'sent', facts.wireSent ?? 0);
    this.#define(entry, context);
  }

  /** Of a gRPC stream, since it was told last. */
  messages(context: FormatContext, { request, response }: Messages): void {
    const entry = this.#entry(context, 'messages', '', '');
    this.#add(entry, 'requestMessages', request);
    this.#add(entry, 'responseMessages', response);
  }

  /** Of a connection: one of those, `amount` bytes or 1. */
  tcp(context: FormatContext, amounts: Partial<Readonly<Record<keyof typeof tcpMetrics, number>>>): void {
    const entry = this.#entry(context, 'tcp', '', '');
    for (const [metric, amount] of Object.entries(amounts)) this.#add(entry, metric as Metric, amount);
    if (amounts.closed !== undefined) this.#define(entry, context);
  }

  #add(entry: Entry, metric: Metric, amount: number): void {
    const series = this.#series(entry, metric);
    if (series) this.#store.add(series, amount);
  }

  #record(entry: Entry, metric: Metric, value: number): void {
    const series = this.#series(entry, metric);
    if (series) this.#store.record(series, value);
  }

  #define(entry: Entry, context: FormatContext): void {
    for (const { name, kind, value } of this.config.definitions) {
      const amount = Number(value(context) ?? 0);
      if (!Number.isFinite(amount)) continue;
      let series = entry.custom.get(name);
      if (!series || series.gone) {
        const made = this.#make(entry, name, kind, []);
        if (!made) continue;
        series = made;
        entry.custom.set(name, series);
      }
      if (kind === 'histogram') this.#store.record(series, amount);
      else this.#store.add(series, kind === 'gauge' ? amount - series.value : amount);
    }
  }

  #series(entry: Entry, metric: Metric): Series | null {
    const found = entry.series[metric];
    if (found === null || found?.gone === false) return found;
    const [name, kind] = all[metric];
    const series = this.#make(entry, name, kind, entry.labels);
    entry.series[metric] = series;
    return series;
  }

  #make({ facets: { values } }: Entry, name: string, kind: Kind, base: readonly Label[]): Series | null {
    const rule = this.#rules.get(name)!;
    if (rule.drop) return null;
    const textAt = (index: number) => values[index] ?? unknown;
    const labels = base.flatMap((label): readonly Label[] => {
      if (rule.removed.has(label[0])) return [];
      const index = rule.tags.get(label[0]);
      return [index === undefined ? label : [label[0], textAt(index)]];
    });
    const own = new Set(base.map(([label]) => label));
    const added = [...rule.tags].flatMap(([label, index]): readonly Label[] =>
      own.has(label) ? [] : [[label, textAt(index)]],
    );
    return this.#store.get(this.config.prefix + name, kind, [...labels, ...added]);
  }

  #entry(context: FormatContext, protocol: string, code: string, grpc: string): Entry {
    const { request, facts } = context;
    const source = sourceOf(request.connection);
    const destination = destinationOf(facts.hostMetadata);
    const service = serviceOf(facts.clusterMetadata);
    const flags = facts.responseFlags ?? '-';
    const local = localPrincipalOf(request.connection);
    const values = this.#values.length === 0 ? noValues : this.#values.map((value) => value(context));
    const host = service.id === 0 && this.config.usesHost ? request.authority : '';
    const place = (source.id + destination.id * 3 + service.id * 5 + (code.charCodeAt(0) || 0) * 7) & (places - 1);
    const recent = this.#recent[place];
    if (
      recent !== undefined &&
      recent.facets.source === source.id &&
      recent.facets.destination === destination.id &&
      recent.facets.service === service.id &&
      recent.facets.protocol === protocol &&
      recent.facets.code === code &&
      recent.facets.grpc === grpc &&
      recent.facets.flags === flags &&
      recent.facets.local === local &&
      recent.facets.host === host &&
      areEqual(recent.facets.values, values)
    ) {
      return recent;
    }
    const ids = { source: source.id, destination: destination.id, service: service.id };
    const facets: Facets = { ...ids, protocol, code, grpc, flags, local, host, values };
    const key = JSON.stringify(Object.values(facets));
    const known = this.#entries.get(key);
    if (known) {
      this.#recent[place] = known;
      return known;
    }
    if (this.#entries.size >= remembered) this.#entries.clear();
    const isMutual = principalOf(request.connection) !== '' && local !== '';
    const labels: readonly Label[] = [
      ['reporter', 'waypoint'],
      ...sourceLabels(source),
      ...destinationLabels(destination),
      ['destination_service', orUnknown(service.host || host || destination.service)],
      ['destination_canonical_service', orUnknown(destination.service)],
      ['destination_canonical_revision', orUnknown(destination.revision)],
      ['destination_service_name', orUnknown(service.name || host || destination.service)],
      ['destination_service_namespace', orUnknown(service.namespace || destination.namespace)],
      ['destination_cluster', orUnknown(destination.cluster)],
      ['request_protocol', protocol === 'messages' ? 'grpc' : protocol],
      ...(protocol === 'tcp' || protocol === 'messages'
        ? []
        : ([
            ['response_code', code],
            ['grpc_response_status', grpc],
          ] as const)),
      // What is told of a stream on its way must not change its labels at its end.
      ...(protocol === 'messages' ? [] : ([['response_flags', flags]] as const)),
      ['connection_security_policy', isMutual ? 'mutual_tls' : 'none'],
    ];
    const entry: Entry = { facets, labels, series: {}, custom: new Map() };
    this.#entries.set(key, entry);
    this.#recent[place] = entry;
    return entry;
  }
}

const noValues: readonly never[] = [];

function areEqual(a: Facets['values'], b: Facets['values']): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function ruleOf(name: string, overrides: readonly MetricOverride[]): Rule {
  const removed = new Set<string>();
  const tags = new Map<string, number>();
  let drop = false;
  let index = 0;
  for (const override of overrides) {
    const applies = override.metric === '' || override.metric === name;
    for (const [tag] of override.tags) {
      if (applies) tags.set(tag, index);
      index++;
    }
    if (!applies) continue;
    for (const tag of override.removed) removed.add(tag);
    drop = override.drop;
  }
  return { drop, removed, tags };
}

const unknown = 'unknown';

function orUnknown(value: string): string {
  return value === '' ? unknown : value;
}

function sourceLabels(p: Peer): readonly Label[] {
  return [
    ['source_workload', orUnknown(p.workload)],
    ['source_canonical_service', orUnknown(p.service)],
    ['source_canonical_revision', p.revision || 'latest'],
    ['source_workload_namespace', orUnknown(p.namespace)],
    ['source_principal', orUnknown(p.identity)],
    ['source_app', orUnknown(p.service)],
    ['source_version', orUnknown(p.revision)],
    ['source_cluster', orUnknown(p.cluster)],
  ];
}

function destinationLabels(p: Peer): readonly Label[] {
  return [
    ['destination_workload', orUnknown(p.workload)],
    ['destination_workload_namespace', orUnknown(p.namespace)],
    ['destination_principal', orUnknown(p.identity)],
    ['destination_app', orUnknown(p.service)],
    ['destination_version', orUnknown(p.revision)],
  ];
}
