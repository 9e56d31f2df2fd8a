/** Lists of conditions in a status. Pure. */
import type { Condition } from '../../../../common/kube/kinds/core.ts';

/** `now` (RFC 3339) becomes its lastTransitionTime only where its status changed. The same list where nothing changed. */
export function setCondition(conditions: readonly Condition[], next: Condition, now: string): readonly Condition[] {
  const old = conditions.find((c) => c.type === next.type);
  if (old === undefined) return [...conditions, { ...next, lastTransitionTime: now }];
  if (old.status === next.status && old.reason === next.reason && old.message === next.message) return conditions;
  const lastTransitionTime = old.status === next.status ? (old.lastTransitionTime ?? now) : now;
  return conditions.map((c) => (c === old ? { ...old, ...next, lastTransitionTime } : c));
}

export function dropCondition(conditions: readonly Condition[], type: string): readonly Condition[] {
  return conditions.filter((c) => c.type !== type);
}

export function conditionOf(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((c) => c.type === type);
}

export function isTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return conditionOf(conditions, type)?.status === 'True';
}
