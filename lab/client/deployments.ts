/** Which pods a Deployment has. Pure. */
import type { Deployment } from '../../common/kube/kinds/apps.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import { isEnding } from '../pods/conditions.ts';

/** Of any of its templates, without those that are ending, sorted by name. Its ReplicaSets bear its name and the template's hash. */
export function podsOf(d: Deployment, pods: Iterable<Pod>): Pod[] {
  return [...pods]
    .filter((pod) => {
      if (pod.metadata.namespace !== d.metadata.namespace || isEnding(pod)) return false;
      const owner = pod.metadata.ownerReferences?.find((o) => o.controller && o.kind === 'ReplicaSet');
      return owner !== undefined && owner.name === `${d.metadata.name}-${pod.metadata.labels?.['pod-template-hash']}`;
    })
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}
