/** A pod's status from the state of its containers. Pure. */
import type { Condition, ContainerStatus, PodStatus } from '../../common/kube/kinds/core.ts';
import type { Addresses } from '../addresses.ts';
import type { RestartPolicy } from '../manifest/pod-plan.ts';
import type { QosClass } from '../manifest/qos.ts';

export type ContainerPhase =
  | { readonly kind: 'waiting'; readonly reason: string; readonly message?: string }
  | { readonly kind: 'running'; readonly startedAt: string }
  | {
      readonly kind: 'terminated';
      readonly exitCode: number;
      readonly startedAt: string;
      readonly finishedAt: string;
      /** Default: by the exit code. */
      readonly reason?: string;
      readonly message?: string;
    };

export interface ContainerState {
  readonly name: string;
  readonly image: string;
  readonly phase: ContainerPhase;
  readonly last: ContainerPhase | undefined;
  readonly restarts: number;
  readonly started: boolean;
  readonly ready: boolean;
  /** An init container that goes on beside the others. */
  readonly sidecar?: boolean;
  /** Of this run, or the last one. */
  readonly id?: string | undefined;
}

export interface PodState {
  readonly restartPolicy: RestartPolicy;
  readonly addresses: Addresses | undefined;
  readonly host: Addresses;
  readonly startTime: string;
  readonly initialized: boolean;
  readonly ending: boolean;
  readonly init: readonly ContainerState[];
  readonly containers: readonly ContainerState[];
  readonly ephemeral?: readonly ContainerState[];
  /** Types of conditions that others set, without which it is not ready. */
  readonly readinessGates?: readonly string[];
  readonly qos?: QosClass;
  /** Why the kubelet has ended it. */
  readonly failure?: { readonly reason: string; readonly message: string } | undefined;
}

/** Of the conditions, those that a kubelet writes. */
const ownConditions = ['PodReadyToStartContainers', 'Initialized', 'ContainersReady', 'Ready'];

interface Verdict {
  readonly holds: boolean;
  readonly reason?: string;
  readonly message?: string;
}

/** `before` keeps the time of conditions that did not change, and the conditions of others. */
export function podStatus(state: PodState, before: PodStatus | undefined, now: string): PodStatus {
  const phase = phaseOf(state);
  const condition = (type: string, { holds, reason, message }: Verdict): Condition => {
    const status = holds ? 'True' : 'False';
    const same = before?.conditions?.find((c) => c.type === type && c.status === status);
    return {
      type,
      status,
      lastProbeTime: null,
      lastTransitionTime: same?.lastTransitionTime ?? now,
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
    };
  };
  const others = (before?.conditions ?? []).filter((c) => !ownConditions.includes(c.type));
  const scheduled = others.some((c) => c.type === 'PodScheduled' && c.status === 'True');
  const containersReady = readiness(state, phase);
  return {
    phase,
    ...(hasFailed(state) ? state.failure : {}),
    hostIP: state.host.v4,
    hostIPs: [{ ip: state.host.v4 }, { ip: state.host.v6 }],
    ...(state.addresses === undefined
      ? {}
      : {
          podIP: state.addresses.v4,
          podIPs: [{ ip: state.addresses.v4 }, { ip: state.addresses.v6 }],
        }),
    startTime: state.startTime,
    ...(state.qos === undefined ? {} : { qosClass: state.qos }),
    conditions: [
      ...(scheduled ? [] : [condition('PodScheduled', { holds: true })]),
      ...others.filter((c) => c.type !== 'PodScheduled' || scheduled),
      condition('PodReadyToStartContainers', { holds: state.addresses !== undefined }),
      condition('Initialized', initialized(state, phase)),
      condition('ContainersReady', containersReady),
      condition('Ready', gated(state, containersReady, others)),
    ],
    ...(state.init.length > 0 ? { initContainerStatuses: state.init.map((c) => containerStatus(c, true)) } : {}),
    containerStatuses: state.containers.map((c) => containerStatus(c, state.initialized || state.init.length === 0)),
    ...(state.ephemeral?.length
      ? { ephemeralContainerStatuses: state.ephemeral.map((c) => containerStatus(c, true)) }
      : {}),
  };
}

/** What counts for readiness: sidecars too. */
function lasting(state: PodState): ContainerState[] {
  return [...state.init.filter((c) => c.sidecar), ...state.containers];
}

function initialized(state: PodState, phase: PodStatus['phase']): Verdict {
  if (phase === 'Succeeded') return { holds: true, reason: 'PodCompleted' };
  if (state.initialized) return { holds: true };
  const incomplete = state.init.filter((c) =>
    c.sidecar ? !c.started : c.phase.kind !== 'terminated' || c.phase.exitCode !== 0,
  );
  return {
    holds: false,
    reason: 'ContainersNotInitialized',
    message: `containers with incomplete status: [${incomplete.map((c) => c.name).join(' ')}]`,
  };
}

function readiness(state: PodState, phase: PodStatus['phase']): Verdict {
  if (phase === 'Succeeded') return { holds: false, reason: 'PodCompleted' };
  if (phase === 'Failed') return { holds: false, reason: 'PodFailed' };
  const unready = lasting(state).filter((c) => !c.ready || c.phase.kind !== 'running');
  if (unready.length === 0) return { holds: true };
  const message = `containers with unready status: [${unready.map((c) => c.name).join(' ')}]`;
  return { holds: false, reason: 'ContainersNotReady', message };
}

function gated(state: PodState, ready: Verdict, others: readonly Condition[]): Verdict {
  if (!ready.holds) return ready;
  if (!state.initialized) return { holds: false, reason: 'ContainersNotInitialized' };
  const open = (state.readinessGates ?? []).filter((g) => others.find((c) => c.type === g)?.status !== 'True');
  if (open.length === 0) return { holds: true };
  const message = `the status of pod readiness gate "${open[0]}" is not "True"`;
  return { holds: false, reason: 'ReadinessGatesNotReady', message };
}

/** While something of it runs, its owner may not replace it. */
function hasFailed(state: PodState): boolean {
  return state.failure !== undefined && ![...state.init, ...state.containers].some((c) => c.phase.kind === 'running');
}

function phaseOf(state: PodState): NonNullable<PodStatus['phase']> {
  if (hasFailed(state)) return 'Failed';
  const policy = state.restartPolicy;
  const beginners = state.init.filter((c) => !c.sidecar);
  const failed = (c: ContainerState) => c.phase.kind === 'terminated' && c.phase.exitCode !== 0;
  if (beginners.some(failed) && (policy === 'Never' || state.ending)) return 'Failed';
  if (!state.initialized) return 'Pending';
  const sidecarsGo = state.init.some((c) => c.sidecar && c.phase.kind === 'running');
  const ended = state.containers.flatMap((c) => (c.phase.kind === 'terminated' ? [c.phase.exitCode] : []));
  if (ended.length === state.containers.length && !sidecarsGo && (policy !== 'Always' || state.ending)) {
    if (ended.every((code) => code === 0)) return 'Succeeded';
    if (policy === 'Never' || state.ending) return 'Failed';
  }
  const waits = state.containers.some((c) => c.phase.kind === 'waiting' && c.last === undefined);
  return waits ? 'Pending' : 'Running';
}

function containerStatus(c: ContainerState, mayStart: boolean): ContainerStatus {
  const creating = c.phase.kind === 'waiting' && c.phase.reason === 'ContainerCreating';
  const phase = creating && !mayStart ? ({ kind: 'waiting', reason: 'PodInitializing' } as const) : c.phase;
  return {
    name: c.name,
    image: c.image,
    imageID: '',
    ...(c.id === undefined ? {} : { containerID: c.id }),
    ready: c.phase.kind === 'terminated' && !c.sidecar ? c.ready : c.ready && c.phase.kind === 'running',
    started: c.started && c.phase.kind === 'running',
    restartCount: c.restarts,
    state: phaseFields(phase, c.id),
    lastState: c.last === undefined ? {} : phaseFields(c.last, c.id),
  };
}

function phaseFields(phase: ContainerPhase, id: string | undefined): Readonly<Record<string, unknown>> {
  const { kind, ...fields } = phase;
  if (kind !== 'terminated') return { [kind]: fields };
  const reason = phase.reason ?? (phase.exitCode === 0 ? 'Completed' : 'Error');
  return { terminated: { ...fields, reason, ...(id === undefined ? {} : { containerID: id }) } };
}
