/** How a pod is treated when a node runs short: kept in its status. Pure. */
import type { ContainerPlan } from './container-plan.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

/** Of all containers, those that begin the pod included. */
export function qosClass(containers: readonly Pick<ContainerPlan, 'resources'>[]): QosClass {
  const kinds = ['cpu', 'memory'] as const;
  const all = containers.flatMap(({ resources: { limits, requests } }) =>
    kinds.map((kind) => ({ limit: limits[kind] ?? 0, request: requests[kind] ?? 0 })),
  );
  if (all.every((a) => a.limit === 0 && a.request === 0)) return 'BestEffort';
  return all.every((a) => a.limit > 0 && a.limit === a.request) ? 'Guaranteed' : 'Burstable';
}
