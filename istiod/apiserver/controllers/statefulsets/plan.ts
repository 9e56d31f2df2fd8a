/** The next step of a StatefulSet. Pure. */
import type { Pod } from '../../../../common/kube/kinds/core.ts';
import { revisionLabel } from '../revisions/revisions.ts';
import { isAvailable, isDeleting, isFinished } from '../runtime/pod-state.ts';

export interface StatefulView {
  readonly name: string;
  readonly replicas: number;
  /** Of the first pod. */
  readonly start: number;
  readonly parallel: boolean;
  readonly pods: readonly Pod[];
  /** Hash of the template that pods get. */
  readonly update: string;
  /** Pods below it keep the template that they had; undefined: OnDelete, all do. */
  readonly partition: number | undefined;
  readonly minReadySeconds: number;
  /** Ms. */
  readonly now: number;
}

export interface StatefulPlan {
  readonly create: readonly { readonly ordinal: number; readonly revision: 'current' | 'update' }[];
  readonly remove: readonly Pod[];
}

/** undefined: not a pod of this set. */
export function ordinalOf(set: string, pod: string): number | undefined {
  const number = pod.startsWith(`${set}-`) ? pod.slice(set.length + 1) : '';
  return /^(0|[1-9]\d*)$/.test(number) ? Number(number) : undefined;
}

export function planStateful(view: StatefulView): StatefulPlan {
  const { name, replicas, start, parallel, pods, update, partition, minReadySeconds, now } = view;
  const byOrdinal = new Map(pods.map((p) => [ordinalOf(name, p.metadata.name), p]));
  const create: StatefulPlan['create'][number][] = [];
  const remove: Pod[] = [];
  const plan = { create, remove };
  let settled = true;
  for (let ordinal = start; ordinal < start + replicas; ordinal++) {
    const pod = byOrdinal.get(ordinal);
    byOrdinal.delete(ordinal);
    if (pod === undefined)
      create.push({ ordinal, revision: partition === undefined || ordinal >= partition ? 'update' : 'current' });
    else if (isFinished(pod) && !isDeleting(pod)) remove.push(pod);
    else if (isAvailable(pod, minReadySeconds, now) && !isDeleting(pod)) continue;
    // One after the other: the next waits until this one serves.
    settled = false;
    if (!parallel) return plan;
  }
  const condemned = [...byOrdinal].flatMap(([ordinal, pod]) => (ordinal === undefined ? [] : [{ ordinal, pod }]));
  condemned.sort((a, b) => b.ordinal - a.ordinal);
  for (const { pod } of condemned) {
    settled = false;
    if (!isDeleting(pod)) remove.push(pod);
    if (!parallel) return plan;
  }
  if (partition === undefined) return plan;
  const members = [...pods].filter((p) => (ordinalOf(name, p.metadata.name) ?? -1) >= partition);
  members.sort((a, b) => ordinalOf(name, b.metadata.name)! - ordinalOf(name, a.metadata.name)!);
  for (const pod of members) {
    if (remove.includes(pod)) return plan;
    if (pod.metadata.labels?.[revisionLabel] !== update) {
      if (!isDeleting(pod) && (settled || !isAvailable(pod, minReadySeconds, now))) remove.push(pod);
      return plan;
    }
    if (!isAvailable(pod, minReadySeconds, now) || isDeleting(pod)) return plan;
  }
  return plan;
}
