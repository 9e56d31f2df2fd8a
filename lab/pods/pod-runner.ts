/** Runs one pod on one node from its sandbox to its end, and keeps its status current. What kubelet does. */
import { mkdir, rm } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { type Millis, millis } from '../../common/core/brand.ts';
import { sleep } from '../../common/core/clock.ts';
import { assertNever, describeError, MeshError } from '../../common/core/errors.ts';
import { type Pod, type PodStatus, podKind } from '../../common/kube/kinds/core.ts';
import type { Addresses } from '../addresses.ts';
import { cniFolders } from '../cni/network.ts';
import type { LabNode, Runtime } from '../daemon/runtime.ts';
import type { ContainerView, PodView } from '../kubelet/containers.ts';
import type { ContainerPlan, PodPlan } from '../manifest/pod-plan.ts';
import type { ProberClient } from '../prober/client.ts';
import { run } from '../system/run.ts';
import { type ContainerContext, type RunningContainer, startContainer } from './container.ts';
import { execArgv } from './launch.ts';
import type { ContainerLog } from './log.ts';
import { startProbes } from './probes.ts';
import { makeSandbox, type Sandbox } from './sandbox.ts';
import { writeProcesses } from './state-file.ts';
import { type ContainerState, podStatus } from './status.ts';
import { accountVolume, fillVolume, refill, renewTokens } from './volumes.ts';

/** Milliseconds; kubelet's go from 500 to two minutes. */
const firstSandboxBackOff = 100;
const longestSandboxBackOff = 2_000;
/** The first restart comes at once, then after these milliseconds, doubling; kubelet's 10 s and 5 min would be long in a lab. */
const firstBackOff = 1_000;
const longestBackOff = 60_000;
/** A container that ran this long starts over with its back-off. */
const resetAfter = 60_000;

export interface PodRunnerOptions {
  readonly runtime: Runtime;
  readonly node: LabNode;
  readonly prober: ProberClient;
  readonly pod: Pod;
  readonly plan: PodPlan;
  /** undefined: the pod shares its node's network. */
  readonly addresses: Addresses | undefined;
}

export class PodRunner implements PodView {
  readonly #o: PodRunnerOptions;
  readonly #stop = new AbortController();
  readonly #states = new Map<string, ContainerState>();
  readonly #running = new Map<string, RunningContainer>();
  /** By container: of the last two runs, the newest last. */
  readonly #logs = new Map<string, readonly ContainerLog[]>();
  readonly #startTime: string;
  readonly #over: Promise<void>;
  #pod: Pod;
  #sandbox: Sandbox | undefined;
  #initialized = false;
  #publishing: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #publishAgain = false;

  constructor(options: PodRunnerOptions) {
    this.#o = options;
    this.#pod = options.pod;
    this.#startTime = new Date(options.runtime.clock.wall()).toISOString();
    for (const c of [...options.plan.init, ...options.plan.containers]) this.#states.set(c.name, waiting(c));
    this.#over = this.#run().catch((e: unknown) =>
      options.runtime.log.error('a pod cannot be run', { pod: this.#title, error: describeError(e) }),
    );
  }

  /** The newest object of the same pod. */
  update(pod: Pod): void {
    this.#pod = pod;
  }

  container(name: string): ContainerView | undefined {
    const state = this.#states.get(name);
    if (state === undefined) return undefined;
    const logs = this.#logs.get(name) ?? [];
    return {
      running: this.#running.get(name),
      waiting: state.phase.kind === 'waiting' ? state.phase.reason : undefined,
      log: logs.at(-1),
      previousLog: logs.at(-2),
    };
  }

  get netns(): string | undefined {
    return this.#sandbox?.namespaces.net;
  }

  /** ConfigMaps or Secrets changed. */
  async refreshVolumes(): Promise<void> {
    if (this.#sandbox === undefined || this.#stop.signal.aborted) return;
    for (const volume of this.#o.plan.volumes) await refill(this.#context(this.#sandbox), volume);
  }

  /** Ends the containers within their grace and removes all that the pod has on the machine. */
  async end(): Promise<void> {
    this.#stop.abort();
    this.#publish();
    const { clock, paths } = this.#o.runtime;
    const ended = new AbortController();
    await Promise.race([this.#endContainers().finally(() => ended.abort()), sleep(clock, this.#grace, ended.signal)]);
    await this.#sandbox?.remove();
    await this.#over;
    await this.#publishing;
    await rm(paths.pod(this.#pod.metadata.uid), { recursive: true, force: true });
  }

  get #title(): string {
    return `${this.#pod.metadata.namespace}/${this.#pod.metadata.name}`;
  }

  async #run(): Promise<void> {
    const { runtime, plan } = this.#o;
    const { signal } = this.#stop;
    await mkdir(runtime.paths.pod(this.#pod.metadata.uid), { recursive: true });
    const sandbox = await this.#makeSandbox();
    if (sandbox === undefined) return;
    this.#sandbox = sandbox;
    // Containers see the addresses in their files and variables.
    await this.#publish();
    const context = this.#context(sandbox);
    if (!(await this.#fillVolumes(context))) return;
    for (const container of plan.init) {
      const code = await this.#supervise(context, container, plan.restartPolicy !== 'Never');
      if (signal.aborted) return;
      if (code !== 0) return this.#finish();
    }
    this.#initialized = true;
    await Promise.all(plan.containers.map((c) => this.#supervise(context, c, undefined)));
    if (!signal.aborted) await this.#finish();
  }

  /** Tries until the node's network takes the pod: as with kubelet, its containers wait in ContainerCreating. undefined: it ends. */
  async #makeSandbox(): Promise<Sandbox | undefined> {
    const { runtime, node, addresses } = this.#o;
    const { signal } = this.#stop;
    const { uid, name, namespace = 'default' } = this.#pod.metadata;
    const options = {
      lab: runtime.lab,
      node,
      folders: cniFolders(runtime.paths.node(node.name)),
      pod: { namespace, name, uid },
      hostname: this.#hostname,
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
        for (const c of this.#states.values()) {
          this.#set(c.name, { phase: { kind: 'waiting', reason: 'ContainerCreating', message: e.message } });
        }
        await sleep(runtime.clock, millis(backOff), signal);
      }
    }
    return undefined;
  }

  /** Every container has ended for good: addresses and processes go, the object stays. */
  async #finish(): Promise<void> {
    await this.#publish();
    await this.#sandbox?.remove();
  }

  async #fillVolumes(context: ContainerContext): Promise<boolean> {
    const { plan, runtime } = this.#o;
    const volumes = [...plan.volumes, ...(plan.mountToken ? [accountVolume] : [])];
    for (;;) {
      try {
        for (const volume of volumes) await fillVolume(context, volume);
        break;
      } catch (e) {
        for (const c of this.#states.values()) {
          this.#set(c.name, { phase: { kind: 'waiting', reason: 'FailedMount', message: describeError(e) } });
        }
        await sleep(runtime.clock, millis(firstBackOff), context.signal);
        if (context.signal.aborted) return false;
      }
    }
    for (const volume of volumes) void renewTokens(context, volume);
    return true;
  }

  /**
   * Starts the container and starts it again as the restart policy says; resolves with its last exit code. `restartFailed` is the rule
   * of init containers: only failures, or nothing.
   */
  async #supervise(
    context: ContainerContext,
    plan: ContainerPlan,
    restartFailed: boolean | undefined,
  ): Promise<number> {
    const { runtime } = this.#o;
    let backOff = 0;
    for (let attempt = 0; ; attempt++) {
      const began = runtime.clock.now();
      const code = await this.#runOnce(context, plan, attempt);
      if (context.signal.aborted) return code ?? 0;
      if (code !== undefined && !this.#restarts(code, restartFailed)) return code;
      if (runtime.clock.now() - began > resetAfter) backOff = 0;
      if (code !== undefined) {
        const { phase, restarts } = this.#states.get(plan.name)!;
        const message = `back-off of ${backOff} ms after exit code ${code}; see: aquifer lab logs ${this.#title}`;
        const wait = { kind: 'waiting', reason: 'CrashLoopBackOff', message } as const;
        this.#set(plan.name, { phase: wait, last: phase, restarts: restarts + 1 });
      }
      await sleep(runtime.clock, millis(backOff), context.signal);
      if (context.signal.aborted) return code ?? 0;
      backOff = Math.min(Math.max(backOff * 2, firstBackOff), longestBackOff);
    }
  }

  #restarts(code: number, restartFailed: boolean | undefined): boolean {
    if (restartFailed !== undefined) return restartFailed && code !== 0;
    const policy = this.#o.plan.restartPolicy;
    switch (policy) {
      case 'Always':
        return true;
      case 'OnFailure':
        return code !== 0;
      case 'Never':
        return false;
      default:
        return assertNever(policy);
    }
  }

  /** The exit code; undefined when the container could not be made. */
  async #runOnce(context: ContainerContext, plan: ContainerPlan, attempt: number): Promise<number | undefined> {
    let container: RunningContainer;
    try {
      // Its network may have suffered since the pod began; a first container follows right after the plugins' ADD.
      if (attempt > 0) await this.#sandbox?.checkNetwork(context.signal);
      container = await startContainer(context, plan, attempt);
    } catch (e) {
      if (!(e instanceof MeshError)) throw e;
      const phase = { kind: 'waiting', reason: 'CreateContainerConfigError', message: e.message } as const;
      this.#set(plan.name, { phase });
      return undefined;
    }
    const startedAt = new Date(this.#o.runtime.clock.wall()).toISOString();
    this.#running.set(plan.name, container);
    this.#logs.set(plan.name, [...(this.#logs.get(plan.name) ?? []).slice(-1), container.log]);
    await this.#writeProcesses();
    this.#set(plan.name, { phase: { kind: 'running', startedAt } });
    const over = new AbortController();
    this.#probe(plan, container, attempt, AbortSignal.any([over.signal, context.signal]));
    const exitCode = await container.exited;
    over.abort();
    this.#running.delete(plan.name);
    const finishedAt = new Date(this.#o.runtime.clock.wall()).toISOString();
    const phase = { kind: 'terminated', exitCode, startedAt, finishedAt } as const;
    this.#set(plan.name, { phase, ready: false, started: false });
    if (!context.signal.aborted) await this.#writeProcesses();
    return exitCode;
  }

  #probe(plan: ContainerPlan, container: RunningContainer, attempt: number, signal: AbortSignal): void {
    const { runtime, prober, node, addresses } = this.#o;
    if (signal.aborted) return;
    startProbes({
      key: `${this.#pod.metadata.uid}/${plan.name}/${attempt}`,
      container: plan,
      podIp: (addresses ?? node.address).v4,
      prober,
      clock: runtime.clock,
      signal,
      env: container.env,
      execArgv: (argv) => execArgv({ ...container, argv }),
      onStarted: () => this.#set(plan.name, { started: true }),
      onReady: (ready) => this.#set(plan.name, { ready }),
      onDead: (reason) => {
        runtime.log.warn('killing a container', { pod: this.#title, container: plan.name, reason });
        void this.#endContainer(plan, container, signal);
      },
    });
  }

  async #endContainers(): Promise<void> {
    const plans = [...this.#o.plan.init, ...this.#o.plan.containers];
    const never = new AbortController().signal;
    await Promise.all(
      plans.map(async (plan) => {
        const container = this.#running.get(plan.name);
        if (container) await this.#endContainer(plan, container, never);
      }),
    );
  }

  /** preStop, SIGTERM and, after the rest of the grace, SIGKILL. */
  async #endContainer(plan: ContainerPlan, container: RunningContainer, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#o.runtime;
    const deadline = clock.after(this.#grace, () => container.signal('SIGKILL'));
    try {
      if (plan.preStop?.kind === 'sleep') await sleep(clock, millis(plan.preStop.milliseconds), signal);
      if (plan.preStop?.kind === 'exec') await run(execArgv({ ...container, argv: plan.preStop.command }));
    } catch (e) {
      log.warn('preStop failed', { pod: this.#title, container: plan.name, error: describeError(e) });
    }
    container.signal('SIGTERM');
    await container.exited;
    deadline.cancel();
  }

  /** Whoever deletes the pod may give it less time, or more, than its manifest. */
  get #grace(): Millis {
    const asked = this.#pod.metadata.deletionGracePeriodSeconds;
    return millis(asked === undefined ? this.#o.plan.grace : asked * 1000);
  }

  get #hostname(): string {
    return this.#o.plan.hostNetwork ? this.#o.node.name : (this.#o.plan.hostname ?? this.#pod.metadata.name);
  }

  #context(sandbox: Sandbox): ContainerContext {
    const { runtime, node, plan } = this.#o;
    return {
      runtime,
      node,
      dir: runtime.paths.pod(this.#pod.metadata.uid),
      serviceAccount: plan.serviceAccount,
      pod: () => this.#pod,
      signal: this.#stop.signal,
      namespaces: sandbox.namespaces,
      podCgroup: sandbox.cgroup,
      hostname: this.#hostname,
      mountToken: plan.mountToken,
      volumes: plan.volumes,
    };
  }

  /** One write at a time, each of what runs then: containers of one pod start and end at the same moment. */
  #writeProcesses(): Promise<void> {
    this.#writing = this.#writing.then(() => {
      const entries = [...this.#running].map(([name, { pid, cgroup, env, workingDir, privileges }]) => [
        name,
        { pid, cgroup, env, workingDir, privileges },
      ]);
      return writeProcesses(this.#o.runtime.paths.pod(this.#pod.metadata.uid), Object.fromEntries(entries));
    });
    return this.#writing;
  }

  #set(container: string, change: Partial<ContainerState>): void {
    this.#states.set(container, { ...this.#states.get(container)!, ...change });
    void this.#publish();
  }

  /** One write at a time; a change meanwhile is written afterwards. */
  #publish(): Promise<void> {
    this.#publishAgain = true;
    this.#publishing ??= this.#publishAll().finally(() => {
      this.#publishing = undefined;
    });
    return this.#publishing;
  }

  async #publishAll(): Promise<void> {
    const { runtime } = this.#o;
    const { namespace, name } = this.#pod.metadata;
    while (this.#publishAgain) {
      this.#publishAgain = false;
      const status = this.#status();
      if (isDeepStrictEqual(status, this.#pod.status)) continue;
      try {
        const key = { namespace: namespace ?? 'default', name };
        this.#pod = await runtime.cluster.source.patch(podKind, key, { status }, { subresource: 'status' });
      } catch (e) {
        // The object may be gone while its pod ends.
        if (e instanceof MeshError && e.code === 'NOT_FOUND') return;
        runtime.log.warn('the status of a pod cannot be written', { pod: this.#title, error: describeError(e) });
      }
    }
  }

  #status(): PodStatus {
    const { plan, node, runtime, addresses } = this.#o;
    const now = new Date(runtime.clock.wall()).toISOString();
    const states = (plans: readonly ContainerPlan[]) => plans.map((c) => this.#states.get(c.name)!);
    const state = {
      restartPolicy: plan.restartPolicy,
      addresses: this.#sandbox === undefined ? undefined : (addresses ?? node.address),
      host: node.address,
      startTime: this.#startTime,
      initialized: this.#initialized,
      ending: this.#stop.signal.aborted,
      init: states(plan.init),
      containers: states(plan.containers),
    };
    return podStatus(state, this.#pod.status, now);
  }
}

function waiting(plan: ContainerPlan): ContainerState {
  return {
    name: plan.name,
    image: plan.imageReference,
    phase: { kind: 'waiting', reason: 'ContainerCreating' },
    last: undefined,
    restarts: 0,
    started: false,
    ready: false,
  };
}
