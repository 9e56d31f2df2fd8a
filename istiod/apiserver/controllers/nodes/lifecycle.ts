/** Whether a node is heard of, and what that means for it. Pure. */
import type { Condition, Node } from '../../../../common/kube/kinds/core.ts';
import { conditionOf, setCondition } from '../runtime/conditions.ts';
import type { Taint } from '../scheduler/fit.ts';

/** A node that was not heard of for so long, in ms, is unknown. */
export const grace = 40_000;
export const notReady = 'node.kubernetes.io/not-ready';
export const unreachable = 'node.kubernetes.io/unreachable';

type Timed = Taint & { readonly timeAdded?: string };

/** The conditions of a node that is silent; `now` is RFC 3339. */
export function silentConditions(node: Node, now: string): readonly Condition[] {
  const conditions = node.status?.conditions ?? [];
  const never = conditionOf(conditions, 'Ready') === undefined;
  return setCondition(
    conditions,
    {
      type: 'Ready',
      status: 'Unknown',
      reason: never ? 'NodeStatusNeverUpdated' : 'NodeStatusUnknown',
      message: never ? 'Kubelet never posted node status.' : 'Kubelet stopped posting node status.',
    },
    now,
  );
}

/** The node's taints as its readiness and `unschedulable` want them; the same list where they are so. */
export function taintsFor(node: Node, now: string): readonly Timed[] {
  const old = (node.spec as { readonly taints?: readonly Timed[] } | undefined)?.taints ?? [];
  const ready = conditionOf(node.status?.conditions, 'Ready')?.status;
  const wanted = new Map<string, Taint>();
  const want = (taint: Taint) => wanted.set(`${taint.key}/${taint.effect}`, taint);
  // Before its first word nobody knows, and it is waited for.
  const key = ready === 'False' ? notReady : ready === 'Unknown' ? unreachable : undefined;
  if (key !== undefined) {
    want({ key, effect: 'NoSchedule' });
    want({ key, effect: 'NoExecute' });
  }
  if (node.spec?.unschedulable === true) want({ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' });
  const mine = [notReady, unreachable, 'node.kubernetes.io/unschedulable'];
  const kept = old.filter((t) => !mine.includes(t.key) || wanted.delete(`${t.key}/${t.effect}`));
  if (kept.length === old.length && wanted.size === 0) return old;
  return [...kept, ...[...wanted.values()].map((t) => (t.effect === 'NoExecute' ? { ...t, timeAdded: now } : t))];
}
