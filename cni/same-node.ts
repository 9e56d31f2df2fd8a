/** Which pods take part in the same-node fast path. Pure. */
import type { Namespace, Pod } from '../common/kube/kinds/core.ts';

export const sameNodeLabel = 'aquifer.dev/same-node';

/** By the pod's label or else its namespace's; anything but `direct` is no. */
export function takesSameNodePath(pod: Pod, namespace: Namespace | undefined): boolean {
  const own = pod.metadata.labels?.[sameNodeLabel];
  return (own ?? namespace?.metadata.labels?.[sameNodeLabel]) === 'direct';
}
