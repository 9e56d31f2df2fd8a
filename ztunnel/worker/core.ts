/**
 * A worker without its process: the mesh, certificates, pods and metrics put together. worker.ts adds the link to the
 * supervisor and istiod; tests add what they like.
 */
import { readdirSync } from 'node:fs';
import { Counter, Histogram, type Registry } from 'prom-client';
import type { Fd } from '../../common/core/brand.ts';
import { millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import { createLogger, type Logger, type LogSink } from '../../common/core/log.ts';
import type { SocketAddr } from '../../common/core/net.ts';
import type { Lookup } from '../../common/dns/system-lookup.ts';
import type { CertificateStore } from '../../common/identity/types.ts';
import type { MeshChanges, MeshReader } from '../../common/mesh/store.ts';
import type { Identity } from '../../common/mesh/types.ts';
import { bypassMetric } from '../../common/telemetry/bypass.ts';
import { dnsMetrics } from '../../common/telemetry/dns.ts';
import { gaugeOf } from '../../common/telemetry/program.ts';
import { TrafficMetrics } from '../../common/telemetry/traffic.ts';
import type { Revocation } from '../../common/tls/revocation.ts';
import type { Demand } from '../../common/xds/demand.ts';
import type { SameNodeOrder } from '../../common/zds/same-node.ts';
import type { ZtunnelConfig } from '../config.ts';
import type { PodMessage, SocketKind, SuccessorListeners, ToWorker } from '../control/messages.ts';
import { DnsAnswerer, type DnsTools } from '../dns/answer.ts';
import { adoptDatagram, Forwarder } from '../dns/forward.ts';
import { addressOf } from '../dns/lookup.ts';
import { type DnsServer, serveDnsTcp, serveDnsUdp } from '../dns/server.ts';
import type { Engine } from '../engine/engine.ts';
import { adopt } from '../handover/adopt.ts';
import { give } from '../handover/give.ts';
import { OpenRelays } from '../handover/open-relays.ts';
import type { Line } from '../handover/protocol.ts';
import { take } from '../handover/take.ts';
import type { Accepted } from '../proxy/accept.ts';
import { type ConnectTools, connectFromPod } from '../proxy/connect.ts';
import type { OriginalDestination } from '../proxy/identify.ts';
import { nameResolver } from '../proxy/names.ts';
import { ConnectionRegistry } from '../proxy/permit.ts';
import { openAccount, type ProxyRuntime } from '../proxy/runtime.ts';
import { tracer } from '../proxy/trace.ts';
import { DescriptorBudget } from './descriptors.ts';
import { DirectPaths } from './direct-paths.ts';
import { type PodServices, type Refusal, WorkerPod } from './pod.ts';
import { Prefetcher } from './prefetch.ts';
import { Traffic } from './traffic.ts';

/** Part of the configuration that a worker's data path uses. */
export type CoreConfig = Pick<
  ZtunnelConfig,
  | 'mode'
  | 'maxDescriptors'
  | 'compat'
  | 'trace'
  | 'network'
  | 'nodeName'
  | 'clusterId'
  | 'clusterDomain'
  | 'preferredServiceNamespace'
  | 'ipv6'
  | 'dnsProxy'
  | 'poolMaxStreams'
  | 'tls'
  | 'http2'
  | 'poolUnusedRelease'
  | 'responseBaggage'
  | 'localhostAppTunnel'
  | 'logPolicyDecisions'
>;

export interface CoreOptions {
  readonly config: CoreConfig;
  readonly store: MeshReader;
  /** Where addresses come on demand. */
  readonly demand?: Demand | undefined;
  readonly certificates: CertificateStore;
  readonly engine: Engine;
  readonly clock: Clock;
  readonly sink: LogSink;
  readonly registry: Registry;
  /** [0, 1). */
  readonly random: () => number;
  readonly tools: ConnectTools;
  /** Names of the world outside. */
  readonly lookup: Lookup;
  readonly originalDestination: OriginalDestination;
  readonly socketName: (fd: Fd) => SocketAddr;
  /** Undefined: nobody's certificate is revoked. */
  readonly revocation?: Revocation | undefined;
  readonly requestSockets: (pod: number, kind: SocketKind, count: number) => void;
  /** To the node agent, of pairs of pods that connect past the proxy. */
  readonly orderSameNode: (order: SameNodeOrder) => void;
  /** Of the proxy's own resolv.conf. */
  readonly nameservers: readonly SocketAddr[];
  /** Of the same file; used in dedicated mode, where it is the app's too. */
  readonly searchList: readonly string[];
}

/** ms between looks at stocks of sockets that a burst left behind. */
const sweepInterval = 10_000;
/** ms that a worker which is replaced waits for the end of what it takes over itself. */
const takingLimit = 10_000;

export class WorkerCore {
  readonly connections: ConnectionRegistry;
  readonly traffic: Traffic;
  readonly #options: CoreOptions;
  readonly #services: PodServices;
  readonly #pods = new Map<number, WorkerPod>();
  readonly #answerers = new WeakMap<WorkerPod, DnsAnswerer>();
  readonly #prefetcher: Prefetcher;
  readonly #open = new OpenRelays();
  /** What comes from predecessors. */
  readonly #taking = new Set<Promise<void>>();
  readonly #direct: DirectPaths;
  readonly #stopWatching: () => void;
  readonly #log: Logger;
  readonly #withdrawals: Counter;
  #sweep: Timer;
  #serving = false;

  constructor(options: CoreOptions) {
    const { config, store, certificates, clock, sink, registry, random } = options;
    this.#options = options;
    const log = createLogger(sink, 'proxy');
    this.#log = createLogger(sink, 'worker');
    const policyLogger = createLogger(sink, 'policy');
    this.traffic = new Traffic(new TrafficMetrics(registry), createLogger(sink, 'access'));
    const refusals = new Counter({
      name: 'aquifer_connections_refused_total',
      help: 'Connections refused before any decision: too few descriptors, direct calls of capture ports, failed handshakes',
      labelNames: ['reason'],
      registers: [registry],
    });
    const holds = new Histogram({
      name: 'aquifer_connections_held_seconds',
      help: 'How long connections were held because the mesh did not know their pod yet, and what came of it: released or refused',
      labelNames: ['outcome'],
      buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers: [registry],
    });
    this.#withdrawals = new Counter({
      name: 'aquifer_connections_withdrawn_total',
      help: 'Open connections closed because a policy changed',
      registers: [registry],
    });
    this.connections = new ConnectionRegistry(() => this.#withdrawals.inc());
    processMetrics(registry, this, config.maxDescriptors);
    const runtime: ProxyRuntime = {
      store,
      demand: options.demand,
      engine: options.engine,
      clock,
      random,
      registry: this.connections,
      open: this.#open,
      sink: this.traffic,
      bypassed: bypassMetric(registry),
      policyLog: (message) => policyLogger.log(config.logPolicyDecisions ? 'info' : 'debug', message),
      log,
      trace: tracer(config.trace, createLogger(sink, 'trace')),
      originalDestination: options.originalDestination,
      tools: options.tools,
      resolveName: nameResolver(options.lookup, clock, random),
      network: config.network,
      compat: config.compat,
      responseBaggage: config.responseBaggage,
      tunnelOverLoopback: config.localhostAppTunnel,
      mayBeDirect: (pod, target) => this.#direct.established(pod, target),
    };
    this.#direct = new DirectPaths({
      store,
      clock,
      log,
      network: config.network,
      compat: config.compat,
      revocation: options.revocation !== undefined,
      certificates,
      pods: () => this.pods,
      order: options.orderSameNode,
      openAccount: (record, counters, elapsed) =>
        openAccount(runtime, record, record.destinationAddress, counters, elapsed),
      forget: () => options.engine.memory?.forget(),
    });
    gaugeOf(
      registry,
      'aquifer_same_node_pairs',
      'Pairs of pods and ports that connect past this proxy',
      () => this.#direct.size,
    );
    const dns: DnsTools = {
      store,
      metrics: dnsMetrics(registry),
      clock,
      random,
      log: createLogger(sink, 'dns'),
      settings: {
        clusterDomain: config.clusterDomain,
        preferredNamespace: config.preferredServiceNamespace,
        searchDomains: config.mode.kind === 'dedicated' ? options.searchList : undefined,
        ipv6: config.ipv6,
        fromMesh: config.dnsProxy,
      },
    };
    this.#services = {
      runtime,
      certificates,
      budget: new DescriptorBudget(config.maxDescriptors),
      nodeName: config.nodeName,
      clusterId: config.clusterId,
      pool: { maxStreamsPerConnection: config.poolMaxStreams, unusedReleaseMs: config.poolUnusedRelease },
      revocation: options.revocation,
      wire: { tls: config.tls, windows: config.http2 },
      requestSockets: options.requestSockets,
      closeFd: options.tools.closeFd,
      refused: (reason: Refusal) => refusals.inc({ reason }),
      held: (outcome, ms) => holds.observe({ outcome }, ms / 1_000),
      serveDns: (role, fd, pod) => this.#serveDns(role, fd, pod, dns),
      lookup: (pod, name, signal) => addressOf(this.#answererOf(pod, dns), name, signal),
    };
    // A dedicated proxy is given certificates of its own workload only.
    const prefetched = config.mode.kind === 'shared' ? config.nodeName : undefined;
    this.#prefetcher = new Prefetcher(store, certificates, prefetched, (identity) => this.#serves(identity));
    this.#stopWatching = store.onChange((changes) => {
      const withdrawn = this.#meshChanged(changes);
      if (withdrawn === 0) return;
      log.info('policy change closed open connections', { connections: withdrawn });
    });
    this.#sweep = this.#sweepLater();
  }

  get pods(): readonly WorkerPod[] {
    return [...this.#pods.values()];
  }

  /** Takes the descriptors over. Accepts once `serve` was called. */
  addPod(message: PodMessage, fds: readonly Fd[]): void {
    const pod = new WorkerPod(message, fds, this.#services);
    this.#pods.set(message.pod, pod);
    if (this.#serving) pod.serve();
  }

  /** Resolves when the pod's last connection has ended or been cut. */
  async dropPod(id: number, deadlineMs: number): Promise<void> {
    const pod = this.#pods.get(id);
    if (!pod) return;
    await pod.drain(deadlineMs);
    this.#direct.podGone(pod.uid);
    this.#pods.delete(id);
    this.#prefetcher.podDropped();
  }

  /** The mesh is known: accept, also what has waited in the backlogs. */
  serve(): void {
    this.#serving = true;
    for (const pod of this.#pods.values()) pod.serve();
  }

  /** What the node agent says of pairs that connect past the proxy. */
  sameNode(news: Extract<ToWorker, { kind: 'sameNode' }>['news']): void {
    if (news.kind === 'flow') this.#direct.flow(news);
    else if (news.kind === 'eligible') this.#direct.eligible(news.uid, news.eligible);
    else this.#direct.agentGone();
  }

  supply(id: number, kind: SocketKind, asked: number, fds: readonly Fd[], error: string): void {
    const pod = this.#pods.get(id);
    if (!pod) {
      for (const fd of fds) this.#options.tools.closeFd(fd);
      return;
    }
    // The kernel drops descriptors silently where the limit of open files is reached.
    const lost = error === '' && fds.length < asked ? 'the limit of open files is reached' : error;
    pod.stock.supply(kind, asked, fds, lost);
  }

  /**
   * Accepts nothing new, and lets the process at the other end of the line go on with what is open. What stays may finish here; the log says why.
   * Without a line everything stays.
   */
  async giveAway(line: Line | undefined, listeners: SuccessorListeners): Promise<void> {
    const { engine, clock } = this.#options;
    if (listeners === 'same') for (const pod of this.#pods.values()) pod.stopAccepting();
    else await Promise.all(this.pods.map((pod) => pod.acceptLast()));
    if (!engine.handOver || !line) {
      line?.close();
      const reason = engine.handOver ? 'there is no line to the successor' : 'this engine cannot hand them over';
      this.#stay(this.traffic.size, reason);
      return;
    }
    await this.#allTaken();
    const movables = this.#open.movables(engine.handOver, clock);
    const { moved, stayed } = await give({ line, clock, engine: engine.handOver.version, movables });
    this.#log.info('open connections went over to the successor', { connections: moved });
    for (const [reason, connections] of stayed) if (connections > 0) this.#stay(connections, reason);
  }

  #stay(connections: number, reason: string): void {
    this.#log.info('open connections stay with the worker that was replaced, until its deadline', {
      connections,
      reason,
    });
  }

  /** What still comes from a predecessor goes on to the successor with the rest, unless who gives is silent. */
  async #allTaken(): Promise<void> {
    if (this.#taking.size === 0) return;
    const late = Promise.withResolvers<void>();
    const timer = this.#options.clock.after(millis(takingLimit), late.resolve);
    await Promise.race([Promise.all(this.#taking), late.promise]);
    timer.cancel();
  }

  /** Goes on with what the predecessor has open. */
  takeOver(line: Line): Promise<void> {
    const taking: Promise<void> = this.#take(line).finally(() => this.#taking.delete(taking));
    this.#taking.add(taking);
    return taking;
  }

  async #take(line: Line): Promise<void> {
    const { engine, certificates, revocation, tools } = this.#options;
    if (!engine.handOver) {
      line.close();
      return;
    }
    const { runtime } = this.#services;
    const options = { runtime, pods: () => this.pods, certificates, revocation, closeFd: tools.closeFd };
    const { moved, error } = await take({
      line,
      engine: engine.handOver.version,
      restore: (unit, fds) => adopt(unit, fds, options),
      closeFd: tools.closeFd,
    });
    this.#log.info('open connections came from the predecessor', {
      connections: moved,
      ...(error && { error: describeError(error) }),
    });
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#sweep.cancel();
    await Promise.all(this.pods.map((pod) => this.dropPod(pod.id, deadlineMs)));
    await this.#direct.close();
    this.#stopWatching();
  }

  #meshChanged(changes: MeshChanges): number {
    // Before anything else: the engine is about to take connections meanwhile.
    this.#options.engine.memory?.forget();
    let own = false;
    if (changes.workloads.size > 0) {
      this.#prefetcher.meshChanged(changes);
      for (const pod of this.#pods.values()) own = pod.meshChanged() || own;
    }
    const direct = this.#direct.meshChanged();
    this.#withdrawals.inc(direct);
    // A workload's own list of policies counts as a policy: Istio looks at pushes of policies only.
    return direct + (own || changes.policies.size > 0 ? this.connections.recheck() : 0);
  }

  /** A pod's trust domain is the mesh's to say, and the mesh may have forgotten the pod. */
  #serves({ namespace, serviceAccount }: Identity): boolean {
    return this.pods.some(({ info }) => info.namespace === namespace && info.serviceAccount === serviceAccount);
  }

  #serveDns(role: 'dnsUdp' | 'dnsTcp', fd: Fd, pod: WorkerPod, tools: DnsTools): DnsServer {
    const server = {
      answerer: this.#answererOf(pod, tools),
      clock: this.#options.clock,
      log: tools.log,
      admits: (accepted: Accepted) => pod.admits(accepted),
    };
    return role === 'dnsUdp' ? serveDnsUdp(fd, this.#options.socketName(fd), server) : serveDnsTcp(fd, server);
  }

  /** One for all listeners of the pod, so that its queries share one limit. */
  #answererOf(pod: WorkerPod, tools: DnsTools): DnsAnswerer {
    const known = this.#answerers.get(pod);
    if (known) return known;
    const forwarder = new Forwarder({
      servers: this.#options.nameservers,
      clock: this.#options.clock,
      datagram: async (family, signal) =>
        adoptDatagram(await pod.socket(family === 4 ? 'dns4' : 'dns6', signal), family),
      connect: (to, signal) => connectFromPod(pod, to, this.#options.tools, signal),
    });
    const answerer = new DnsAnswerer(pod, forwarder, tools);
    this.#answerers.set(pod, answerer);
    return answerer;
  }

  #sweepLater(): Timer {
    return this.#options.clock.after(millis(sweepInterval), () => {
      for (const pod of this.#pods.values()) pod.stock.sweep();
      this.#sweep = this.#sweepLater();
    });
  }
}

function processMetrics(registry: Registry, core: WorkerCore, maxDescriptors: number): void {
  gaugeOf(registry, 'process_open_fds', 'Open descriptors', () => readdirSync('/proc/self/fd').length);
  gaugeOf(registry, 'process_max_fds', 'Limit of open descriptors', () => maxDescriptors);
  gaugeOf(registry, 'process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss());
  gaugeOf(registry, 'aquifer_ready_sockets', 'Sockets in stock for new connections', () =>
    core.pods.reduce((n, pod) => n + pod.stock.size, 0),
  );
  gaugeOf(registry, 'aquifer_hbone_connections', 'Open HBONE connections to other pods', () =>
    core.pods.reduce((n, pod) => n + pod.pool.connections, 0),
  );
}
