/** Startup, readiness and liveness of one running container. */
import { spawn } from 'node:child_process';
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { assertNever } from '../../common/core/errors.ts';
import type { ContainerPlan } from '../manifest/pod-plan.ts';
import type { ProbePlan } from '../manifest/probe.ts';
import type { ProberClient } from '../prober/client.ts';
import { observe, unprobed } from './probe-state.ts';

/** Until a probe succeeds for the first time, so that a lab does not start as slowly as kubelet's period. */
const firstPeriod = 250;

export interface ProbeTarget {
  /** Differs between containers and between their restarts. */
  readonly key: string;
  readonly container: ContainerPlan;
  readonly podIp: string;
  readonly prober: ProberClient;
  readonly clock: Clock;
  /** Aborts when the container has ended. */
  readonly signal: AbortSignal;
  /** Of a process inside the container. */
  execArgv(command: readonly string[]): readonly string[];
  readonly env: Readonly<Record<string, string>>;
  onStarted(): void;
  onReady(ready: boolean): void;
  /** The container shall be restarted. */
  onDead(reason: string): void;
}

export function startProbes(t: ProbeTarget): void {
  const { startup, readiness, liveness } = t.container;
  const started = () => {
    t.onStarted();
    if (readiness === undefined) t.onReady(true);
    else watch(t, 'readiness', readiness, (ok) => t.onReady(ok));
    if (liveness) {
      watch(t, 'liveness', liveness, (ok, failure) => {
        if (!ok) t.onDead(`liveness probe failed: ${failure}`);
      });
    }
  };
  if (startup === undefined) {
    started();
    return;
  }
  const own = new AbortController();
  watch({ ...t, signal: AbortSignal.any([t.signal, own.signal]) }, 'startup', startup, (ok, failure) => {
    own.abort();
    if (ok) started();
    else t.onDead(`startup probe failed: ${failure}`);
  });
}

/** Calls `onChange` when a threshold is reached and the result is another than before. */
function watch(
  t: ProbeTarget,
  purpose: string,
  plan: ProbePlan,
  onChange: (ok: boolean, failure: string | undefined) => void,
): void {
  let state = unprobed;
  attempts(t, purpose, plan, (failure) => {
    if (t.signal.aborted) return;
    const before = state.result;
    state = observe(state, failure === undefined, plan);
    if (state.result !== undefined && state.result !== before) onChange(state.result, failure);
  });
}

function attempts(
  t: ProbeTarget,
  purpose: string,
  plan: ProbePlan,
  onResult: (failure: string | undefined) => void,
): void {
  const { action, initialDelay, period, timeout } = plan;
  const first = Math.min(firstPeriod, period);
  switch (action.kind) {
    case 'exec':
      void execAttempts(t, plan, action.command, onResult);
      return;
    case 'tcp':
    case 'http': {
      const key = `${t.key}/${purpose}`;
      const probe = { ...action, host: action.host ?? t.podIp };
      t.prober.set({ key, probe, initialDelay, firstPeriod: first, period, timeout }, onResult);
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
  command: readonly string[],
  onResult: (failure: string | undefined) => void,
): Promise<void> {
  await sleep(t.clock, millis(plan.initialDelay), t.signal);
  for (let succeeded = false; !t.signal.aborted; ) {
    const failure = await execAttempt(t, plan.timeout, command);
    succeeded ||= failure === undefined;
    onResult(failure);
    await sleep(t.clock, millis(succeeded ? plan.period : Math.min(firstPeriod, plan.period)), t.signal);
  }
}

function execAttempt(t: ProbeTarget, timeout: number, command: readonly string[]): Promise<string | undefined> {
  const [program = '', ...args] = t.execArgv(command);
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'ignore', env: t.env, timeout, killSignal: 'SIGKILL' });
    child.on('error', (e) => resolve(e.message));
    child.on('exit', (code) => resolve(code === 0 ? undefined : `${command.join(' ')}: exit code ${code ?? 'none'}`));
  });
}
