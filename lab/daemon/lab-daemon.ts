/** Puts a lab together: hosts, API server, nodes, DNS, probers and the mesh's programs. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { namespaceKind, serviceKind } from '../../common/kube/kinds/core.ts';
import { endpointSliceKind } from '../../common/kube/kinds/discovery.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import { clusterDns } from '../addresses.ts';
import type { Zone } from '../dns/zone.ts';
import { startNodeKubelet } from '../kubelet/node-kubelet.ts';
import { cgroupName, labPaths } from '../names.ts';
import { PodManager } from '../pods/manager.ts';
import { ProberClient } from '../prober/client.ts';
import { startApiServer } from '../programs/api-server.ts';
import { controlPlaneService, nodePrograms, systemNamespace } from '../programs/mesh.ts';
import { programView, startNodeProgram } from '../programs/node-program.ts';
import { Supervised } from '../programs/supervised.ts';
import { ServiceController } from '../services/controller.ts';
import { cgroupRoot, makeCgroup } from '../system/cgroup.ts';
import { run } from '../system/run.ts';
import { buildHosts } from '../topology/build.ts';
import { openCluster } from './cluster.ts';
import type { LabConfig } from './lab-config.ts';
import { Loop } from './loop.ts';
import { prepareNode, registerNode, renewLease } from './nodes.ts';
import type { LabNode, Runtime } from './runtime.ts';

/** Resolves when nodes, service addresses and DNS work and the mesh's programs have been started. */
export async function startLab(config: LabConfig, log: Logger, signal: AbortSignal): Promise<void> {
  const paths = labPaths(config.name);
  const labCgroup = join(cgroupRoot(), cgroupName(config.name));
  for (const folder of [paths.pods, paths.logs, paths.captures, paths.istiod]) await mkdir(folder, { recursive: true });
  await run(['mount', '-t', 'tmpfs', '-o', 'mode=755', `aquifer-${config.name}`, paths.pods]);
  await buildHosts(config.name, config.nodes);
  const context = { lab: config.name, paths, cgroup: makeCgroup(labCgroup), clock: systemClock, log };
  const indexes = Array.from({ length: config.nodes }, (_, i) => i + 1);
  const [{ source, certificateAuthority }, prepared] = await Promise.all([
    startApiServer(context, config.mesh, config.env, signal),
    Promise.all(indexes.map((index) => prepareNode({ lab: config.name, paths, labCgroup }, index))),
  ]);
  const [nodes, cluster] = await Promise.all([
    Promise.all(prepared.map((node) => registerNode(source, node))),
    openCluster(source, log, signal),
    makeSystemObjects(source, config.mesh),
  ]);
  const runtime: Runtime = { ...context, cache: config.cache, cluster };
  for (const node of nodes) {
    renewLease(source, node, runtime, signal).catch((e: unknown) =>
      log.error('a node has no lease', { node: node.name, error: describeError(e) }),
    );
  }
  const probers = new Map(nodes.map((n) => [n.name, new ProberClient(runtime, n)]));
  const dns = await startDns(runtime);
  const pods = await startControllers(runtime, nodes, probers, dns.publish);
  await Promise.all(
    nodes.map((n) =>
      startNodeKubelet(
        runtime,
        n,
        (pod) => pods.find(n.name, pod) ?? programView(runtime, n, pod),
        certificateAuthority,
      ),
    ),
  );
  if (config.mesh) startMesh(runtime, nodes, probers, config, signal);
  await dns.listening;
}

/** What a cluster has for itself; nothing selects these Services' endpoints. */
async function makeSystemObjects(source: KubeSource, mesh: boolean): Promise<void> {
  const dnsPorts = [
    { name: 'dns', port: 53, protocol: 'UDP' },
    { name: 'dns-tcp', port: 53, protocol: 'TCP' },
  ] as const;
  const istiodPorts = [
    { name: 'grpc-xds', port: 15_010, protocol: 'TCP' },
    { name: 'https-dns', port: 15_012, protocol: 'TCP' },
    { name: 'http-monitoring', port: 15_014, protocol: 'TCP' },
  ] as const;
  const systemServices = [controlPlaneService('kube-system', 'kube-dns', dnsPorts, clusterDns)];
  if (mesh) {
    const metadata = { name: systemNamespace };
    await source.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata });
    systemServices.push(controlPlaneService(systemNamespace, 'istiod', istiodPorts, undefined));
  }
  for (const { service, slices } of systemServices) {
    await source.create(serviceKind, service);
    for (const slice of slices) await source.create(endpointSliceKind, slice);
  }
}

interface ClusterDns {
  publish(zone: Zone): void;
  /** Resolves when it answers for the first time; MeshError CONFIG when it ends before. */
  readonly listening: Promise<void>;
}

async function startDns(runtime: Runtime): Promise<ClusterDns> {
  const listening = Promise.withResolvers<void>();
  // The caller awaits it later, and a failure may come first.
  listening.promise.catch(() => undefined);
  let zone: Zone = {};
  const main = join(import.meta.dirname, '../dns/main.ts');
  const program = await Supervised.start(
    runtime,
    {
      name: 'dns',
      host: 'cp',
      cgroup: join(runtime.cgroup, 'cp', 'dns'),
      argv: [process.execPath, '--disable-warning=ExperimentalWarning', main],
      env: {},
      channel: true,
    },
    {
      onStart: (restarts) => {
        if (restarts > 0) program.send(zone);
      },
      onExit: () => listening.reject(new MeshError('CONFIG', 'the cluster DNS ended before it listened')),
      onMessage: () => listening.resolve(),
    },
  );
  return {
    publish: (next) => {
      zone = next;
      program.send(zone);
    },
    listening: listening.promise,
  };
}

/** Resolves when the nodes have their service addresses for the first time. */
async function startControllers(
  runtime: Runtime,
  nodes: readonly LabNode[],
  probers: ReadonlyMap<string, ProberClient>,
  onZone: (zone: Zone) => void,
): Promise<PodManager> {
  const { cluster, log, clock } = runtime;
  const services = new ServiceController(runtime, nodes, onZone);
  const serviceLoop = new Loop('services', log, clock, () => services.reconcile());
  const pods = new PodManager(runtime, nodes, probers, async () => {
    serviceLoop.trigger();
    await serviceLoop.settled();
  });
  const loops = {
    pods: new Loop('pods', log, clock, () => pods.reconcile()),
    volumes: new Loop('volumes', log, clock, () => pods.refreshVolumes()),
    services: serviceLoop,
  };
  const interests: Readonly<Record<string, readonly Loop[]>> = {
    Pod: [loops.pods, loops.services],
    Service: [loops.services],
    EndpointSlice: [loops.services],
    ConfigMap: [loops.volumes],
    Secret: [loops.volumes],
  };
  cluster.onChange((kind) => {
    for (const loop of interests[kind] ?? []) loop.trigger();
  });
  for (const loop of Object.values(loops)) loop.trigger();
  await serviceLoop.settled();
  return pods;
}

/** Each program starts when what it needs is there; failures are logged, for the rest of the lab works without. */
function startMesh(
  runtime: Runtime,
  nodes: readonly LabNode[],
  probers: ReadonlyMap<string, ProberClient>,
  config: LabConfig,
  signal: AbortSignal,
): void {
  const start = (name: string, host: string, started: Promise<unknown>) => {
    started.catch((e: unknown) => runtime.log.error('cannot start', { name, host, error: describeError(e) }));
  };
  for (const node of nodes) {
    for (const program of nodePrograms) {
      const prober = probers.get(node.name)!;
      start(program.program, node.name, startNodeProgram(runtime, node, program, prober, config.env, signal));
    }
  }
}
