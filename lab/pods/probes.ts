/** Startup, readiness and liveness of one running container. */
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { assertNever } from '../../common/core/errors.ts';
import type { ContainerPlan } from '../manifest/container-plan.ts';
import type { ProbePlan } from '../manifest/probe.ts';
import type { ProberClient } from '../prober/client.ts';
import type { RunningContainer } from './container.ts';
import { runCommand } from './hooks.ts';
import { observe, unprobed } from './probe-state.ts';

/**
 * Ms between attempts until a readiness or startup probe succeeds for the first time, so that a lab does not start as slowly as the
 * probe's period. Failures in between do not count.
 */
const firstPeriod = 250;

export type ProbeName = 'Startup' | 'Readiness' | 'Liveness';

export interface ProbeTarget {
  /** Differs between containers and between their restarts. */
  readonly key: string;
  readonly plan: ContainerPlan;
  readonly container: RunningContainer;
  readonly podIp: string;
  readonly prober: ProberClient;
  readonly clock: Clock;
  /** Aborts when the container has ended: it may be ready to its last moment. */
  readonly signal: AbortSignal;
  /** Aborts when its pod is to end: it is not started again. */
  readonly ending: AbortSignal;
  onStarted(): void;
  onReady(ready: boolean): void;
  /** One attempt that counts. */
  onFailure(probe: ProbeName, failure: string): void;
  /** The container shall end; `grace` as {@link ProbePlan}. */
  onDead(probe: 'Startup' | 'Liveness', grace: number | undefined): void;
}

export function startProbes(t: ProbeTarget): void {
  const { startup, readiness, liveness } = t.plan;
  const working = { ...t, signal: AbortSignal.any([t.signal, t.ending]) };
  const started = () => {
    t.onStarted();
    if (readiness === undefined) t.onReady(true);
    else watch(t, 'Readiness', readiness, (ok) => t.onReady(ok));
    if (liveness) watch(working, 'Liveness', liveness, (ok) => ok || t.onDead('Liveness', liveness.grace));
  };
  if (startup === undefined) {
    started();
    return;
  }
  const own = new AbortController();
  watch({ ...t, signal: AbortSignal.any([working.signal, own.signal]) }, 'Startup', startup, (ok) => {
    own.abort();
    if (ok) started();
    else t.onDead('Startup', startup.grace);
  });
}

/** Calls `onChange` when a threshold is reached and the result is another than before. */
function watch(t: ProbeTarget, name: ProbeName, plan: ProbePlan, onChange: (ok: boolean) => void): void {
  let state = unprobed;
  let counted = Number.NEGATIVE_INFINITY;
  const first = name === 'Liveness' ? plan.period : Math.min(firstPeriod, plan.period);
  attempts(t, name, plan, first, (failure) => {
    if (t.signal.aborted) return;
    if (failure !== undefined) {
      // Attempts do not keep to their period by the millisecond.
      if (t.clock.now() - counted < plan.period - firstPeriod / 2) return;
      counted = t.clock.now();
      t.onFailure(name, failure);
    }
    const before = state.result;
    state = observe(state, failure === undefined, plan);
    if (state.result !== undefined && state.result !== before) onChange(state.result);
  });
}

function attempts(
  t: ProbeTarget,
  name: ProbeName,
  plan: ProbePlan,
  first: number,
  onResult: (failure: string | undefined) => void,
): void {
  const { action, initialDelay, period, timeout } = plan;
  switch (action.kind) {
    case 'exec':
      void execAttempts(t, plan, first, action.command, onResult);
      return;
    case 'tcp':
    case 'http':
    case 'grpc': {
      const key = `${t.key}/${name}`;
      const host = (action.kind === 'grpc' ? undefined : action.host) || t.podIp;
      t.prober.set({ key, probe: { ...action, host }, initialDelay, firstPeriod: first, period, timeout }, onResult);
      t.signal.addEventListener('abort', () => t.prober.remove(key), { once: true });
      return;
    }
    default:
      assertNever(action);
  }
}

async function execAttempts(
  t: ProbeTarget,
  plan: ProbePlan,
  first: number,
  command: readonly string[],
  onResult: (failure: string | undefined) => void,
): Promise<void> {
  await sleep(t.clock, millis(plan.initialDelay), t.signal);
  for (let succeeded = false; !t.signal.aborted; ) {
    const failure = await execAttempt(t, plan.timeout, command);
    succeeded ||= failure === undefined;
    onResult(failure);
    await sleep(t.clock, millis(succeeded ? plan.period : first), t.signal);
  }
}

async function execAttempt(t: ProbeTarget, timeout: number, command: readonly string[]): Promise<string | undefined> {
  const tooLong = new AbortController();
  const timer = t.clock.after(millis(timeout), () => tooLong.abort());
  const failure = await runCommand(t.container, command, AbortSignal.any([t.signal, tooLong.signal]));
  timer.cancel();
  return failure !== undefined && tooLong.signal.aborted ? `command timed out after ${timeout} ms` : failure;
}
