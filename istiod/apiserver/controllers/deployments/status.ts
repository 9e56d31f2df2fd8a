/** The status of a Deployment, as kubectl rollout status reads it. Pure. */
import type { Deployment } from '../../../../common/kube/kinds/apps.ts';
import type { Condition } from '../../../../common/kube/kinds/core.ts';
import { timestamp } from '../../../../common/kube/timestamp.ts';
import { conditionOf, dropCondition } from '../runtime/conditions.ts';
import type { ReplicaSet } from '../types.ts';
import { boundsOf } from './rollout.ts';

type Status = NonNullable<Deployment['status']>;
export interface Progress {
  readonly status: Status;
  /** Ms until the deadline is missed; undefined: nothing is under way. */
  readonly deadlineIn: number | undefined;
}

interface Timed extends Condition {
  readonly lastUpdateTime?: string | null;
}

const sum = (sets: readonly ReplicaSet[], value: (s: ReplicaSet) => number | undefined) =>
  sets.reduce((n, s) => n + (value(s) ?? 0), 0);

/** `now` in ms; `made`: the present ReplicaSet was made in this run. */
export function deploymentStatus(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
  now: number,
): Progress {
  const { metadata, spec } = deployment;
  const before: Status = deployment.status ?? {};
  const all = current === undefined ? old : [...old, current];
  const wanted = spec.replicas ?? 1;
  const available = sum(all, (s) => s.status?.availableReplicas);
  const counts = {
    observedGeneration: metadata.generation ?? 0,
    replicas: sum(all, (s) => s.status?.replicas),
    updatedReplicas: current?.status?.replicas ?? 0,
    readyReplicas: sum(all, (s) => s.status?.readyReplicas),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, sum(all, (s) => s.spec.replicas) - available),
  };
  let conditions: readonly Timed[] = before.conditions ?? [];
  const enough = available >= wanted - boundsOf(spec).unavailable;
  conditions = set(conditions, now, {
    type: 'Available',
    status: enough ? 'True' : 'False',
    reason: enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
    message: enough ? 'Deployment has minimum availability.' : 'Deployment does not have minimum availability.',
  });
  const failure = all.map((s) => conditionOf(s.status?.conditions, 'ReplicaFailure')).find((c) => c !== undefined);
  if (failure === undefined) conditions = dropCondition(conditions, 'ReplicaFailure');
  else {
    const { reason, message } = failure;
    const why = { ...(reason === undefined ? {} : { reason }), ...(message === undefined ? {} : { message }) };
    conditions = set(conditions, now, { type: 'ReplicaFailure', status: 'True', ...why });
  }
  const progress = progressOf(deployment, counts, before, current, now);
  if (progress.condition !== undefined) conditions = set(conditions, now, progress.condition, progress.moved);
  return {
    status: {
      ...counts,
      ...(before['collisionCount'] === undefined ? {} : { collisionCount: before['collisionCount'] }),
      conditions,
    },
    deadlineIn: progress.deadlineIn,
  };
}

type Counts = Required<Pick<Status, 'replicas' | 'updatedReplicas' | 'readyReplicas' | 'availableReplicas'>>;

function progressOf(
  { metadata, spec }: Deployment,
  counts: Counts,
  before: Status,
  current: ReplicaSet | undefined,
  now: number,
): { readonly condition?: Condition; readonly moved?: boolean; readonly deadlineIn: number | undefined } {
  const old = conditionOf(before.conditions, 'Progressing') as Timed | undefined;
  const deadline = spec['progressDeadlineSeconds'];
  // The largest number stands for no deadline.
  if (typeof deadline !== 'number' || deadline === 2_147_483_647) return { deadlineIn: undefined };
  const name = current?.metadata.name ?? '';
  if (spec['paused'] === true) {
    const message = 'Deployment is paused';
    return {
      condition: { type: 'Progressing', status: 'Unknown', reason: 'DeploymentPaused', message },
      deadlineIn: undefined,
    };
  }
  const wanted = spec.replicas ?? 1;
  const complete =
    counts.updatedReplicas === wanted && counts.replicas === wanted && counts.availableReplicas >= wanted;
  if (complete) {
    const message = `ReplicaSet "${name}" has successfully progressed.`;
    return {
      condition: { type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable', message },
      deadlineIn: undefined,
    };
  }
  const moved =
    old === undefined ||
    old.reason === 'DeploymentPaused' ||
    before.observedGeneration !== metadata.generation ||
    counts.updatedReplicas > (before.updatedReplicas ?? 0) ||
    counts.replicas - counts.updatedReplicas < (before.replicas ?? 0) - (before.updatedReplicas ?? 0) ||
    counts.readyReplicas > (before.readyReplicas ?? 0) ||
    counts.availableReplicas > (before.availableReplicas ?? 0);
  const left = (moved ? now : Date.parse(old.lastUpdateTime ?? '')) + deadline * 1000 - now;
  // Pods that fail after a rollout has ended are no rollout.
  if (!moved && old.reason === 'NewReplicaSetAvailable') return { deadlineIn: undefined };
  if (!moved && (left <= 0 || old.reason === 'ProgressDeadlineExceeded')) {
    const message = `ReplicaSet "${name}" has timed out progressing.`;
    return {
      condition: { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message },
      deadlineIn: undefined,
    };
  }
  const message = `ReplicaSet "${name}" is progressing.`;
  const condition = { type: 'Progressing', status: 'True', reason: 'ReplicaSetUpdated', message };
  return { condition, moved, deadlineIn: Math.max(0, left) };
}

/** `touch`: its lastUpdateTime is now, though it says the same. */
function set(conditions: readonly Timed[], now: number, next: Condition, touch = false): readonly Timed[] {
  const old = conditions.find((c) => c.type === next.type);
  const time = timestamp(now);
  const same =
    old !== undefined && old.status === next.status && old.reason === next.reason && old.message === next.message;
  if (same && !touch) return conditions;
  const lastTransitionTime = old?.status === next.status ? (old.lastTransitionTime ?? time) : time;
  const entry = { ...next, lastUpdateTime: time, lastTransitionTime };
  return old === undefined ? [...conditions, entry] : conditions.map((c) => (c === old ? entry : c));
}
