/** The scheduler: a node for each pod that has none. */
import { isSameJson } from '../../../../common/core/same-json.ts';
import { type Condition, type Node, type Pod, podKind } from '../../../../common/kube/kinds/core.ts';
import { timestamp } from '../../../../common/kube/timestamp.ts';
import type { ApiObject } from '../../objects.ts';
import { bind } from '../pods/binding.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { keyOfObject, splitKey } from '../runtime/collection.ts';
import { setCondition } from '../runtime/conditions.ts';
import { isFinished } from '../runtime/pod-state.ts';
import { isCode, unlessGone } from '../runtime/writer.ts';
import { NodeLoad } from './load.ts';
import { place } from './place.ts';

export const schedulerName = 'default-scheduler';
/** Room that comes free is looked at after so many ms, for all pods that wait together. */
const settle = 200;
const retry = '';
/** Ms that a pod may wait before it is told why. */
const patience = 1_000;

export function scheduler(cluster: Cluster): void {
  const { writer, events, queue } = cluster.desk(schedulerName);
  const load = new NodeLoad();
  /** Pods that fit nowhere, and why, by key. */
  const waiting = new Map<string, string>();

  const work = queue(
    async (key) => {
      if (key === retry) {
        for (const k of waiting.keys()) work.add(k);
        return;
      }
      const { namespace, name } = splitKey(key);
      const pod = cluster.pods.get(namespace, name);
      if (pod === undefined || !isMine(pod)) {
        waiting.delete(key);
        return;
      }
      const placement = place(pod, cluster.nodes.values(), load);
      const { uid } = pod.metadata;
      const target = { namespace, name, uid };
      if (placement.kind === 'none') {
        if (waiting.get(key) === placement.message) return;
        waiting.set(key, placement.message);
        report.addAfter(key, patience);
        return;
      }
      waiting.delete(key);
      // Those that are decided about before this is written see it.
      load.see(uid, pod, placement.name);
      try {
        await writer.update(
          podKind,
          target,
          (object) => {
            bind(object, placement.name, cluster.clock.wall());
            return 'changed';
          },
          'binding',
        );
      } catch (e) {
        load.see(uid, cluster.pods.get(namespace, name));
        // Gone, or somebody bound it: both come as changes.
        if (isCode(e, 404) || isCode(e, 409)) return;
        throw e;
      }
      const message = `Successfully assigned ${namespace}/${name} to ${placement.name}`;
      events.record(pod, { type: 'Normal', reason: 'Scheduled', message });
    },
    { parallel: 64 },
  );

  // One at a time: ten thousand that wait for their first node must not keep others from their writes.
  const report = queue(
    async (key) => {
      const message = waiting.get(key);
      const { namespace, name } = splitKey(key);
      const pod = cluster.pods.get(namespace, name);
      if (message === undefined || pod === undefined) return;
      const mark = (o: ApiObject) => markUnschedulable(o, message, cluster.clock.wall());
      await unlessGone(() => writer.update(podKind, { namespace, name, uid: pod.metadata.uid }, mark, 'status'));
      events.record(pod, { type: 'Warning', reason: 'FailedScheduling', message });
    },
    { parallel: 1 },
  );

  cluster.pods.onChange((current, previous) => {
    const pod = (current ?? previous)!;
    const key = keyOfObject(pod);
    if (current?.spec.nodeName || current === undefined || isFinished(current)) {
      load.see(pod.metadata.uid, current);
      if (waiting.size > 0 && (current === undefined || isFinished(current))) work.addAfter(retry, settle);
    }
    if (current === undefined) waiting.delete(key);
    else if (isMine(current) && (previous === undefined || !isSameJson(previous.spec, current.spec))) work.add(key);
  });
  cluster.nodes.onChange((current, previous) => {
    if (waiting.size === 0 || current === undefined) return;
    if (previous === undefined || !isSameJson(partsThatMatter(current), partsThatMatter(previous))) {
      work.addAfter(retry, settle);
    }
  });
}

function isMine({ metadata, spec }: Pod): boolean {
  if (spec.nodeName || metadata.deletionTimestamp !== undefined) return false;
  if (((spec['schedulingGates'] as readonly unknown[] | undefined) ?? []).length > 0) return false;
  return (spec['schedulerName'] ?? schedulerName) === schedulerName;
}

function partsThatMatter({ metadata, spec, status }: Node): unknown {
  const { taints, unschedulable } = (spec ?? {}) as { readonly taints?: unknown; readonly unschedulable?: boolean };
  return [
    metadata.labels,
    taints,
    unschedulable,
    (status as { readonly allocatable?: unknown } | undefined)?.allocatable,
  ];
}

function markUnschedulable(pod: ApiObject, message: string, now: number): 'changed' | 'unchanged' {
  const status = (pod['status'] ?? {}) as { readonly conditions?: readonly Condition[] };
  const old = status.conditions ?? [];
  const next = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message };
  const conditions = setCondition(old, next, timestamp(now));
  if (conditions === old) return 'unchanged';
  pod['status'] = { ...status, conditions };
  return 'changed';
}
