/**
 * The privileged part of the node proxy (DESIGN 8): ZDS client, maker and keeper of sockets in pods' namespaces, parent of the
 * workers. Holds no keys and parses nothing that came over a network but the small HTTP requests of an operator.
 */
import type { AddressInfo } from 'node:net';
import { AggregatorRegistry, Registry } from 'prom-client';
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import { createLogger, type Logger, LogLevels, type LogSink } from '../../common/core/log.ts';
import { createHttpServer, listen } from '../../common/http/small-server.ts';
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import { MeshStore } from '../../common/mesh/store.ts';
import { type CpuProfile, cpuPprof, type HeapProfile, heapPprof } from '../../common/telemetry/pprof.ts';
import { counterOf, gaugeOf, registerBuild } from '../../common/telemetry/program.ts';
import { sameNodeSocket } from '../../common/zds/same-node.ts';
import type { WorkloadInfo } from '../../common/zds/types.ts';
import { openNetns, type SeqpacketConnection, seqpacketPair } from '../../native/index.ts';
import { dumpConfig } from '../admin/config-dump.ts';
import { dumpMesh, type MeshDump } from '../admin/mesh-dump.ts';
import { configDump, type WorkerState } from '../admin/state.ts';
import type { LocalMesh } from '../config/control-plane.ts';
import type { ZtunnelConfig } from '../config.ts';
import type { Question } from '../control/messages.ts';
import { Neighbours } from '../handover/neighbours.ts';
import { buildInfo } from '../version.ts';
import { adminRoutes, type EndpointSources, metricsRoutes, readinessRoutes } from './endpoints.ts';
import type { Kernel } from './kernel.ts';
import type { CaptureMode } from './listeners.ts';
import { OwnNetns } from './own-netns.ts';
import { PodTable } from './pods.ts';
import type { WorkerProcess } from './running-worker.ts';
import { SameNodeBroker } from './same-node.ts';
import { SteeringClient } from './steering-client.ts';
import { WorkerFleet } from './workers.ts';
import { ZdsClient } from './zds-client.ts';

export interface SupervisorOptions {
  readonly config: ZtunnelConfig;
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly sink: LogSink;
  readonly spawnWorker: () => WorkerProcess;
  /** Throws when nobody listens. */
  readonly connect: (path: string) => SeqpacketConnection;
  /** Default: those of the configuration. 0 lets the kernel choose, for tests. */
  readonly ports?: { readonly admin: number; readonly metrics: number; readonly readiness: number };
  /** `POST /quitquitquit`. */
  readonly onQuit: () => void;
}

export interface Supervisor {
  /** Ports that the servers have. */
  readonly ports: { readonly admin: number; readonly metrics: number; readonly readiness: number };
  readonly workerPids: () => readonly number[];
  /** Resolves when the workers know the mesh; only then this proxy asks the agent for pods. */
  readonly warm: Promise<unknown>;
  /** Gives each worker a successor; see WorkerFleet.replace. */
  readonly replaceWorkers: () => Promise<void>;
  /** Stops accepting, lets connections end until the deadline, resolves when the workers are gone. */
  drain(): Promise<void>;
}

/** Which no setting of Istio's changes. */
const readinessPort = 15021;

export async function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const { config, kernel, clock, sink } = options;
  const log = createLogger(sink, 'supervisor');
  const { mode } = config;
  const zdsPath = mode.kind === 'shared' ? mode.zdsPath : '';
  const steering = new SteeringClient({ connect: () => options.connect(`${zdsPath}.steer`), clock, log });
  const sameNode = new SameNodeBroker({ connect: () => options.connect(sameNodeSocket(zdsPath)), log });
  /** Of the agent that is connected, or was last: one that is gone must not look like another that steers differently. */
  let capture: CaptureMode = 'fixed';

  const fleet: WorkerFleet = new WorkerFleet({
    count: config.workers,
    spawn: options.spawnWorker,
    makePair: seqpacketPair,
    pods: () => pods.messages(),
    makeSockets: (pod, kind, count) => pods.sockets(pod, kind, count),
    closeFd: kernel.close,
    sameNode,
    clock,
    log,
  });
  const pods: PodTable = new PodTable({
    kernel,
    workers: fleet,
    mode: () => capture,
    steer: (pod, fds) => steering.steer(pod, fds),
    listeners: {
      mark: config.packetMark,
      ipv6: config.ipv6,
      proxy: config.proxy,
      dnsProxy: config.dnsProxy,
      dnsAddress: config.dnsAddress,
      socks5: config.socks5,
      portReuse: config.portReuse,
      keepAlive: config.keepAlive,
      userTimeout: config.userTimeout,
    },
    drainDeadlineMs: config.drainDeadline,
    clock,
    log,
  });
  const connectToAgent = () => {
    const connection = options.connect(zdsPath);
    capture = steering.answers ? 'steered' : 'fixed';
    sameNode.open();
    return connection;
  };
  const neighbours = mode.kind === 'shared' ? neighboursOf(mode.zdsPath, fleet, kernel, log) : undefined;
  const source =
    mode.kind === 'shared'
      ? new ZdsClient({ connect: connectToAgent, handler: pods, onSnapshot: () => neighbours?.call(), clock, log })
      : new OwnNetns({ workload: mode.workload, openNetns: () => openNetns('/proc/self/ns/net'), handler: pods });

  let drained: Promise<void> | undefined;
  /** Once, whoever asks. */
  const drainTraffic = (): Promise<void> => {
    drained ??= endTraffic();
    return drained;
  };
  async function endTraffic(): Promise<void> {
    const heir = neighbours?.retire();
    const open = heir ? 'go to the proxy that takes over' : 'may end here: no other proxy serves the pods';
    log.info('draining', { deadline_ms: config.drainDeadline, open_connections: open });
    source.stop();
    steering.close();
    pods.letGo();
    await fleet.drain(config.drainDeadline, heir).catch((e: unknown) => {
      log.error('workers did not drain', { error: describeError(e) });
    });
    neighbours?.close();
    sameNode.close();
    pods.close();
    log.info('drained');
  }

  const registry = supervisorMetrics(pods, fleet);
  if (source instanceof ZdsClient) {
    const help = 'Packets of the node agent that broke ZDS, each of which ended its connection';
    counterOf(registry, 'aquifer_zds_refused_total', help, () => source.refused);
  }
  const sources: EndpointSources = {
    pending: () => [
      ...fleet.pending,
      ...(pods.ready ? [] : [mode.kind === 'shared' ? 'workload proxy manager' : 'proxy']),
      ...(drained ? ['shutdown'] : []),
    ],
    metrics: () => collectMetrics(registry, fleet),
    logLevels: () => sink.levels.toString(),
    setLogLevels(directives) {
      if (directives === undefined) {
        sink.levels.reset();
      } else {
        new LogLevels(directives); // Throws before a half of the list is applied.
        sink.levels.apply(directives);
      }
      fleet.setLogging(directives ?? null);
    },
    configDump: async () =>
      configDump({
        workers: await askAll<WorkerState>(fleet, { kind: 'state' }),
        pods: pods.served,
        version: buildInfo,
        config: dumpConfig(config),
        staticMesh: config.localMesh && (await dumpStatic(config.localMesh, config.trustDomain)),
      }),
    async cpuProfile(seconds, frequency) {
      const began = clock.wall();
      return cpuPprof(await askAll<CpuProfile>(fleet, { kind: 'cpu', seconds, frequency }), began);
    },
    async heapProfile() {
      const profiles = (await askAll<HeapProfile | null>(fleet, { kind: 'heap' })).filter((p) => p !== null);
      return profiles.length === 0 ? undefined : heapPprof(profiles, clock.wall());
    },
    heapSampling: async (active) =>
      (await askAll<boolean>(fleet, { kind: 'heapSampling', active })).some((sampling) => sampling),
    drain: () => void drainTraffic(),
    quit: options.onQuit,
  };
  const ports = options.ports ?? { admin: config.adminPort, metrics: config.statsPort, readiness: readinessPort };
  const any = config.ipv6 ? '::' : '0.0.0.0';
  const servers = [
    { server: createHttpServer(adminRoutes(sources), config.podName, log), host: '127.0.0.1', port: ports.admin },
    { server: createHttpServer(metricsRoutes(sources), config.podName, log), host: any, port: ports.metrics },
    { server: createHttpServer(readinessRoutes(sources), config.podName, log), host: any, port: ports.readiness },
  ] as const;
  for (const { server, host, port } of servers) await listen(server, host, port);

  fleet.start();
  // A proxy that cannot serve must not take the pods over from one that does, which goes on until it is told to stop.
  void fleet.warm.then(() => {
    if (config.self) serveSelf(pods, config.self, config.trustDomain, log);
    source.start();
  });
  log.info('ztunnel started', { node: config.nodeName, workers: config.workers, mode: mode.kind });

  const portOf = (i: 0 | 1 | 2) => (servers[i].server.address() as AddressInfo).port;
  return {
    ports: { admin: portOf(0), metrics: portOf(1), readiness: portOf(2) },
    workerPids: () => fleet.pids,
    warm: fleet.warm,
    replaceWorkers: () => fleet.replace(config.drainDeadline),
    async drain() {
      const traffic = drainTraffic();
      // Not at the end: where a successor shares these ports, every answer shall be its.
      const closed = servers.map(({ server }) => new Promise((resolve) => server.close(resolve)));
      await traffic;
      for (const { server } of servers) server.closeAllConnections();
      await Promise.all(closed);
    },
  };
}

/** Beside the agent's socket. Without the folder this proxy works as well, and drains as if it were alone. */
function neighboursOf(zdsPath: string, fleet: WorkerFleet, { close }: Kernel, log: Logger): Neighbours | undefined {
  const folder = `${zdsPath}.handover`;
  try {
    return new Neighbours({ folder, takeOver: (place, line) => fleet.takeOver(place, line), closeFd: close, log });
  } catch (e) {
    log.warn('open connections end with this proxy: none can call that takes them over', {
      folder,
      error: describeError(e),
    });
    return undefined;
  }
}

/** Lets the mesh ask for this proxy's metrics over HBONE (ambient-wire 1.1). A failure is logged and retried like a pod's. */
function serveSelf(pods: PodTable, self: WorkloadInfo, trustDomain: string, log: Logger): void {
  const { namespace, serviceAccount } = self;
  log.info('serving the metrics of this proxy over HBONE too', {
    identity: formatSpiffe({ trustDomain, namespace, serviceAccount }),
  });
  void pods.addSelf(self, openNetns('/proc/self/ns/net'));
}

/** Names of Istio's proxy (ambient-wire 7.1); one of ours tells restarts of workers. */
function supervisorMetrics(pods: PodTable, fleet: WorkerFleet): Registry {
  const registry = new Registry();
  registerBuild(registry, 'ztunnel', buildInfo.version);
  gaugeOf(registry, 'workload_manager_active_proxy_count', 'Pods that are served', () => pods.counts.active);
  gaugeOf(registry, 'workload_manager_pending_proxy_count', 'Pods that are not served yet', () => pods.counts.pending);
  counterOf(
    registry,
    'workload_manager_proxies_started_total',
    'Pods that were ever served',
    () => pods.counts.started,
  );
  counterOf(registry, 'workload_manager_proxies_stopped_total', 'Pods that were removed', () => pods.counts.stopped);
  counterOf(
    registry,
    'aquifer_worker_restarts_total',
    'Worker processes that ended and were started again',
    () => fleet.restarts,
  );
  return registry;
}

async function collectMetrics(own: Registry, fleet: WorkerFleet): Promise<{ body: string; type: string }> {
  const parts = [...(await askAll<object>(fleet, { kind: 'metrics' })), await own.getMetricsAsJSON()];
  const merged = AggregatorRegistry.aggregate(parts);
  return { body: await merged.metrics(), type: merged.contentType };
}

async function askAll<T>(fleet: WorkerFleet, question: Question): Promise<readonly T[]> {
  return (await fleet.ask(question)).map((text) => JSON.parse(text) as T);
}

/** As the file is now: a worker read it when it started. */
async function dumpStatic(source: LocalMesh, trustDomain: string): Promise<MeshDump> {
  const { readLocalMesh } = await import('../local/mesh.ts');
  const store = new MeshStore();
  store.apply(readLocalMesh(source, trustDomain));
  return dumpMesh(store);
}
