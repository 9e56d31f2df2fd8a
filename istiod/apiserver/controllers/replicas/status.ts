/** The status of a ReplicaSet. Pure. */
import type { Condition, Pod } from '../../../../common/kube/kinds/core.ts';
import { timestamp } from '../../../../common/kube/timestamp.ts';
import { dropCondition, setCondition } from '../runtime/conditions.ts';
import { isActive, isAvailable, isReady } from '../runtime/pod-state.ts';
import type { ReplicaSet } from '../types.ts';

export interface ReplicaSetStatus {
  readonly replicas: number;
  readonly fullyLabeledReplicas: number;
  readonly readyReplicas: number;
  readonly availableReplicas: number;
  readonly observedGeneration: number;
  readonly conditions?: readonly Condition[];
}

/** `failure`: why pods were not made or deleted; `now` in ms. */
export function replicaSetStatus(
  { metadata, spec, status }: ReplicaSet,
  pods: readonly Pod[],
  failure: { readonly reason: 'FailedCreate' | 'FailedDelete'; readonly message: string } | undefined,
  now: number,
): ReplicaSetStatus {
  const active = pods.filter(isActive);
  const wanted = Object.entries(spec.template?.metadata?.labels ?? {});
  const old = status?.conditions ?? [];
  const time = timestamp(now);
  const conditions =
    failure === undefined
      ? dropCondition(old, 'ReplicaFailure')
      : setCondition(old, { type: 'ReplicaFailure', status: 'True', ...failure }, time);
  return {
    replicas: active.length,
    fullyLabeledReplicas: active.filter((p) => wanted.every(([k, v]) => p.metadata.labels?.[k] === v)).length,
    readyReplicas: active.filter(isReady).length,
    availableReplicas: active.filter((p) => isAvailable(p, spec.minReadySeconds ?? 0, now)).length,
    observedGeneration: metadata.generation ?? 0,
    ...(conditions.length === 0 ? {} : { conditions }),
  };
}
