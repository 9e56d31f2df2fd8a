/** What a pod's object says of its state. Pure. */
import type { Pod } from '../../common/kube/kinds/core.ts';

export function podReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;
}

export function isEnding(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp !== undefined;
}

/** Pods that have an address and have not ended. */
export function isServing(pod: Pod): boolean {
  return pod.status?.podIP !== undefined && pod.status.phase !== 'Succeeded' && pod.status.phase !== 'Failed';
}
