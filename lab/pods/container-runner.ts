/** One container of a pod through all of its runs: starts it, probes it, starts it again, ends it. */
import { type Millis, millis } from '../../common/core/brand.ts';
import { sleep } from '../../common/core/clock.ts';
import { assertNever, describeError, MeshError } from '../../common/core/errors.ts';
import type { Happening } from '../../common/kube/event-recorder.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import { timestamp } from '../../common/kube/timestamp.ts';
import type { Runtime } from '../daemon/runtime.ts';
import type { ContainerView } from '../kubelet/containers.ts';
import type { ContainerList, ContainerPlan } from '../manifest/container-plan.ts';
import type { RestartPolicy } from '../manifest/pod-plan.ts';
import type { ProberClient } from '../prober/client.ts';
import { type BackOff, delayText, startedAgain, waitAfter } from './back-off.ts';
import { type ContainerContext, type ContainerEnd, type RunningContainer, startContainer } from './container.ts';
import { runHook } from './hooks.ts';
import type { ContainerLog } from './log.ts';
import { startProbes } from './probes.ts';
import type { ContainerPhase, ContainerState } from './status.ts';

/** Of its pod. */
export interface ContainerHost {
  readonly runtime: Runtime;
  readonly prober: ProberClient;
  readonly podIp: string;
  pod(): Pod;
  record(happening: Happening): void;
  /** Its state is another. */
  changed(): void;
  /** Its process is another; resolves when all know. */
  processChanged(): Promise<void>;
}

/** Milliseconds between two tries to create a container, doubling. */
const firstRetry = 1_000;
const longestRetry = 10_000;
/** Ms that a container has at least between SIGTERM and SIGKILL, however long its preStop took. */
const leastGrace = millis(2_000);

export class ContainerRunner {
  #plan: ContainerPlan;
  readonly #host: ContainerHost;
  /** `spec.containers{web}` */
  readonly #field: string;
  /** It ends before the others begin. */
  readonly #isBeginner: boolean;
  /** Of the last two runs, the newest last. */
  #logs: readonly ContainerLog[] = [];
  #state: ContainerState;
  #running: RunningContainer | undefined;
  #runs = 0;
  #ending: { readonly over: Promise<void>; shorten(grace: Millis): void } | undefined;
  /** Ends its back-off. */
  #startNow: () => void = () => undefined;
  /** It shall run again, whatever the restart policy says. */
  #replaced = false;
  readonly #begun = Promise.withResolvers<void>();

  constructor(plan: ContainerPlan, list: ContainerList, host: ContainerHost) {
    this.#plan = plan;
    this.#host = host;
    this.#isBeginner = list === 'initContainers' && !plan.sidecar;
    this.#field = `spec.${list}{${plan.name}}`;
    this.#state = {
      name: plan.name,
      image: plan.imageReference,
      phase: { kind: 'waiting', reason: 'ContainerCreating' },
      last: undefined,
      restarts: 0,
      started: false,
      ready: false,
      sidecar: plan.sidecar,
    };
  }

  get plan(): ContainerPlan {
    return this.#plan;
  }

  get state(): ContainerState {
    return this.#state;
  }

  get running(): RunningContainer | undefined {
    return this.#running;
  }

  /** Resolves when it has started for the first time: its startup probe too. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  get view(): ContainerView {
    const { phase } = this.#state;
    const waits = phase.kind === 'waiting';
    return {
      running: this.#running,
      waiting: waits ? phase.reason : undefined,
      log: this.#logs.at(-1),
      // A container that waits has no run now: the last one is the one before.
      previousLog: waits ? this.#logs.at(-1) : this.#logs.at(-2),
    };
  }

  /** Why it is not there yet. */
  wait(reason: string, message?: string): void {
    this.#set({ phase: message === undefined ? { kind: 'waiting', reason } : { kind: 'waiting', reason, message } });
  }

  /** Runs it as often as `policy` says; resolves with the last exit code, or when the context's signal aborts. */
  async supervise(context: ContainerContext, policy: RestartPolicy): Promise<number> {
    const { clock } = this.#host.runtime;
    const { signal } = context;
    let backOff: BackOff | undefined;
    let retry = firstRetry;
    for (;;) {
      const end = await this.#runOnce(context);
      if (signal.aborted) return end?.code ?? 0;
      if (end === undefined) {
        await sleep(clock, millis(retry), signal);
        retry = Math.min(retry * 2, longestRetry);
      } else {
        if (!this.#replaced && !restarts(policy, end.code)) return end.code;
        this.#replaced = false;
        const wait = waitAfter(backOff, clock.now());
        if (wait > 0) this.#backOff(wait);
        const over = new AbortController();
        this.#startNow = () => over.abort();
        await sleep(clock, millis(wait), AbortSignal.any([signal, over.signal]));
        backOff = startedAgain(backOff, wait, clock.now());
        retry = firstRetry;
      }
      if (signal.aborted) return end?.code ?? 0;
    }
  }

  /** Its image is another now. */
  replace(plan: ContainerPlan, grace: Millis): void {
    this.#plan = plan;
    this.#set({ image: plan.imageReference });
    if (this.#running === undefined) {
      this.#startNow();
      return;
    }
    this.#replaced = true;
    void this.end(grace, `Container ${plan.name} definition changed, will be restarted`);
  }

  /** Hooks, SIGTERM and, after the rest of the grace, SIGKILL; asked again it may be shorter. Resolves when it has ended. */
  end(grace: Millis, why = `Stopping container ${this.plan.name}`): Promise<void> {
    const container = this.#running;
    if (container === undefined) return Promise.resolve();
    if (this.#ending === undefined) this.#ending = this.#beginEnd(container, grace, why);
    else this.#ending.shorten(grace);
    return this.#ending.over;
  }

  #beginEnd(container: RunningContainer, grace: Millis, why: string) {
    const { clock } = this.#host.runtime;
    this.#record('Normal', 'Killing', why);
    const late = new AbortController();
    let at = clock.now() + grace;
    let timer = clock.after(grace, () => late.abort());
    const over = this.#end(container, grace, late.signal).finally(() => {
      timer.cancel();
      this.#ending = undefined;
    });
    const shorten = (less: Millis) => {
      if (clock.now() + less >= at) return;
      timer.cancel();
      at = clock.now() + less;
      timer = clock.after(less, () => late.abort());
    };
    return { over, shorten };
  }

  /** `late` aborts when the grace is over. */
  async #end(container: RunningContainer, grace: Millis, late: AbortSignal): Promise<void> {
    const ended = new AbortController();
    void container.exited.then(() => ended.abort());
    const { preStop } = this.plan.hooks;
    if (grace > 0 && preStop !== undefined) {
      const failure = await runHook(this.#hookTarget(container), preStop, AbortSignal.any([late, ended.signal]));
      if (failure !== undefined && !late.aborted && !ended.signal.aborted)
        this.#record('Warning', 'FailedPreStopHook', `PreStopHook failed: ${failure}`);
      // It took the whole grace.
      if (late.aborted) {
        container.signal('SIGTERM');
        await sleep(this.#host.runtime.clock, leastGrace, ended.signal);
      }
    }
    container.signal('SIGTERM');
    await aborted(AbortSignal.any([late, ended.signal]));
    container.signal('SIGKILL');
    await container.exited;
  }

  /** How it ended; undefined when the container could not be made. */
  async #runOnce(context: ContainerContext): Promise<ContainerEnd | undefined> {
    const { runtime } = this.#host;
    const { name, imageReference } = this.plan;
    let container: RunningContainer;
    try {
      this.#record('Normal', 'Pulled', `Container image "${imageReference}" already present on machine`);
      // Its network may have suffered since the pod began; a first container follows right after the plugins' ADD.
      if (this.#runs > 0) await context.checkNetwork();
      container = await startContainer(context, this.plan, this.#runs);
    } catch (e) {
      const message = describeError(e);
      this.#record('Warning', 'Failed', `Error: ${message}`);
      // What the manifest asks for is not there, or the machine would not do it.
      this.wait(e instanceof MeshError ? 'CreateContainerConfigError' : 'CreateContainerError', message);
      return undefined;
    }
    this.#runs += 1;
    this.#running = container;
    this.#logs = [...this.#logs.slice(-1), container.log];
    await this.#host.processChanged();
    const startedAt = this.#time();
    const last = this.#state.phase.kind === 'terminated' ? this.#state.phase : this.#state.last;
    const id = `lab://${context.pod().metadata.uid}/${name}/${this.#runs - 1}`;
    this.#set({ phase: { kind: 'running', startedAt }, last, restarts: this.#runs - 1, id });
    this.#record('Normal', 'Created', `Created container: ${name}`);
    this.#record('Normal', 'Started', `Started container ${name}`);
    for (const { limit, reason } of container.unmet) this.#unmet(limit, reason);
    const over = new AbortController();
    this.#afterStart(context, container, over.signal).catch((e: unknown) =>
      runtime.log.error('hooks and probes cannot be started', { pod: this.#title, error: describeError(e) }),
    );
    // Whoever ended the pod meanwhile found no process to end.
    if (context.signal.aborted) void this.end(this.#grace(context));
    const end = await container.exited;
    over.abort();
    this.#running = undefined;
    const phase = terminated(end, startedAt, this.#time());
    this.#set({ phase, ready: this.#isBeginner && end.code === 0, started: false });
    if (!context.signal.aborted) await this.#host.processChanged();
    runtime.log.debug('a container ended', { pod: this.#title, container: name, code: end.code });
    return end;
  }

  /** postStart, and then probes. */
  async #afterStart(context: ContainerContext, container: RunningContainer, signal: AbortSignal): Promise<void> {
    const { name, hooks } = this.plan;
    if (hooks.postStart !== undefined) {
      const working = AbortSignal.any([signal, context.signal]);
      const failure = await runHook(this.#hookTarget(container), hooks.postStart, working);
      if (working.aborted) return;
      if (failure !== undefined) {
        this.#record('Warning', 'FailedPostStartHook', `PostStartHook failed: ${failure}`);
        await this.end(this.#grace(context), `FailedPostStartHook: container ${name} will be ended`);
        return;
      }
    }
    if (signal.aborted || this.#isBeginner) return;
    startProbes({
      ...this.#hookTarget(container),
      key: `${context.pod().metadata.uid}/${name}/${this.#runs}`,
      plan: this.plan,
      signal,
      ending: context.signal,
      onStarted: () => {
        this.#set({ started: true });
        this.#begun.resolve();
      },
      onReady: (ready) => this.#set({ ready }),
      onFailure: (probe, failure) => this.#record('Warning', 'Unhealthy', `${probe} probe failed: ${failure}`),
      onDead: (probe, grace) => {
        const why = `Container ${name} failed ${probe.toLowerCase()} probe, will be restarted`;
        void this.end(grace === undefined ? this.#grace(context) : millis(grace), why);
      },
    });
  }

  #grace(context: ContainerContext): Millis {
    return millis(context.plan.grace);
  }

  #hookTarget(container: RunningContainer) {
    const { prober, podIp, runtime } = this.#host;
    return { container, prober, podIp, clock: runtime.clock };
  }

  #backOff(wait: number): void {
    const { name, namespace, uid } = this.#host.pod().metadata;
    const failed = `restarting failed container=${this.plan.name} pod=${name}_${namespace}(${uid})`;
    const last = this.#state.phase;
    const message = `back-off ${delayText(wait)} ${failed}`;
    this.#set({ phase: { kind: 'waiting', reason: 'CrashLoopBackOff', message }, last });
    this.#record('Warning', 'BackOff', `Back-off ${failed}`);
  }

  /** Loud, for the pod runs without. */
  #unmet(limit: string, reason: string): void {
    const message = `resources.limits.${limit} of container ${this.plan.name} is not kept: ${reason}`;
    this.#host.runtime.log.warn('a limit cannot be kept', { pod: this.#title, error: message });
    this.#record('Warning', 'LimitNotKept', message);
  }

  get #title(): string {
    const { name, namespace } = this.#host.pod().metadata;
    return `${namespace}/${name}`;
  }

  #time(): string {
    return timestamp(this.#host.runtime.clock.wall());
  }

  #record(type: Happening['type'], reason: string, message: string): void {
    this.#host.record({ type, reason, message, fieldPath: this.#field });
  }

  #set(change: Partial<ContainerState>): void {
    this.#state = { ...this.#state, ...change };
    this.#host.changed();
  }
}

/** Resolves when the signal is, or gets, aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function restarts(policy: RestartPolicy, code: number): boolean {
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

function terminated(end: ContainerEnd, startedAt: string, finishedAt: string): ContainerPhase {
  return {
    kind: 'terminated',
    exitCode: end.code,
    startedAt,
    finishedAt,
    ...(end.outOfMemory && end.code !== 0 ? { reason: 'OOMKilled' } : {}),
    ...(end.message === '' ? {} : { message: end.message }),
  };
}
