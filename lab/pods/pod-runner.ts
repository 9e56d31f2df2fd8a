/** Runs one pod on one node from its sandbox to its end, and keeps its status current. What kubelet does. */
import { mkdir, rm } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { type Millis, millis } from '../../common/core/brand.ts';
import { sleep } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { EventRecorder, Happening } from '../../common/kube/event-recorder.ts';
import type { Container, Pod, PodStatus } from '../../common/kube/kinds/core.ts';
import { timestamp } from '../../common/kube/timestamp.ts';
import type { Addresses } from '../addresses.ts';
import { cniFolders } from '../cni/network.ts';
import type { LabNode, Runtime } from '../daemon/runtime.ts';
import type { ContainerView, PodView } from '../kubelet/containers.ts';
import type { ContainerList } from '../manifest/container-plan.ts';
import { type PodPlan, planPod, type RestartPolicy } from '../manifest/pod-plan.ts';
import { Problems } from '../manifest/problems.ts';
import { qosClass } from '../manifest/qos.ts';
import { resourceValue } from '../manifest/resources.ts';
import type { ProberClient } from '../prober/client.ts';
import { allocatable } from './allocatable.ts';
import type { ContainerContext } from './container.ts';
import { aborted, type ContainerHost, ContainerRunner } from './container-runner.ts';
import { hostnameOf, networkFiles } from './network-files.ts';
import { makeSandbox, type Sandbox } from './sandbox.ts';
import { writeProcesses } from './state-file.ts';
import { podStatus } from './status.ts';
import { StatusWriter } from './status-writer.ts';
import { PodVolumes } from './volumes.ts';

/** Milliseconds; kubelet's go from 500 to two minutes. */
const firstSandboxBackOff = 100;
const longestSandboxBackOff = 2_000;
/** Milliseconds, as kubelet's; a ConfigMap that comes ends the wait. */
const firstMountBackOff = 500;
const longestMountBackOff = 122_000;

export interface PodRunnerOptions {
  readonly runtime: Runtime;
  readonly node: LabNode;
  readonly prober: ProberClient;
  readonly events: EventRecorder;
  readonly pod: Pod;
  readonly plan: PodPlan;
  /** undefined: the pod shares its node's network. */
  readonly addresses: Addresses | undefined;
}

export class PodRunner implements PodView {
  readonly #o: PodRunnerOptions;
  /** The pod shall end. */
  readonly #stop = new AbortController();
  /** Its containers shall start no more. */
  readonly #work = new AbortController();
  readonly #init: readonly ContainerRunner[];
  readonly #containers: readonly ContainerRunner[];
  readonly #ephemeral: ContainerRunner[] = [];
  readonly #host: ContainerHost;
  readonly #contextReady = Promise.withResolvers<ContainerContext>();
  /** Names and images of containers, as they were asked for last. */
  #asked: readonly (readonly string[])[];
  readonly #startTime: string;
  readonly #status: StatusWriter;
  readonly #over: Promise<void>;
  #sandbox: Sandbox | undefined;
  #volumes: PodVolumes | undefined;
  /** Something that a volume waits for may be there now. */
  #mounted = Promise.withResolvers<void>();
  #initialized = false;
  #failure: { readonly reason: string; readonly message: string } | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: PodRunnerOptions) {
    this.#o = options;
    const { plan, prober, runtime, pod, addresses, node } = options;
    this.#startTime = timestamp(runtime.clock.wall());
    const host: ContainerHost = {
      runtime,
      prober,
      podIp: (addresses ?? node.address).v4,
      pod: () => this.#pod,
      record: (happening: Happening) => this.#record(happening),
      changed: () => void this.#publish(),
      processChanged: () => this.#writeProcesses(),
    };
    this.#host = host;
    this.#asked = namesAndImages(pod);
    this.#init = plan.init.map((c) => new ContainerRunner(c, 'initContainers', host));
    this.#containers = plan.containers.map((c) => new ContainerRunner(c, 'containers', host));
    this.#status = new StatusWriter(runtime, pod, (now) => this.#statusOf(now));
    this.#over = this.#run();
    this.#beside(this.#over);
  }

  /** The newest object of the same pod. */
  update(pod: Pod): void {
    const { labels, annotations } = this.#pod.metadata;
    const shown = !isDeepStrictEqual([labels, annotations], [pod.metadata.labels, pod.metadata.annotations]);
    const conditions = !isDeepStrictEqual(this.#pod.status?.conditions, pod.status?.conditions);
    const asked = this.#pod.metadata.deletionGracePeriodSeconds;
    this.#status.update(pod);
    // Whoever deletes it again may give it less time.
    if (this.#stop.signal.aborted && asked !== pod.metadata.deletionGracePeriodSeconds)
      this.#beside(this.#endContainers());
    this.#changeContainers(pod);
    if (shown) void this.refreshVolumes();
    if (conditions) void this.#publish();
  }

  /** Of a pod's spec images may change, and ephemeral containers come. */
  #changeContainers(pod: Pod): void {
    const asked = namesAndImages(pod);
    if (this.#work.signal.aborted || isDeepStrictEqual(asked, this.#asked)) return;
    this.#asked = asked;
    const problems = new Problems();
    const plan = planPod(pod.spec, 'spec', problems);
    const problem = (list: ContainerList, i: number) => {
      const found = problems.found.find((p) => p.field.startsWith(`spec.${list}[${i}].`));
      if (found !== undefined)
        this.#record({ type: 'Warning', reason: 'Failed', message: `Error: ${found.field}: ${found.message}` });
      return found;
    };
    const lists = [
      ['initContainers', plan.init, this.#init],
      ['containers', plan.containers, this.#containers],
    ] as const;
    for (const [list, plans, runners] of lists)
      for (const [i, next] of plans.entries())
        if (runners[i]?.plan.imageReference !== next.imageReference && problem(list, i) === undefined)
          runners[i]?.replace(next, this.#grace);
    for (const next of plan.ephemeral.slice(this.#ephemeral.length)) {
      const found = problem('ephemeralContainers', this.#ephemeral.length);
      const runner = new ContainerRunner(next, 'ephemeralContainers', this.#host);
      this.#ephemeral.push(runner);
      if (found !== undefined) runner.wait('ErrImagePull', `${found.field}: ${found.message}`);
      else this.#beside(this.#contextReady.promise.then((context) => runner.supervise(context, 'Never')));
    }
    void this.#publish();
  }

  container(name: string): ContainerView | undefined {
    return this.#all.find((c) => c.plan.name === name)?.view;
  }

  get netns(): string | undefined {
    return this.#sandbox?.namespaces.net;
  }

  /** ConfigMaps or Secrets changed. */
  async refreshVolumes(): Promise<void> {
    this.#mounted.resolve();
    this.#mounted = Promise.withResolvers();
    if (this.#volumes === undefined || this.#work.signal.aborted) return;
    await this.#volumes.refresh();
  }

  /** Ends the containers within their grace and removes all that the pod has on the machine. */
  async end(): Promise<void> {
    this.#stop.abort();
    this.#work.abort();
    void this.#publish();
    await this.#endContainers();
    await this.#sandbox?.remove();
    await this.#over.catch(() => undefined);
    await this.#publish();
    await this.#volumes?.remove();
    await rm(this.#dir, { recursive: true, force: true });
  }

  get #pod(): Pod {
    return this.#status.pod;
  }

  get #all(): readonly ContainerRunner[] {
    return [...this.#init, ...this.#containers, ...this.#ephemeral];
  }

  get #title(): string {
    return `${this.#pod.metadata.namespace}/${this.#pod.metadata.name}`;
  }

  get #dir(): string {
    return this.#o.runtime.paths.pod(this.#o.pod.metadata.uid);
  }

  async #run(): Promise<void> {
    const { plan } = this.#o;
    const { signal } = this.#work;
    await mkdir(this.#dir, { recursive: true });
    this.#watchDeadline();
    const sandbox = await this.#makeSandbox();
    if (sandbox === undefined) return this.#finish([]);
    this.#sandbox = sandbox;
    // Containers see the addresses in their files and variables.
    await this.#publish();
    const context = this.#context(sandbox);
    this.#volumes = context.files;
    if (!(await this.#fillVolumes(context.files))) return this.#finish([]);
    void context.files.renewTokens();
    this.#contextReady.resolve(context);
    const sidecars: Promise<unknown>[] = [];
    const policy: RestartPolicy = plan.restartPolicy === 'Never' ? 'Never' : 'OnFailure';
    for (const container of this.#init) {
      if (container.plan.sidecar) {
        const running = container.supervise(context, 'Always');
        sidecars.push(running);
        this.#beside(running);
        await Promise.race([container.begun, aborted(signal)]);
      } else if ((await container.supervise(context, policy)) !== 0 && !signal.aborted) {
        return this.#finish(sidecars);
      }
      if (signal.aborted) return this.#finish(sidecars);
    }
    this.#initialized = true;
    void this.#publish();
    await Promise.all(this.#containers.map((c) => c.supervise(context, plan.restartPolicy)));
    await this.#finish(sidecars);
  }

  /** Tries until the node's network takes the pod: as with kubelet, its containers wait in ContainerCreating. undefined: it ends. */
  async #makeSandbox(): Promise<Sandbox | undefined> {
    const { runtime, node, addresses, plan } = this.#o;
    const { signal } = this.#work;
    const { uid, name, namespace = 'default' } = this.#pod.metadata;
    const options = {
      lab: runtime.lab,
      node,
      folders: cniFolders(runtime.paths.node(node.name)),
      pod: { namespace, name, uid },
      hostname: this.#hostname,
      sysctls: plan.sysctls,
      addresses,
      log: runtime.log,
    };
    for (let backOff = firstSandboxBackOff; !signal.aborted; backOff = Math.min(backOff * 2, longestSandboxBackOff)) {
      try {
        const sandbox = await makeSandbox(options, signal);
        if (!signal.aborted) return sandbox;
        await sandbox.remove();
      } catch (e) {
        if (!(e instanceof MeshError)) throw e;
        if (signal.aborted) return undefined;
        runtime.log.warn('the sandbox of a pod cannot be made; trying again', { pod: this.#title, error: e.message });
        this.#waitForAll('FailedCreatePodSandBox', `Failed to create pod sandbox: ${e.message}`, e.message);
        await sleep(runtime.clock, millis(backOff), signal);
      }
    }
    return undefined;
  }

  async #fillVolumes(volumes: PodVolumes): Promise<boolean> {
    const { clock } = this.#o.runtime;
    const { signal } = this.#work;
    for (let backOff = firstMountBackOff; !signal.aborted; backOff = Math.min(backOff * 2, longestMountBackOff)) {
      const changed = this.#mounted.promise;
      try {
        await volumes.fill();
        return true;
      } catch (e) {
        this.#waitForAll('FailedMount', describeError(e));
        const over = new AbortController();
        void changed.then(() => over.abort());
        await sleep(clock, millis(backOff), AbortSignal.any([signal, over.signal]));
      }
    }
    return false;
  }

  #waitForAll(reason: string, message: string, short = message): void {
    this.#record({ type: 'Warning', reason, message });
    for (const c of this.#all) c.wait('ContainerCreating', short);
  }

  /** Every container that ends has ended for good: addresses and processes go, the object stays. */
  async #finish(sidecars: readonly Promise<unknown>[]): Promise<void> {
    this.#work.abort();
    if (this.#stop.signal.aborted) return;
    await this.#endContainers();
    await Promise.all(sidecars);
    await this.#publish();
    await this.#sandbox?.remove();
  }

  #watchDeadline(): void {
    const { plan, runtime } = this.#o;
    if (plan.activeDeadline === undefined) return;
    const timer = runtime.clock.after(millis(plan.activeDeadline), () => {
      const message = 'Pod was active on the node longer than the specified deadline';
      this.#failure = { reason: 'DeadlineExceeded', message };
      this.#record({ type: 'Normal', ...this.#failure });
      this.#work.abort();
      this.#beside(this.#endContainers());
    });
    this.#work.signal.addEventListener('abort', () => timer.cancel(), { once: true });
  }

  /** Sidecars after all others, the last one first, within what is left of the grace. */
  async #endContainers(): Promise<void> {
    const { clock } = this.#o.runtime;
    const deadline = clock.now() + this.#grace;
    const sidecars = this.#init.filter((c) => c.plan.sidecar);
    await Promise.all(this.#all.filter((c) => !c.plan.sidecar).map((c) => c.end(this.#grace)));
    for (const sidecar of sidecars.toReversed()) await sidecar.end(millis(Math.max(deadline - clock.now(), 0)));
  }

  /** Whoever deletes the pod may give it less time, or more, than its manifest. */
  get #grace(): Millis {
    const asked = this.#pod.metadata.deletionGracePeriodSeconds;
    return millis(asked === undefined ? this.#o.plan.grace : asked * 1000);
  }

  get #hostname(): string {
    const { plan, node, pod } = this.#o;
    return hostnameOf(plan.names, pod, plan.hostNetwork ? node.name : undefined);
  }

  #context(sandbox: Sandbox): ContainerContext {
    const { runtime, node, plan } = this.#o;
    const own = {
      runtime,
      node,
      dir: this.#dir,
      serviceAccount: plan.serviceAccount,
      plan,
      volumes: plan.volumes,
      pod: () => this.#pod,
      resource: (ref: Parameters<typeof resourceValue>[0]) => {
        const container = this.#all.find((c) => c.plan.name === ref.container)?.plan;
        return resourceValue(ref, container?.resources ?? { limits: {}, requests: {} }, allocatable());
      },
      signal: this.#work.signal,
    };
    return {
      ...own,
      files: new PodVolumes(own),
      namespaces: sandbox.namespaces,
      podCgroup: sandbox.cgroup,
      hostname: this.#hostname,
      networkFiles: () => networkFiles(plan.names, this.#pod, this.#hostname),
      checkNetwork: () => sandbox.checkNetwork(this.#work.signal),
    };
  }

  /** Work that nobody waits for may fail without taking the lab with it. */
  #beside(work: Promise<unknown>): void {
    work.catch((e: unknown) =>
      this.#o.runtime.log.error('a pod cannot be run', { pod: this.#title, error: describeError(e) }),
    );
  }

  #record(happening: Happening): void {
    this.#o.events.record(this.#pod, happening);
  }

  /** One write at a time, each of what runs then: containers of one pod start and end at the same moment. */
  #writeProcesses(): Promise<void> {
    this.#writing = this.#writing.then(() => {
      const entries = this.#all.flatMap(({ plan, running }) => {
        if (running === undefined) return [];
        const { pid, cgroup, cgroups, env, workingDir, privileges } = running;
        return [[plan.name, { pid, cgroup, cgroups, env, workingDir, privileges }]];
      });
      return writeProcesses(this.#dir, Object.fromEntries(entries));
    });
    return this.#writing;
  }

  #publish(): Promise<void> {
    return this.#status.write();
  }

  #statusOf(pod: Pod): PodStatus {
    const { plan, node, runtime, addresses } = this.#o;
    const now = timestamp(runtime.clock.wall());
    const state = {
      restartPolicy: plan.restartPolicy,
      addresses: this.#sandbox === undefined ? undefined : (addresses ?? node.address),
      host: node.address,
      startTime: this.#startTime,
      initialized: this.#initialized,
      ending: this.#stop.signal.aborted,
      init: this.#init.map((c) => c.state),
      containers: this.#containers.map((c) => c.state),
      ephemeral: this.#ephemeral.map((c) => c.state),
      readinessGates: plan.readinessGates,
      qos: qosClass([...plan.init, ...plan.containers]),
      failure: this.#failure,
    };
    return podStatus(state, pod.status, now);
  }
}

function namesAndImages({ spec }: Pod): readonly (readonly string[])[] {
  const ephemeral = (spec['ephemeralContainers'] ?? []) as readonly Container[];
  return [...(spec.initContainers ?? []), ...spec.containers, ...ephemeral].map((c) => [c.name, c.image ?? '']);
}
