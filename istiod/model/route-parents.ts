/** What routes of the Gateway API are attached to, and in which order objects count. */
import { namespaceOf } from '../../common/kube/names.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { RouteParent } from '../envoy/inputs.ts';

interface WithParents extends KubeObject {
  readonly spec: {
    readonly parentRefs?: readonly {
      readonly group?: string;
      readonly kind?: string;
      readonly namespace?: string;
      readonly name: string;
    }[];
  };
}

export function parentsOf(route: WithParents): readonly RouteParent[] {
  const parents = (route.spec.parentRefs ?? []).flatMap((p): readonly RouteParent[] => {
    const kind = p.kind ?? 'Gateway';
    if (kind !== 'Service' && kind !== 'ServiceEntry' && kind !== 'Gateway') return [];
    return [`${kind}/${p.namespace ?? namespaceOf(route)}/${p.name}`];
  });
  return [...new Set(parents)];
}

/** Oldest first, then by name. */
export function byAge(a: KubeObject, b: KubeObject): number {
  const order = ({ metadata: m }: KubeObject) => `${m.creationTimestamp ?? ''} ${m.namespace}/${m.name}`;
  return order(a) < order(b) ? -1 : 1;
}
