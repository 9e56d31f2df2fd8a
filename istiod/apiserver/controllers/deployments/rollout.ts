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

/** While it is paused nothing rolls, but the number of pods is kept: by the only one that has pods, or the newest of them. */
export function planPaused(replicas: number, surge: number, sets: readonly Size[]) {
  const active = sets.filter((s) => s.wanted > 0);
  const newest = active.at(-1) ?? sets.at(-1);
  if (newest === undefined) return new Map<string, number>();
  const others = active.filter((s) => s !== newest).reduce((n, s) => n + s.wanted, 0);
  // In the middle of a rollout there may be more than in the end.
  const inRange = others > 0 && newest.wanted + others >= replicas && newest.wanted + others <= replicas + surge;
  const wanted = Math.max(0, replicas - others);
  return inRange || wanted === newest.wanted ? new Map<string, number>() : new Map([[newest.name, wanted]]);
}
