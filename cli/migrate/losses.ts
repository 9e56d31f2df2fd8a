/** Objects of which something will not be as under Istio: what istiod would say in their status. Pure. */
import { keyOf } from '../../common/kube/informer.ts';
import { customKinds } from '../../common/kube/schema/table.ts';
import type { Kind, KubeObject } from '../../common/kube/types.ts';
import { ineffective } from '../../istiod/envoy/routes/status.ts';
import type { WantedCondition } from '../../istiod/model/condition.ts';
import { refOf } from '../../istiod/model/resource.ts';
import { RouteStatuses } from '../../istiod/status/route-statuses.ts';
import { meshOf } from '../why/mesh.ts';

export interface Loss {
  readonly kind: string;
  /** `namespace/name`. */
  readonly object: string;
  readonly reason: string;
}

const groups = new Set(customKinds.map(({ kind }) => kind.group));

export function lossesOf(objects: readonly KubeObject[], istioNamespace: string): readonly Loss[] {
  const mesh = meshOf(objects, istioNamespace, new Set());
  const custom = objects.filter((o) => groups.has(o.apiVersion.split('/')[0]!));
  const statuses = new RouteStatuses({
    mesh: mesh.envoy,
    objectsOf: (kind: Kind) => new Map(custom.filter((o) => o.kind === kind.kind).map((o) => [keyOf(o.metadata), o])),
    onFailure(object, error) {
      throw new Error(`${object} cannot be judged`, { cause: error });
    },
    onJudged: () => undefined,
  });
  statuses.changed(new Set());
  const invalid = mesh.leftOut.map((text): Loss => {
    const [, kind = '', object = '', reason = ''] = /^(\S+) ([^:\s]+): ([\s\S]*)$/.exec(text) ?? [];
    return { kind, object, reason: `not valid, and left out: ${reason}` };
  });
  const judged = custom.flatMap((object): readonly Loss[] => {
    const name = refOf(object);
    const of = statuses.of(name);
    const conditions = [
      ...mesh.conditionsOf(name),
      ...(of?.kind === 'object' ? of.conditions : (of?.parents ?? []).flatMap((p) => [...p.conditions])),
    ];
    const reasons = conditions.flatMap(([type, c]) => (c !== undefined && isLoss(type, c) ? [c.message] : []));
    return [...new Set(reasons)].map((reason) => ({ kind: object.kind, object: keyOf(object.metadata), reason }));
  });
  return [...invalid, ...judged];
}

function isLoss(type: string, { status, reason }: WantedCondition): boolean {
  return type === ineffective ? status === 'True' : status === 'False' || reason.startsWith('Unsupported');
}
