/** One worker process of the node proxy; started by the supervisor only, with their socket pair as descriptor 3. */
import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { Registry } from 'prom-client';
import { fd, millis } from '../common/core/brand.ts';
import { systemClock } from '../common/core/clock.ts';
import { describeError, MeshError } from '../common/core/errors.ts';
import { createLogger, type Logger, type LogSink } from '../common/core/log.ts';
import { systemLookup } from '../common/dns/system-lookup.ts';
import { createCaClient } from '../common/identity/ca-client.ts';
import { createCertificateStore } from '../common/identity/cert-store.ts';
import type { CertificateAuthority, CertificateStore } from '../common/identity/types.ts';
import { MeshStore } from '../common/mesh/store.ts';
import { Profiler } from '../common/telemetry/profiler.ts';
import { xdsMetrics } from '../common/telemetry/program.ts';
import { revocationMetrics } from '../common/telemetry/revocation.ts';
import { followCrlFile } from '../common/tls/crl-file.ts';
import { type Revocation, RevocationLists } from '../common/tls/revocation.ts';
import { type ControlPlane, controlPlaneConnection, warnOfPlain } from '../common/xds/connect.ts';
import { type DeltaClient, startDeltaClient } from '../common/xds/delta-client.ts';
import { OnDemand } from '../common/xds/demand.ts';
import { ztunnelNode } from '../common/xds/node.ts';
import { bindSocket, closeFd, originalDestination, seqpacketFromFd, socketName } from '../native/index.ts';
import { parseConfig, type ZtunnelConfig } from './config.ts';
import { nameservers, searchList } from './dns/resolv-conf.ts';
import { chooseEngine } from './engine/choose.ts';
import { hasCapabilities, surroundings } from './surroundings.ts';
import { answers } from './worker/answers.ts';
import { WorkerCore } from './worker/core.ts';
import { SupervisorLink } from './worker/link.ts';

const linkFd = fd(3);

/** Resolves when the worker has drained. */
async function main(): Promise<void> {
  if (hasCapabilities(readFileSync('/proc/self/status', 'utf8'))) {
    throw new MeshError('CONFIG', 'a worker parses the network and must have no capability; start bin/ztunnel instead');
  }
  const parsed = parseConfig(process.env, surroundings());
  if (parsed.kind === 'invalid') throw new MeshError('CONFIG', parsed.errors.join('; '));
  const { config, sink } = parsed;
  const registry = new Registry();
  const store = new MeshStore();
  const demand = config.xds && config.xdsOnDemand ? new OnDemand(systemClock) : undefined;
  const stopped = new AbortController();

  const authority = await certificateAuthority(config, createLogger(sink, 'identity'));
  const certificates = createCertificateStore({ authority, clock: systemClock, log: createLogger(sink, 'identity') });
  const revocation =
    config.crlFile === undefined ? undefined : await revocationBy(config.crlFile, registry, sink, stopped.signal);
  const engine = await chooseEngine(config, createLogger(sink, 'worker'));
  const resolvConf = readFileSync('/etc/resolv.conf', 'utf8');
  const core = new WorkerCore({
    config,
    store,
    demand,
    certificates,
    engine,
    clock: systemClock,
    sink,
    registry,
    random: Math.random,
    tools: {
      dial: engine.dialer(systemClock),
      bindSocket,
      closeFd,
      originalSource: config.originalSource,
      sourceLost: warnOnce(createLogger(sink, 'proxy')),
    },
    lookup: systemLookup(),
    originalDestination,
    revocation,
    socketName,
    requestSockets: (pod, socket, count) => link.send({ kind: 'need', pod, socket, count }),
    orderSameNode: (order) => link.send({ kind: 'sameNode', order }),
    nameservers: nameservers(resolvConf),
    searchList: searchList(resolvConf),
  });
  const draining = Promise.withResolvers<number>();
  const link: SupervisorLink = new SupervisorLink({
    connection: seqpacketFromFd(linkFd),
    core,
    answer: answers({ core, store, certificates, registry, profiler: new Profiler(systemClock) }),
    sink,
    onDrain: (deadline) => draining.resolve(deadline ?? config.drainDeadline),
  });
  link.send({ kind: 'pending', items: ['state manager'] });
  link.send({ kind: 'hello' });

  if (config.localMesh) {
    const { readLocalMesh } = await import('./local/mesh.ts');
    store.apply(readLocalMesh(config.localMesh, config.trustDomain));
  }
  const mesh = config.xds ? followMesh(config.xds) : alreadyThere;
  // One resource that is NACKed must not keep all pods of the node without traffic; the node counts as ready by the ACK.
  void mesh.applied.then(async () => {
    core.serve();
    await fetched(certificates);
    link.send({ kind: 'warm' });
  });
  void mesh.ready.then(() => {
    // For the next worker: this one may end by a kill, which writes nothing.
    flushCompileCache();
    link.send({ kind: 'pending', items: [] });
  });

  const deadline = await draining.promise;
  await core.drain(millis(deadline));
  stopped.abort();
  certificates.close();

  function followMesh(plane: ControlPlane): Pick<DeltaClient, 'applied' | 'ready'> {
    warnOfPlain(plane.address, createLogger(sink, 'xds'));
    return startDeltaClient({
      connect: () => controlPlaneConnection(plane),
      node: ztunnelNode({ ...config, metadata: { CLUSTER_ID: config.clusterId, ...config.nodeMetadata } }),
      store,
      demand,
      clock: systemClock,
      log: createLogger(sink, 'xds'),
      metrics: xdsMetrics(registry),
      signal: stopped.signal,
    });
  }
}

/** Without xDS: the mesh is that of the file, and known. */
const alreadyThere = { applied: Promise.resolve(), ready: Promise.resolve() };

/** Resolves when the file has been read, or cannot be. */
async function revocationBy(path: string, registry: Registry, sink: LogSink, signal: AbortSignal): Promise<Revocation> {
  const lists = new RevocationLists(systemClock, revocationMetrics(registry));
  const log = createLogger(sink, 'crl');
  await followCrlFile({ path, clock: systemClock, log, signal, onLists: (now) => lists.replace(now) });
  return lists;
}

/** ms. A proxy that takes over from another shall not make the first calls wait for certificates; without a CA it takes over too. */
const certificateWait = 500;

/** Resolves when every certificate that was asked for in advance has come or failed. */
async function fetched(certificates: CertificateStore): Promise<void> {
  const signal = AbortSignal.timeout(certificateWait);
  await Promise.allSettled(certificates.entries().map(({ identity }) => certificates.get(identity, signal)));
}

/** One line for each pod that was ever concerned. */
function warnOnce(log: Logger): (uid: string, cause: Error) => void {
  const warned = new Set<string>();
  return (uid, cause) => {
    if (warned.has(uid)) return;
    warned.add(uid);
    const message = "clients' addresses cannot be used towards the app; it sees the pod's own address instead";
    log.warn(message, { uid, error: describeError(cause) });
  };
}

async function certificateAuthority(config: ZtunnelConfig, log: Logger): Promise<CertificateAuthority> {
  const { ca, secretTtl, mode } = config;
  if (ca.kind === 'fake') {
    log.warn('FAKE_CA: certificates are signed here, by a key that lies in a folder; never outside of tests', {
      folder: ca.folder,
    });
    const { createLocalCa } = await import('./local/ca.ts');
    return createLocalCa({ folder: ca.folder, lifetime: secretTtl, clock: systemClock });
  }
  return createCaClient({
    ...ca.plane,
    ttlSeconds: Math.ceil(secretTtl / 1000),
    impersonate: mode.kind === 'shared',
  });
}

// The supervisor tells workers when to end; a terminal's signal goes to the whole group.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

// Everything is loaded now, for whom `compile` is enough (supervisor/worker-cache.ts).
if (process.argv[2] === 'compile') process.exit(0);

main().then(
  () => process.exit(0),
  (e: unknown) => {
    process.stderr.write(`ztunnel worker: ${describeError(e)}\n`);
    process.exit(1);
  },
);
