/** Whether a PodDisruptionBudget lets a pod go. Pure. */
import type { LabelSelector } from '../../../../common/kube/kinds/apps.ts';
import type { IntOrString } from '../../../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../../../common/kube/types.ts';

export interface PodDisruptionBudget extends KubeObject {
  readonly spec?: {
    readonly minAvailable?: IntOrString;
    readonly maxUnavailable?: IntOrString;
    readonly selector?: LabelSelector;
    readonly unhealthyPodEvictionPolicy?: 'IfHealthyBudget' | 'AlwaysAllow';
  };
  readonly status?: Readonly<Record<string, unknown>>;
}

export interface Budget {
  readonly expectedPods: number;
  readonly desiredHealthy: number;
  readonly currentHealthy: number;
  readonly disruptionsAllowed: number;
}

/** `expected`: pods that their owners want; `healthy`: those that are ready and not being deleted. */
export function budgetOf({ spec = {} }: PodDisruptionBudget, expected: number, healthy: number): Budget {
  const { minAvailable, maxUnavailable } = spec;
  const desired =
    maxUnavailable === undefined
      ? scaled(minAvailable ?? 1, expected)
      : Math.max(0, expected - scaled(maxUnavailable, expected));
  return {
    expectedPods: expected,
    desiredHealthy: desired,
    currentHealthy: healthy,
    // Without pods there is nothing to disrupt.
    disruptionsAllowed: expected === 0 ? 0 : Math.max(0, healthy - desired),
  };
}

/** Percentages are rounded up, as minAvailable and maxUnavailable of a budget both are. */
function scaled(value: IntOrString, of: number): number {
  if (typeof value === 'number') return value;
  const percent = /^(\d+)%$/.exec(value);
  return percent === null ? Number(value) : Math.ceil((Number(percent[1]) * of) / 100);
}
