/** A running lab as tests, demo, bench and CLI use it. It talks to no daemon: the API server, files and cgroups are the interface. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '../../common/core/errors.ts';
import { createKubeClient, type KubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { deploymentKind } from '../../common/kube/kinds/apps.ts';
import { namespaceKind, type Pod, podKind, serviceKind } from '../../common/kube/kinds/core.ts';
import type { Kind, KubeObject } from '../../common/kube/types.ts';
import type { Capture, ExecOptions, ExecResult, HostName, LabApi, LabProcess, PodRef, ProgramName } from '../api.ts';
import { cleanUp } from '../cleanup.ts';
import type { LabConfig } from '../daemon/lab-config.ts';
import { cgroupName, type LabPaths, labPaths, netnsName, netnsPath, podLogFolder, programLogFile } from '../names.ts';
import { isEnding } from '../pods/conditions.ts';
import { execArgv, hostArgv } from '../pods/launch.ts';
import { readRuns } from '../pods/log.ts';
import { readProcesses } from '../pods/state-file.ts';
import { restartAnnotation } from '../programs/mesh.ts';
import { programPid } from '../programs/program-file.ts';
import { cgroupProcesses, cgroupRoot, makeCgroup, trySignal } from '../system/cgroup.ts';
import { pause } from '../system/pause.ts';
import { systemPath } from '../system/run.ts';
import { nodeNames } from '../topology/hosts.ts';
import { startCapture } from './capture.ts';
import { podsOf } from './deployments.ts';
import { notAsWanted } from './enrolment.ts';
import { applyManifests, deleteManifests } from './manifests.ts';
import { launch, type RunOptions, runAttached, runToEnd } from './process.ts';
import { missing } from './readiness.ts';

const execTimeout = 30_000;
const waitTimeout = 30_000;
/** ms. A ztunnel with open connections takes its drain deadline. */
const rollTimeout = 60_000;

export async function openLab(config: LabConfig, progress: (line: string) => void): Promise<LabApi> {
  const paths = labPaths(config.name);
  const closed = new AbortController();
  const kube = createKubeClient({ access: loadKubeconfig(paths.kubeconfig) });
  return new LabClient({ config, paths, kube, closed, progress });
}

interface Parts {
  readonly config: LabConfig;
  readonly paths: LabPaths;
  readonly kube: KubeClient;
  readonly closed: AbortController;
  readonly progress: (line: string) => void;
}

class LabClient implements LabApi {
  readonly #parts: Parts;
  readonly nodes: readonly HostName[];

  constructor(parts: Parts) {
    this.#parts = parts;
    this.nodes = nodeNames(parts.config.nodes) as HostName[];
  }

  get name(): string {
    return this.#parts.config.name;
  }

  get kube(): KubeClient {
    return this.#parts.kube;
  }

  get dir(): string {
    return this.#parts.paths.root;
  }

  get mesh(): boolean {
    return this.#parts.config.mesh;
  }

  get kubeconfig(): string {
    return this.#parts.paths.kubeconfig;
  }

  async daemon(): Promise<number | undefined> {
    return cgroupProcesses(join(this.#cgroup, 'daemon'))[0];
  }

  apply(yamlOrFile: string): Promise<void> {
    return applyManifests(this.kube, yamlOrFile, this.#parts.progress);
  }

  delete(yamlOrFile: string): Promise<void> {
    return deleteManifests(this.kube, yamlOrFile, this.#parts.progress);
  }

  async pods(): Promise<readonly Pod[]> {
    return this.#list(podKind);
  }

  async podsOf(deployment: string): Promise<readonly Pod[]> {
    const key = parseRef(deployment);
    const object = await this.kube.get(deploymentKind, key);
    if (object === undefined)
      throw new MeshError('NOT_FOUND', `Deployment ${key.namespace}/${key.name} does not exist`);
    return podsOf(object, await this.pods());
  }

  waitReady(timeout = waitTimeout): Promise<void> {
    return this.#until(async () => {
      const [deployments, pods, services] = await Promise.all([
        this.#list(deploymentKind),
        this.#list(podKind),
        this.#list(serviceKind),
      ]);
      return [...missing({ deployments, pods, services }), ...(await this.#missingPrograms(pods))];
    }, timeout);
  }

  waitEnrolled(timeout = waitTimeout): Promise<void> {
    return this.#until(async () => {
      const namespaces = new Map((await this.#list(namespaceKind)).map((n) => [n.metadata.name, n]));
      return notAsWanted(await this.pods(), namespaces);
    }, timeout);
  }

  async exec(pod: PodRef, argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { command, env } = await this.#inPod(pod, argv, options);
    return runToEnd(command, argv.join(' '), runOptions(options, env));
  }

  async spawn(pod: PodRef, argv: readonly string[], options: ExecOptions = {}): Promise<LabProcess> {
    const { command, env } = await this.#inPod(pod, argv, options);
    return launch(command, env);
  }

  async attach(pod: PodRef, argv: readonly string[], options: ExecOptions = {}): Promise<number> {
    const { command, env } = await this.#inPod(pod, argv, options);
    return runAttached(command, env);
  }

  async #inPod(pod: PodRef, argv: readonly string[], options: ExecOptions) {
    const key = parseRef(pod);
    const object = await this.kube.get(podKind, key);
    if (object === undefined) throw new MeshError('NOT_FOUND', `Pod ${key.namespace}/${key.name} does not exist`);
    const processes = await readProcesses(this.#parts.paths.pod(object.metadata.uid));
    const container = options.container ?? object.spec.containers[0]!.name;
    const target = processes[container];
    if (target === undefined || !cgroupProcesses(target.cgroup).includes(target.pid)) {
      throw new MeshError('NOT_FOUND', `container ${container} of pod ${key.namespace}/${key.name} does not run`);
    }
    return { command: execArgv({ ...target, argv }), env: { ...target.env, ...options.env } };
  }

  async execOn(
    host: HostName,
    argv: readonly string[],
    options: Omit<ExecOptions, 'container'> = {},
  ): Promise<ExecResult> {
    const env = { PATH: systemPath, ...options.env };
    return runToEnd(this.#onHost(host, argv), argv.join(' '), runOptions(options, env));
  }

  async spawnOn(host: HostName, argv: readonly string[]): Promise<LabProcess> {
    return launch(this.#onHost(host, argv), { PATH: systemPath });
  }

  async logs(of: ProgramName | 'lab' | PodRef, options: { node?: HostName; container?: string } = {}): Promise<string> {
    if (of === 'lab') return readLog(programLogFile(this.name, 'lab', 'cp'));
    if (of === 'istiod') return readLog(programLogFile(this.name, of, 'cp'));
    if (of === 'ztunnel' || of === 'cni-agent') {
      return readLog(programLogFile(this.name, of, this.#nodeOf(of, options.node)));
    }
    const key = parseRef(of);
    const container = options.container ?? (await this.kube.get(podKind, key))?.spec.containers[0]?.name;
    if (container === undefined) throw new MeshError('NOT_FOUND', `Pod ${key.namespace}/${key.name} does not exist`);
    return readRuns(podLogFolder(this.name, key, container));
  }

  capture(filter = ''): Promise<Capture> {
    return startCapture(this.name, this.#parts.paths, this.#cgroup, filter);
  }

  async pid(program: ProgramName, node?: HostName): Promise<number> {
    const host = program === 'istiod' ? 'cp' : this.#nodeOf(program, node);
    const pid = await programPid(this.name, program, host);
    if (pid === undefined) throw new MeshError('NOT_FOUND', `${program} does not run on ${host} of lab ${this.name}`);
    return pid;
  }

  async kill(program: ProgramName, node?: HostName, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    trySignal(await this.pid(program, node), signal);
  }

  async rollProxy(node?: HostName): Promise<void> {
    const host = this.#nodeOf('ztunnel', node);
    const old = (await this.pods()).find(
      (p) => p.spec.nodeName === host && p.metadata.labels?.['app'] === 'ztunnel' && !isEnding(p),
    );
    if (old === undefined) throw new MeshError('NOT_FOUND', `ztunnel does not run on ${host} of lab ${this.name}`);
    const { namespace = '', name } = old.metadata;
    const annotations = { [restartAnnotation]: new Date().toISOString() };
    await this.kube.patch(podKind, { namespace, name }, { metadata: { annotations } });
    await this.#until(async () => {
      const gone = (await this.kube.get(podKind, { namespace, name })) === undefined;
      return gone
        ? []
        : [`Pod ${namespace}/${name} has not been replaced; see: aquifer lab logs ztunnel --node ${host}`];
    }, rollTimeout);
    this.#parts.progress(`replaced ztunnel of ${host}`);
  }

  async down(): Promise<void> {
    this.#parts.closed.abort();
    this.kube.close();
    await cleanUp(this.name);
  }

  get #cgroup(): string {
    return join(cgroupRoot(), cgroupName(this.name));
  }

  async #list<T extends KubeObject>(kind: Kind<T>): Promise<readonly T[]> {
    return (await this.kube.list(kind, this.#parts.closed.signal)).items;
  }

  #onHost(host: HostName, argv: readonly string[]): string[] {
    if (host !== 'cp' && !this.nodes.includes(host)) {
      throw new MeshError('NOT_FOUND', `lab ${this.name} has no host ${host}; it has cp, ${this.nodes.join(', ')}`);
    }
    const cgroup = makeCgroup(join(this.#cgroup, 'tools'));
    return hostArgv(netnsPath(netnsName(this.name, host)), cgroup, argv);
  }

  #nodeOf(program: string, node: HostName | undefined): HostName {
    if (node !== undefined) return node;
    const [only, ...others] = this.nodes;
    if (only !== undefined && others.length === 0) return only;
    throw new MeshError('CONFIG', `${program} runs on ${this.nodes.join(', ')}: say which`);
  }

  /** Pods of programs have objects; that all nodes have theirs, the objects alone do not say. */
  async #missingPrograms(pods: readonly Pod[]): Promise<string[]> {
    if (!this.#parts.config.mesh) return [];
    const wanted = this.nodes.flatMap((node) => ['ztunnel', 'istio-cni-node'].map((app) => ({ node, app })));
    return wanted.flatMap(({ node, app }) =>
      pods.some((p) => p.spec.nodeName === node && p.metadata.labels?.['app'] === app)
        ? []
        : [`${app} does not run on ${node}`],
    );
  }

  /** Looks every 20 ms; the sources are in memory. */
  async #until(look: () => Promise<readonly string[]>, timeout: number): Promise<void> {
    const deadline = AbortSignal.timeout(timeout);
    for (;;) {
      const wanting = await look();
      if (wanting.length === 0) return;
      if (deadline.aborted) {
        throw new MeshError('NOT_FOUND', `lab ${this.name}: after ${timeout} ms still:\n  ${wanting.join('\n  ')}`);
      }
      await pause(20);
    }
  }
}

function runOptions(options: ExecOptions, env: Readonly<Record<string, string>>): RunOptions {
  return { env, stdin: options.stdin, timeout: options.timeout ?? execTimeout };
}

function parseRef(ref: PodRef): { readonly namespace: string; readonly name: string } {
  if (typeof ref !== 'string') return ref;
  const slash = ref.indexOf('/');
  return slash < 0
    ? { namespace: 'default', name: ref }
    : { namespace: ref.slice(0, slash), name: ref.slice(slash + 1) };
}

/** Empty before the first line. */
async function readLog(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw e;
  }
}
