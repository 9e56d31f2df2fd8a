/** How long pods stay on a node with taints of the effect NoExecute; what they tolerate unless they say otherwise. Pure. */
import type { Pod, PodSpec } from '../../../../common/kube/kinds/core.ts';
import { type Taint, type Toleration, tolerates, tolerationsOf } from '../scheduler/fit.ts';
import { notReady, unreachable } from './lifecycle.ts';

type Timed = Taint & { readonly timeAdded?: string };

/** Seconds. */
const stay = 300;

/** When the pod has to go, ms: undefined where it may stay. `seen`: when the taint was first seen, where it has no time. */
export function goesAt(pod: Pod, taints: readonly Taint[], seen: number): number | undefined {
  const tolerations = tolerationsOf(pod.spec);
  const times = taints.flatMap((taint: Timed) => {
    if (taint.effect !== 'NoExecute') return [];
    const matching = tolerations.filter((t) => tolerates([t], taint));
    const added = Date.parse(taint.timeAdded ?? '') || seen;
    if (matching.length === 0) return [0];
    const limits = matching.flatMap((t) => (t.tolerationSeconds === undefined ? [] : [t.tolerationSeconds]));
    return limits.length === 0 ? [] : [added + Math.max(0, Math.min(...limits)) * 1000];
  });
  return times.length === 0 ? undefined : Math.min(...times);
}

/** The tolerations of a new pod, with those for nodes that are not ready or not heard of for five minutes. */
export function withDefaults(spec: PodSpec): readonly Toleration[] {
  const own = tolerationsOf(spec);
  const added = [notReady, unreachable]
    .filter(
      (key) =>
        !own.some((t) => [key, '', undefined].includes(t.key) && ['NoExecute', '', undefined].includes(t.effect)),
    )
    .map((key): Toleration => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: stay }));
  return added.length === 0 ? own : [...own, ...added];
}
