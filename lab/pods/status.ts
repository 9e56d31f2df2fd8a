/** A pod's status from the state of its containers. Pure. */
import type { Condition, ContainerStatus, PodStatus } from '../../common/kube/kinds/core.ts';
import type { Addresses } from '../addresses.ts';
import type { RestartPolicy } from '../manifest/pod-plan.ts';

export type ContainerPhase =
  | { readonly kind: 'waiting'; readonly reason: string; readonly message?: string }
  | { readonly kind: 'running'; readonly startedAt: string }
  | {
      readonly kind: 'terminated';
      readonly exitCode: number;
      readonly startedAt: string;
      readonly finishedAt: string;
    };

export interface ContainerState {
  readonly name: string;
  readonly image: string;
  readonly phase: ContainerPhase;
  readonly last: ContainerPhase | undefined;
  readonly restarts: number;
  readonly started: boolean;
  readonly ready: boolean;
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
}

/** `before` keeps the time of conditions that did not change. */
export function podStatus(state: PodState, before: PodStatus | undefined, now: string): PodStatus {
  const allReady = state.containers.every((c) => c.ready && c.phase.kind === 'running');
  const ready = state.initialized && allReady && !state.ending;
  const condition = (type: string, holds: boolean): Condition => {
    const status = holds ? 'True' : 'False';
    const same = before?.conditions?.find((c) => c.type === type && c.status === status);
    return { type, status, lastTransitionTime: same?.lastTransitionTime ?? now };
  };
  return {
    phase: phaseOf(state),
    hostIP: state.host.v4,
    hostIPs: [{ ip: state.host.v4 }, { ip: state.host.v6 }],
    ...(state.addresses === undefined
      ? {}
      : {
          podIP: state.addresses.v4,
          podIPs: [{ ip: state.addresses.v4 }, { ip: state.addresses.v6 }],
        }),
    startTime: state.startTime,
    conditions: [
      condition('PodScheduled', true),
      condition('PodReadyToStartContainers', state.addresses !== undefined),
      condition('Initialized', state.initialized),
      condition('ContainersReady', allReady),
      condition('Ready', ready),
    ],
    ...(state.init.length > 0 ? { initContainerStatuses: state.init.map(containerStatus) } : {}),
    containerStatuses: state.containers.map(containerStatus),
  };
}

function phaseOf(state: PodState): NonNullable<PodStatus['phase']> {
  const ended = state.containers.flatMap((c) => (c.phase.kind === 'terminated' ? [c.phase.exitCode] : []));
  const over = ended.length === state.containers.length && ended.length > 0;
  const failedForGood = (code: number) => code !== 0 && state.restartPolicy === 'Never';
  const failedInit = state.init.some((c) => c.phase.kind === 'terminated' && failedForGood(c.phase.exitCode));
  if (failedInit) return 'Failed';
  if (over && state.restartPolicy !== 'Always') {
    if (ended.every((code) => code === 0)) return 'Succeeded';
    if (state.restartPolicy === 'Never') return 'Failed';
  }
  const begun = state.containers.some((c) => c.phase.kind !== 'waiting' || c.restarts > 0);
  return state.initialized && begun ? 'Running' : 'Pending';
}

function containerStatus(c: ContainerState): ContainerStatus {
  return {
    name: c.name,
    image: c.image,
    imageID: '',
    ready: c.ready && c.phase.kind === 'running',
    started: c.started && c.phase.kind === 'running',
    restartCount: c.restarts,
    state: phaseFields(c.phase),
    ...(c.last === undefined ? {} : { lastState: phaseFields(c.last) }),
  };
}

function phaseFields(phase: ContainerPhase): Readonly<Record<string, unknown>> {
  const { kind, ...fields } = phase;
  if (kind !== 'terminated') return { [kind]: fields };
  return { terminated: { ...fields, reason: phase.exitCode === 0 ? 'Completed' : 'Error' } };
}
