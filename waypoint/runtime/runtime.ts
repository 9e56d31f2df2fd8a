/**
 * The configuration at work: clusters, endpoints, route tables, listeners and secrets by name, each replaced by its newest version that
 * was understood; what is not understood leaves the last one as it is.
 */
import { millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { type Checked, checkFields } from '../../common/envoy/fields.ts';
import type { Assignment } from '../cluster/assignment.ts';
import { compileAssignment } from '../cluster/compile/assignment.ts';
import { compileCluster } from '../cluster/compile/cluster.ts';
import type { CheckedCluster } from '../cluster/config.ts';
import type { Resolver } from '../cluster/dns/resolver.ts';
import type { Dice, Locality } from '../cluster/types.ts';
import { startUpstream } from '../cluster/upstream.ts';
import type { Upstream } from '../cluster/upstream-types.ts';
import { Exporters } from '../export/exporters.ts';
import { perFilterTypes } from '../filters/kinds.ts';
import { Scripts } from '../filters/script/scripts.ts';
import type { ListenerConfig } from '../listener/config.ts';
import { BoundListener, ListenerServer } from '../listener/listener.ts';
import { compileListener } from '../listener/read.ts';
import { compileRoutes } from '../route/table.ts';
import { allTold } from '../telemetry/accounts.ts';
import { clusterGauges } from '../telemetry/cluster-gauges.ts';
import { clusterStats } from '../telemetry/http-stats.ts';
import { countOutlier } from '../telemetry/outlier-stats.ts';
import { type SeriesOptions, SeriesStore } from '../telemetry/series.ts';
import { Stats } from '../telemetry/stats.ts';
import { TlsClients } from '../tls/client.ts';
import { FileSecrets } from '../tls/file-secrets.ts';
import { HandshakeTurns } from '../tls/handshake-turns.ts';
import { SecretStore } from '../tls/secrets.ts';
import type { ProxyNode } from '../tracing/standard-tags.ts';
import { createConnector, type UpstreamConnection } from '../upstream/connector.ts';
import { dialer } from '../upstream/dial.ts';
import { InternalListeners } from '../upstream/internal.ts';
import type { Environment } from './environment.ts';
import { RouteTables } from './route-tables.ts';
import { fromFile, readSecret } from './secret.ts';

export type ResourceKind = 'cluster' | 'assignment' | 'route' | 'listener' | 'secret';

export interface RuntimeOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Logger;
  readonly resolver: Resolver;
  readonly write: (path: string, line: string) => void;
  readonly ownAddress: string;
  /** How long connections of a listener that is gone or replaced may go on, ms. */
  readonly drain: number;
  /** Of Istio's metrics. Default: an hour, 10,000 series of each name. */
  readonly series?: Omit<SeriesOptions, 'clock'> | undefined;
  /** Who we are in what is exported. Default: empty. */
  readonly node?: ProxyNode | undefined;
  /** Of the environment of this process. Default: there are none. */
  readonly variable?: ((name: string) => string | undefined) | undefined;
  /** The cluster that this proxy is part of, for zone aware routing, and where in it. */
  readonly local?: { readonly cluster: string; readonly locality: Locality } | undefined;
}

export const defaultSeries = { idle: millis(3_600_000), limit: 10_000 };

interface LiveCluster {
  readonly upstream: Upstream<UpstreamConnection>;
  /** As JSON, to know a cluster that was sent again unchanged. */
  readonly text: string;
}

interface LiveListener {
  /** undefined: it waits for what it needs. */
  bound: BoundListener | undefined;
  opening: boolean;
  /** The newest configuration; not serving yet while something that it needs is missing. */
  wanted: ListenerConfig;
  text: string;
  failure: string | undefined;
}

export class Runtime {
  readonly env: Environment;
  readonly secrets = new SecretStore();
  readonly routes = new RouteTables();
  readonly stats = new Stats();
  readonly #options: RuntimeOptions;
  readonly #internal = new InternalListeners();
  readonly #tls: TlsClients;
  readonly #files: FileSecrets;
  readonly #scripts: Scripts;
  readonly #clusters = new Map<string, LiveCluster>();
  readonly #warming = new Set<string>();
  readonly #assignments = new Map<string, Assignment>();
  readonly #listeners = new Map<string, LiveListener>();
  readonly #draining = new Set<ListenerServer>();
  readonly #watchers = new Set<() => void>();
  /** The newest resource of each name that was understood, for config_dump. */
  readonly #resources = new Map<ResourceKind, Map<string, object>>();
  #closing = false;

  constructor(options: RuntimeOptions) {
    this.#options = options;
    const { clock, dice, log, ownAddress, write } = options;
    this.#tls = new TlsClients(this.secrets);
    const series = new SeriesStore({ clock, ...(options.series ?? defaultSeries) });
    this.#scripts = new Scripts({ clock, log, stats: this.stats, series });
    this.env = {
      clock,
      dice,
      log,
      write,
      ownAddress,
      stats: this.stats,
      series,
      scripts: this.#scripts,
      secrets: this.secrets,
      handshakes: new HandshakeTurns(),
      routes: this.routes,
      exporters: new Exporters(),
      node: options.node ?? { id: '', cluster: '', zone: '' },
      variable: options.variable ?? (() => undefined),
      clusters: { get: (name) => this.#clusters.get(name)?.upstream },
    };
    this.#files = new FileSecrets({
      clock,
      log,
      changed: (name, secret) => this.secrets.put(name, fromFile(secret)),
    });
    this.secrets.watch((name) => {
      this.#files.want(name);
      this.#advance();
    });
    this.stats.observe(() =>
      [...this.#clusters.values()].flatMap(({ upstream }) => [
        ...clusterGauges(upstream.cluster.statName, upstream.hosts()),
      ]),
    );
  }

  /** Called whenever something became ready, or is wanted. Returns how to stop. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Names of EDS that clusters ask for. */
  get wantedAssignments(): ReadonlySet<string> {
    const names = [...this.#clusters.values()].flatMap(({ upstream: { cluster } }) =>
      cluster.discovery.kind === 'eds' ? [cluster.discovery.serviceName] : [],
    );
    return new Set(names);
  }

  /** Names of RDS that listeners ask for. */
  get wantedRoutes(): ReadonlySet<string> {
    return new Set([...this.#listeners.values()].flatMap(({ wanted }) => wanted.needs.routes));
  }

  /** Secrets that listeners and clusters ask for. */
  get wantedSecrets(): ReadonlySet<string> {
    return this.secrets.wanted;
  }

  apply(kind: ResourceKind, resource: object): Checked<string> {
    const applied = this.#apply(kind, resource);
    if (applied.kind === 'ok') {
      let all = this.#resources.get(kind);
      if (!all) {
        all = new Map();
        this.#resources.set(kind, all);
      }
      all.set(applied.value, resource);
      this.#advance();
    }
    return applied;
  }

  #apply(kind: ResourceKind, resource: object): Checked<string> {
    switch (kind) {
      case 'cluster':
        return this.#applyCluster(resource);
      case 'assignment':
        return this.#applyAssignment(resource);
      case 'route':
        return this.#applyRoutes(resource);
      case 'listener':
        return this.#applyListener(resource);
      case 'secret':
        return this.#applySecret(resource);
    }
  }

  remove(kind: ResourceKind, name: string): void {
    this.#resources.get(kind)?.delete(name);
    switch (kind) {
      case 'cluster':
        this.#clusters.get(name)?.upstream.close();
        this.#clusters.delete(name);
        this.#tellLocal(name);
        this.#warming.delete(name);
        break;
      case 'assignment':
        this.#assignments.delete(name);
        break;
      case 'route':
        this.routes.delete(name);
        break;
      case 'listener': {
        const live = this.#listeners.get(name);
        this.#listeners.delete(name);
        live?.bound?.close();
        if (live?.bound) this.#retire(live.bound.serving);
        break;
      }
      case 'secret':
        this.secrets.delete(name);
    }
    this.#advance();
  }

  #applyCluster(resource: object): Checked<string> {
    const compiled = compileCluster(resource);
    if (compiled.kind === 'rejected') return compiled;
    const { value: cluster } = compiled;
    const text = textOf(resource);
    const before = this.#clusters.get(cluster.name);
    if (before?.text === text) return { kind: 'ok', value: cluster.name };
    const upstream = this.#start(cluster);
    this.#clusters.set(cluster.name, { upstream, text });
    this.#tellLocal(cluster.name);
    // Its pools drain; requests under way end on them.
    before?.upstream.close();
    for (const secret of secretNames(cluster)) this.secrets.want(secret);
    const { discovery } = cluster;
    const known = discovery.kind === 'eds' ? this.#assignments.get(discovery.serviceName) : undefined;
    if (known) upstream.assign(known);
    this.#warming.add(cluster.name);
    void upstream.ready.then(() => {
      if (this.#clusters.get(cluster.name)?.upstream !== upstream) return;
      this.#warming.delete(cluster.name);
      this.#advance();
    });
    return { kind: 'ok', value: cluster.name };
  }

  #start(cluster: CheckedCluster): Upstream<UpstreamConnection> {
    const { clock, dice, log, resolver } = this.#options;
    const parts = { cluster, internal: this.#internal, tls: this.#tls, clock };
    return startUpstream<UpstreamConnection>(cluster, {
      connector: createConnector(parts),
      dial: dialer(parts),
      resolver,
      clock,
      dice,
      local: (threshold) => {
        const { local } = this.#options;
        return local && this.#clusters.get(local.cluster)?.upstream.census(local.locality, threshold);
      },
      count: (what) => clusterStats(this.stats, cluster.statName).count(what),
      report: (report) => {
        if (report.kind === 'outlier') countOutlier(this.stats, cluster.statName, report);
        log.debug('a host changed', { cluster: cluster.name, kind: report.kind });
        this.#tellLocal(cluster.name);
      },
    });
  }

  #applyAssignment(resource: object): Checked<string> {
    const compiled = compileAssignment(resource);
    if (compiled.kind === 'rejected') return compiled;
    const { clusterName: name, assignment } = compiled.value;
    this.#assignments.set(name, assignment);
    for (const { upstream } of this.#clusters.values()) {
      const { discovery } = upstream.cluster;
      if (discovery.kind !== 'eds' || discovery.serviceName !== name) continue;
      upstream.assign(assignment);
      this.#tellLocal(upstream.cluster.name);
    }
    return { kind: 'ok', value: name };
  }

  /** Whose balancers depend on it is told of a change within the cluster that we are part of. */
  #tellLocal(name: string): void {
    if (this.#options.local?.cluster !== name) return;
    for (const { upstream } of this.#clusters.values()) upstream.localChanged();
  }

  #applyRoutes(resource: object): Checked<string> {
    const compiled = compileRoutes(resource, perFilterTypes);
    if (compiled.kind === 'rejected') return compiled;
    this.routes.set(compiled.value.name, compiled.value);
    return { kind: 'ok', value: compiled.value.name };
  }

  #applySecret(resource: object): Checked<string> {
    const checked = checkFields(resource, 'Secret', readSecret);
    if (checked.kind === 'rejected') return checked;
    const { name, secret } = checked.value;
    this.secrets.put(name, secret);
    return { kind: 'ok', value: name };
  }

  #applyListener(resource: object): Checked<string> {
    const compiled = compileListener(resource, this.env);
    if (compiled.kind === 'rejected') return compiled;
    const { value: config } = compiled;
    const text = textOf(resource);
    const before = this.#listeners.get(config.name);
    if (before?.text === text) return { kind: 'ok', value: config.name };
    for (const secret of config.needs.secrets) this.secrets.want(secret);
    const bound = before?.bound;
    if (bound && textOf(bound.serving.config.bind) !== textOf(config.bind)) {
      // Another address: the old sockets close when the new ones stand.
      this.#listeners.set(config.name, { bound: undefined, opening: false, wanted: config, text, failure: undefined });
      bound.close();
      this.#retire(bound.serving);
    } else if (before) Object.assign(before, { wanted: config, text, failure: undefined });
    else
      this.#listeners.set(config.name, { bound: undefined, opening: false, wanted: config, text, failure: undefined });
    return { kind: 'ok', value: config.name };
  }

  /** Opens and replaces listeners whose needs are met. */
  #advance(): void {
    if (this.#closing) return;
    for (const [name, live] of this.#listeners) {
      if (live.opening || live.failure !== undefined || live.bound?.serving.config === live.wanted) continue;
      if (this.#missing(live.wanted).length > 0) continue;
      const next = new ListenerServer(live.wanted, this.env);
      if (live.bound) this.#retire(live.bound.replace(next));
      else void this.#open(name, live, next);
    }
    for (const watcher of this.#watchers) watcher();
  }

  async #open(name: string, live: LiveListener, next: ListenerServer): Promise<void> {
    live.opening = true;
    try {
      const bound = await BoundListener.open(next, this.#internal);
      if (this.#closing || this.#listeners.get(name) !== live) bound.close();
      else live.bound = bound;
    } catch (e) {
      live.failure = describeError(e);
      this.env.log.error('a listener cannot be opened', { listener: name, error: live.failure });
    } finally {
      live.opening = false;
      this.#advance();
    }
  }

  #retire(server: ListenerServer): void {
    this.#draining.add(server);
    const timer = this.#options.clock.after(this.#options.drain as Parameters<Clock['after']>[0], () => server.cut());
    void server.drain().then(() => {
      timer.cancel();
      this.#draining.delete(server);
    });
  }

  #missing({ needs }: ListenerConfig): readonly string[] {
    return [
      ...needs.routes.filter((name) => !this.routes.get(name)).map((name) => `route ${name}`),
      ...needs.secrets.filter((name) => !this.secrets.get(name)).map((name) => `secret ${name}`),
      ...needs.clusters.filter((name) => this.#warming.has(name)).map((name) => `cluster ${name}`),
    ];
  }

  /** What is not serving yet, for readiness. */
  pending(): readonly string[] {
    const clusters = [...this.#warming].map((name) => `cluster ${name}`);
    const listeners = [...this.#listeners].flatMap(([name, live]) => {
      if (live.failure !== undefined) return [`listener ${name}: ${live.failure}`];
      if (live.bound?.serving.config === live.wanted) return [];
      return [`listener ${name} (${this.#missing(live.wanted).join(', ') || 'opening'})`];
    });
    return [...clusters, ...listeners];
  }

  listeners(): readonly {
    readonly name: string;
    readonly addresses: BoundListener['addresses'];
    readonly connections: number;
  }[] {
    return [...this.#listeners].flatMap(([name, { bound }]) =>
      bound ? [{ name, addresses: bound.addresses, connections: bound.serving.connections }] : [],
    );
  }

  clusters(): readonly Upstream<UpstreamConnection>[] {
    return [...this.#clusters.values()].map(({ upstream }) => upstream);
  }

  resources(kind: ResourceKind): ReadonlyMap<string, object> {
    return this.#resources.get(kind) ?? new Map();
  }

  /** Before `close`, while callers may still not know that this process ends: it goes on accepting. */
  dismiss(): void {
    for (const { bound } of this.#listeners.values()) {
      if (bound?.serving.config.bind.kind === 'sockets') bound.serving.dismiss();
    }
  }

  /** Nothing new is accepted; resolves when all has ended, or has been cut at the deadline. */
  async close(deadline: number): Promise<void> {
    this.#closing = true;
    const serving: ListenerServer[] = [...this.#draining];
    for (const { bound } of this.#listeners.values()) {
      if (!bound) continue;
      // Internal listeners take what the open connections still bring.
      if (bound.serving.config.bind.kind === 'sockets') bound.close();
      serving.push(bound.serving);
    }
    const cut = () => {
      for (const server of serving) server.cut();
    };
    const outer = serving.filter(({ config }) => config.bind.kind === 'sockets');
    const timer = this.#options.clock.after(deadline as Parameters<Clock['after']>[0], cut);
    await Promise.all(outer.map((server) => server.drain()));
    timer.cancel();
    cut();
    await allTold();
    // What was told of the last requests; a collector that does not answer has had its time.
    const lost = Promise.withResolvers<void>();
    const grace = this.#options.clock.after(millis(deadline), () => lost.resolve());
    await Promise.race([this.env.exporters.flush(), lost.promise]);
    grace.cancel();
    this.#files.close();
    this.#scripts.close();
    for (const { upstream } of this.#clusters.values()) upstream.close();
  }
}

function secretNames(cluster: CheckedCluster): readonly string[] {
  const of = (transport: CheckedCluster['transport']): readonly string[] => {
    switch (transport.kind) {
      case 'raw':
        return [];
      case 'internal':
      case 'proxy-protocol':
        return of(transport.inner);
      case 'tls': {
        const { certificates, validation } = transport.tls;
        const own = certificates.flatMap((c) => (c.kind === 'secret' ? [c.secret.name] : []));
        return validation?.secret ? [...own, validation.secret.name] : own;
      }
    }
  };
  return [of(cluster.transport), ...cluster.transportMatches.map(({ transport }) => of(transport))].flat();
}

function textOf(value: object): string {
  return JSON.stringify(value);
}
