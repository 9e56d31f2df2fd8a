/** A cluster at work: hosts, health, balancing, breakers and pools joined. */
import { millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import { BreakerAccount } from './admission.ts';
import type { AssignedLocality, Assignment } from './assignment.ts';
import { type BalancerOptions, makeBalancer } from './balance/balancer.ts';
import { originalDestination } from './balance/original-dst.ts';
import { makeSubsets } from './balance/subset.ts';
import type { LocalCluster } from './balance/zone-aware.ts';
import type { CheckedCluster, Discovery } from './config.ts';
import { DnsNames } from './dns/names.ts';
import type { Resolver } from './dns/resolver.ts';
import { HealthChecker } from './health/checker.ts';
import { type Dial, prober } from './health/probe.ts';
import { LiveHost } from './hosts/host.ts';
import { type HostChange, HostSet } from './hosts/host-set.ts';
import { localityKey } from './hosts/priorities.ts';
import { OutlierDetector, type OutlierReport } from './outliers/detector.ts';
import { Pools } from './pool/pools.ts';
import type { Connector, PoolCounter, PoolRequest, Ticket, Waiter } from './pool-types.ts';
import type { Transport } from './transport.ts';
import type { Balancer, Dice, Host, HostAddress, HostEvents, Locality, Pick, PickContext, Struct } from './types.ts';
import type { Upstream } from './upstream-types.ts';

/** Told for logs and metrics. */
export type UpstreamReport =
  | ({ readonly kind: 'outlier' } & OutlierReport)
  | { readonly kind: 'health'; readonly host: Host; readonly healthy: boolean; readonly reason: string }
  | { readonly kind: 'dns'; readonly name: string; readonly reason: string };

export interface UpstreamOptions<C> {
  readonly connector: Connector<C>;
  /** For health checks. */
  readonly dial: Dial;
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly dice: Dice;
  /** The cluster that this proxy itself is part of, for zone aware routing. */
  readonly local?: (panicThreshold: number) => LocalCluster | undefined;
  readonly count?: (what: PoolCounter) => void;
  readonly report?: (report: UpstreamReport) => void;
}

export function startUpstream<C>(cluster: CheckedCluster, options: UpstreamOptions<C>): Upstream<C> {
  return new RunningUpstream(cluster, options);
}

const nobodyListens: HostEvents = { responded: () => undefined, connected: () => undefined, failed: () => undefined };
const bySession = { policy: 'session', among: 'healthy' } as const;
const nowhere: AssignedLocality = {
  locality: { region: '', zone: '', subZone: '' },
  priority: 0,
  weight: undefined,
};

class RunningUpstream<C> implements Upstream<C> {
  readonly cluster: CheckedCluster;
  readonly admission: BreakerAccount;
  readonly events: HostEvents;
  readonly ready: Promise<void>;
  readonly #options: UpstreamOptions<C>;
  readonly #hosts: HostSet;
  readonly #pools: Pools<C>;
  readonly #outliers: OutlierDetector | undefined;
  readonly #checkers: readonly HealthChecker[];
  readonly #names: DnsNames | undefined;
  readonly #ready = Promise.withResolvers<void>();
  /** Hosts whose first health check is to come; undefined: the first assignment is. */
  #unchecked: Set<LiveHost> | undefined;
  #balancer: Balancer | undefined;
  #traffic = false;
  #cleanup: Timer | undefined;
  /** Of ORIGINAL_DST: hosts that were chosen since the last clean-up. */
  #used = new Set<LiveHost>();

  constructor(cluster: CheckedCluster, options: UpstreamOptions<C>) {
    this.cluster = cluster;
    this.#options = options;
    this.ready = this.#ready.promise;
    this.admission = new BreakerAccount(cluster.breakers);
    const { clock, dice } = options;
    this.#hosts = new HostSet({
      checked: cluster.healthChecks.length > 0,
      ignoreNewHosts: cluster.balancing.ignoreNewHosts,
      ignoreHealthOnRemoval: cluster.ignoreHealthOnRemoval,
      now: () => clock.now(),
    });
    this.#outliers =
      cluster.outliers &&
      new OutlierDetector(cluster.outliers, {
        clock,
        dice,
        hosts: () => this.#hosts.list(),
        changed: (host) => this.#healthChanged(host),
        report: (report) => options.report?.({ kind: 'outlier', ...report }),
      });
    this.events = this.#outliers ?? nobodyListens;
    this.#pools = new Pools({
      cluster,
      connector: options.connector,
      admission: this.admission,
      events: this.events,
      clock,
      count: options.count ?? (() => undefined),
      transportOf: (host) => this.transportOf(host),
    });
    this.#checkers = cluster.healthChecks.map((check) => this.#checker(check));
    this.#names = this.#start(cluster.discovery);
  }

  pick(context: PickContext): Pick {
    this.#traffic = true;
    const { discovery } = this.cluster;
    const { preferred } = context;
    if (preferred) {
      const host = this.#hosts.get(preferred.key);
      if (host && host.health !== 'unhealthy')
        return { kind: 'host', host, why: { ...bySession, priority: host.priority } };
      if (preferred.strict) return { kind: 'none', reason: `the session's host ${preferred.key} cannot be had` };
    }
    if (discovery.kind === 'original-dst') return this.#pickOriginal(discovery, context);
    const dropped = this.#hosts.assignment.drops.find(({ fraction }) => context.dice.random() < fraction);
    if (dropped) return { kind: 'none', reason: `dropped by drop_overload ${dropped.category}` };
    this.#balancer ??= this.#makeBalancer();
    return this.#balancer.pick(context);
  }

  acquire(host: Host, request: PoolRequest, waiter: Waiter<C>): Ticket {
    return this.#pools.acquire(host, request, waiter);
  }

  transportOf(host: Host): Transport {
    const own = host.metadata['envoy.transport_socket_match'] ?? {};
    const found = this.cluster.transportMatches.find(({ match }) => covers(own, match));
    return found?.transport ?? this.cluster.transport;
  }

  hosts(): readonly LiveHost[] {
    return this.#hosts.list();
  }

  census(locality: Locality, panicThreshold: number): LocalCluster {
    const { localities, healthy, all } = this.#hosts.view().priorities[0]!;
    return {
      locality,
      healthy: new Map(localities.map((at) => [localityKey(at.locality), at.healthy.length])),
      panics: (100 * healthy.length) / Math.max(1, all.length) < panicThreshold,
    };
  }

  localChanged(): void {
    this.#balancer = undefined;
  }

  assign(assignment: Assignment): void {
    const change = this.#hosts.assign(assignment);
    this.#balancer = undefined;
    for (const host of change.added) for (const checker of this.#checkers) checker.add(host);
    this.#left(change);
    if (this.cluster.closeOnHostChange && (change.added.length > 0 || change.removed.length > 0))
      this.#pools.drainAll();
    if (this.#unchecked) return;
    const checked = this.#checkers.length > 0;
    this.#unchecked = new Set(checked ? change.added.filter((host) => !host.healthCheck.disabled) : []);
    this.#settle();
  }

  close(): void {
    this.#names?.close();
    this.#outliers?.close();
    this.#cleanup?.cancel();
    for (const checker of this.#checkers) checker.close();
    this.#pools.drainAll();
    this.#ready.resolve();
  }

  #start(discovery: Discovery): DnsNames | undefined {
    switch (discovery.kind) {
      case 'static':
        this.assign(discovery.assignment);
        return undefined;
      case 'eds':
        return undefined;
      case 'original-dst':
        this.#ready.resolve();
        this.#cleanLater(discovery);
        return undefined;
      case 'dns': {
        const { clock, dice, resolver, report } = this.#options;
        const names = new DnsNames(discovery, {
          clock,
          dice,
          resolver,
          changed: (assignment) => this.assign(assignment),
          failed: (name, reason) => report?.({ kind: 'dns', name, reason }),
        });
        names.start();
        return names;
      }
    }
  }

  #checker(check: CheckedCluster['healthChecks'][number]): HealthChecker {
    const { clock, dice, dial, report } = this.#options;
    return new HealthChecker(check, {
      clock,
      dice,
      probe: prober({ dial, clock, cluster: this.cluster, transportOf: (host) => this.transportOf(host) }),
      hasTraffic: () => this.#traffic,
      changed: (host, reason) => {
        report?.({ kind: 'health', host, healthy: !host.failedCheck, reason });
        this.#healthChanged(host);
      },
      passed: (host) => this.#outliers?.healthCheckPassed(host),
      first: (host) => {
        this.#unchecked?.delete(host);
        this.#settle();
      },
    });
  }

  #settle(): void {
    if (this.#unchecked?.size === 0) this.#ready.resolve();
  }

  #healthChanged(host: LiveHost): void {
    this.#hosts.touch();
    this.#balancer = undefined;
    if (host.health !== 'unhealthy') return;
    if (this.cluster.closeOnHealthFailure) this.#pools.cut(host);
    else this.#pools.renew(host);
    if (!host.removed || !host.failedCheck) return;
    // Only its health check kept it.
    this.#hosts.remove(host);
    this.#left({ added: [], removed: [host] });
  }

  #left({ removed }: HostChange): void {
    for (const host of removed) {
      for (const checker of this.#checkers) checker.remove(host);
      this.#unchecked?.delete(host);
      this.#outliers?.forget(host);
      this.#pools.drain(host);
    }
    if (removed.length > 0) this.#settle();
  }

  #makeBalancer(): Balancer {
    const { balancing, subsets } = this.cluster;
    const options: BalancerOptions = {
      now: () => this.#options.clock.now(),
      active: () => this.admission.active,
      local: this.#options.local?.(balancing.panicThreshold),
    };
    const view = this.#hosts.view();
    return subsets ? makeSubsets(view, balancing, subsets, options) : makeBalancer(view, balancing, options);
  }

  #pickOriginal(discovery: Extract<Discovery, { kind: 'original-dst' }>, context: PickContext): Pick {
    const to = originalDestination(discovery, context.original);
    if (to.kind === 'none') return to;
    const host = this.#originalHost({ kind: 'ip', ip: to.ip, port: to.port });
    this.#used.add(host);
    return { kind: 'host', host, why: { policy: `original destination by ${to.by}`, priority: 0, among: 'healthy' } };
  }

  #originalHost(address: Extract<HostAddress, { kind: 'ip' }>): LiveHost {
    const made = new LiveHost(
      {
        address,
        alternatives: [],
        hostname: '',
        health: 'unknown',
        metadata: {},
        weight: 1,
        locality: 0,
        healthCheck: { address: undefined, hostname: '', disabled: false },
      },
      nowhere,
    );
    const known = this.#hosts.get(made.key);
    if (known) return known;
    this.#hosts.add(made);
    return made;
  }

  #cleanLater(discovery: Extract<Discovery, { kind: 'original-dst' }>): void {
    this.#cleanup = this.#options.clock.after(millis(discovery.cleanup), () => {
      const gone = this.#hosts.list().filter((host) => !this.#used.has(host) && !this.#pools.has(host));
      for (const host of gone) this.#hosts.remove(host);
      this.#left({ added: [], removed: gone });
      this.#used = new Set();
      this.#cleanLater(discovery);
    });
  }
}

/** Every field of `match`, at its top level, is the same in `own`; an empty match covers all. */
function covers(own: Struct, match: Struct): boolean {
  return Object.entries(match).every(([key, value]) => JSON.stringify(own[key]) === JSON.stringify(value));
}
