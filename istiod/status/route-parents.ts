/** The list `status.parents` of routes of the Gateway API: our entries among those of other controllers. Pure. */
import type { Condition } from '../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { type ParentRef, type ParentStatus, routeController } from '../envoy/routes/status.ts';
import { conditionsFor, type WantedCondition } from '../model/condition.ts';

interface Entry {
  readonly parentRef: ParentRef;
  readonly controllerName: string;
  readonly conditions: readonly Condition[];
}

/**
 * The list as it should be; undefined when it is so already. `fault`: why this version of the object is not served; its parents do not
 * take it then. `now`: RFC 3339.
 */
export function parentsFor(
  object: KubeObject,
  wanted: readonly ParentStatus[],
  fault: WantedCondition | undefined,
  now: string,
): readonly Entry[] | undefined {
  const status = object['status'] as { readonly parents?: readonly Entry[] } | undefined;
  const present = status?.parents ?? [];
  const ours = present.filter((p) => p.controllerName === routeController);
  let same = ours.length === wanted.length;
  const made = wanted.map(({ parentRef, conditions }): Entry => {
    const before = ours.find((p) => isSame(p.parentRef, parentRef));
    const asked = fault === undefined ? conditions : new Map([...conditions, ['Accepted', fault] as const]);
    const holder = { ...object, status: { conditions: before?.conditions ?? [] } };
    const next = conditionsFor(holder, asked, now);
    if (next !== undefined || before === undefined) same = false;
    return { parentRef, controllerName: routeController, conditions: next ?? before?.conditions ?? [] };
  });
  return same ? undefined : [...present.filter((p) => p.controllerName !== routeController), ...made];
}

/** The list `status.ancestors` of a policy, which says the same of what it is for. */
export function ancestorsFor(
  object: KubeObject,
  wanted: readonly ParentStatus[],
  fault: WantedCondition | undefined,
  now: string,
): readonly object[] | undefined {
  const { ancestors = [] } = (object['status'] ?? {}) as { readonly ancestors?: readonly Ancestor[] };
  const parents = ancestors.map(({ ancestorRef: parentRef, ...rest }) => ({ parentRef, ...rest }));
  const next = parentsFor({ ...object, status: { parents } }, wanted, fault, now);
  return next?.map(({ parentRef: ancestorRef, ...rest }): Ancestor => ({ ancestorRef, ...rest }));
}

interface Ancestor extends Omit<Entry, 'parentRef'> {
  readonly ancestorRef: ParentRef;
}

/**
 * The list with that condition in each entry of ours; `unchanged` when it is so already, `unready` while not every parent in the mesh has
 * an entry.
 */
export function parentsWith(
  object: KubeObject,
  type: string,
  condition: WantedCondition | undefined,
  now: string,
): readonly object[] | 'unchanged' | 'unready' {
  const { parents = [] } = (object['status'] ?? {}) as { readonly parents?: readonly Entry[] };
  const { parentRefs = [] } = object['spec'] as { readonly parentRefs?: readonly ParentRef[] };
  const ours = parents.filter((p) => p.controllerName === routeController);
  const inMesh = parentRefs.filter((ref) => ref.kind === 'Service' || ref.kind === 'ServiceEntry');
  if (!inMesh.every((ref) => ours.some((p) => isSame(p.parentRef, ref)))) return 'unready';
  let same = true;
  const next = parents.map((entry) => {
    // What has no part in the mesh is not told to any proxy.
    if (!ours.includes(entry) || !inMesh.some((ref) => isSame(entry.parentRef, ref))) return entry;
    const holder = { ...object, status: { conditions: entry.conditions } };
    const conditions = conditionsFor(holder, new Map([[type, condition]]), now);
    if (conditions === undefined) return entry;
    same = false;
    return { ...entry, conditions };
  });
  return same ? 'unchanged' : next;
}

const fields = ['group', 'kind', 'namespace', 'name', 'sectionName', 'port'] as const;

function isSame(a: ParentRef, b: ParentRef): boolean {
  return fields.every((f) => a[f] === b[f]);
}
