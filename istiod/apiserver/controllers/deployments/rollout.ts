/** How many pods each ReplicaSet of a Deployment is to have. Pure. */
import type { Deployment } from '../../../../common/kube/kinds/apps.ts';
import type { IntOrString } from '../../../../common/kube/kinds/core.ts';

/** A ReplicaSet as the plan sees it. */
export interface Size {
  readonly name: string;
  /** spec.replicas. */
  readonly wanted: number;
  readonly available: number;
}

export interface Bounds {
  readonly surge: number;
  readonly unavailable: number;
}

/** Both zero would never move: then one may be away. */
export function boundsOf(spec: Deployment['spec']): Bounds {
  const replicas = spec.replicas ?? 1;
  if (spec.strategy?.type === 'Recreate') return { surge: 0, unavailable: replicas };
  const { maxSurge = '25%', maxUnavailable = '25%' } = spec.strategy?.rollingUpdate ?? {};
  const surge = share(maxSurge, replicas, Math.ceil);
  const unavailable = share(maxUnavailable, replicas, Math.floor);
  if (surge === 0 && unavailable === 0) return { surge, unavailable: 1 };
  return { surge, unavailable: Math.min(unavailable, replicas) };
}

/** A number, or a percentage of `of`. */
export function share(value: IntOrString, of: number, round: (n: number) => number): number {
  if (typeof value === 'number') return value;
  const percent = /^(\d+)%$/.exec(value);
  return percent === null ? Number(value) : round((Number(percent[1]) * of) / 100);
}

/** New sizes by name, of those that change. `old` has the oldest first. */
export function planRolling(replicas: number, { surge, unavailable }: Bounds, current: Size, old: readonly Size[]) {
  const sizes = new Map<string, number>();
  const sizeOf = (s: Size) => sizes.get(s.name) ?? s.wanted;
  const all = [...old, current];
  const total = () => all.reduce((n, s) => n + sizeOf(s), 0);
  if (current.wanted > replicas) sizes.set(current.name, replicas);
  else {
    const more = Math.min(replicas - current.wanted, replicas + surge - total());
    if (more > 0) sizes.set(current.name, current.wanted + more);
  }
  const least = replicas - unavailable;
  // What the new one does not serve yet, old ones must.
  let spare = total() - least - Math.max(0, sizeOf(current) - current.available);
  for (const s of old) {
    const broken = Math.min(Math.max(0, s.wanted - s.available), spare);
    if (broken <= 0) continue;
    sizes.set(s.name, s.wanted - broken);
    spare -= broken;
  }
  let served = all.reduce((n, s) => n + Math.min(s.available, sizeOf(s)), 0) - least;
  for (const s of old) {
    const fewer = Math.min(sizeOf(s), served, spare);
    if (fewer <= 0) continue;
    sizes.set(s.name, sizeOf(s) - fewer);
    served -= fewer;
    spare -= fewer;
  }
  return sizes;
}

/** `oldPods`: pods of old ReplicaSets that have not ended. */
export function planRecreate(replicas: number, current: Size, old: readonly Size[], oldPods: number) {
  const sizes = new Map<string, number>();
  for (const s of old) if (s.wanted > 0) sizes.set(s.name, 0);
  if (sizes.size === 0 && oldPods === 0 && current.wanted !== replicas) sizes.set(current.name, replicas);
  return sizes;
}

/** What its annotations say of the last time that it was sized. */
export interface ScaledSet extends Size {
  /** spec.replicas of the Deployment then. */
  readonly desiredBefore: number | undefined;
  /** Pods that all its ReplicaSets together might have then; undefined or 0: not known. */
  readonly allowedBefore: number | undefined;
}

/** Whether the Deployment's number changed since its ReplicaSets got theirs. */
export function isScaled(replicas: number, sets: readonly ScaledSet[]): boolean {
  return sets.some((s) => s.wanted > 0 && s.desiredBefore !== undefined && s.desiredBefore !== replicas);
}

/**
 * Another number of pods in the middle of a rollout: each ReplicaSet gets its share of what is more or fewer, so that what runs
 * badly does not grow alone. Nothing rolls. All that were looked at, by name, also those that keep their size. `sets` has the oldest first.
 */
export function planScaled(
  replicas: number,
  surge: number,
  current: ScaledSet | undefined,
  sets: readonly ScaledSet[],
): Map<string, number> {
  const active = sets.filter((s) => s.wanted > 0);
  const [only = current ?? sets.at(-1)] = active;
  if (active.length <= 1) return new Map(only === undefined ? [] : [[only.name, replicas]]);
  if (current?.desiredBefore === replicas && current.wanted === replicas && current.available === replicas)
    return new Map(active.filter((s) => s !== current).map((s) => [s.name, 0]));
  const allowed = replicas > 0 ? replicas + surge : 0;
  const change = allowed - active.reduce((n, s) => n + s.wanted, 0);
  // The largest first; of the same size the newest when there are more, the oldest when there are fewer.
  const bySize = (change > 0 ? active.toReversed() : active).toSorted((a, b) => b.wanted - a.wanted);
  const sizes = new Map<string, number>();
  let left = change;
  for (const set of bySize) {
    const part = shareOf(set, replicas, allowed);
    const given = change > 0 ? Math.min(part, left) : Math.max(part, left);
    sizes.set(set.name, set.wanted + given);
    left -= given;
  }
  // What rounding left goes to the largest.
  const [largest] = bySize as [ScaledSet];
  sizes.set(largest.name, Math.max(0, sizes.get(largest.name)! + left));
  return sizes;
}

function shareOf({ wanted, allowedBefore = 0 }: ScaledSet, replicas: number, allowed: number): number {
  if (replicas === 0) return -wanted;
  return allowedBefore === 0 ? 0 : Math.round((wanted * allowed) / allowedBefore) - wanted;
}
