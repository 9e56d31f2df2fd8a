/** Deletes pods that do not tolerate, or not any longer, a taint of the effect NoExecute on their node. */
import { type Pod, podKind } from '../../../../common/kube/kinds/core.ts';
import { timestamp } from '../../../../common/kube/timestamp.ts';
import type { AdmissionPlugin } from '../../admission/admission.ts';
import type { ApiObject } from '../../objects.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { keyOfObject, splitKey } from '../runtime/collection.ts';
import { setCondition } from '../runtime/conditions.ts';
import { isDeleting, isFinished } from '../runtime/pod-state.ts';
import { unlessGone } from '../runtime/writer.ts';
import { taintsOf } from '../scheduler/fit.ts';
import { goesAt, withDefaults } from './tolerations.ts';

export function taintEviction(cluster: Cluster): void {
  const { writer, events, queue } = cluster.desk('taint-eviction-controller');
  const { clock } = cluster;
  /** Ms, by the name of a node: since when it has had taints that drive pods out. */
  const since = new Map<string, number>();

  const work = queue(async (key) => {
    const { namespace, name } = splitKey(key);
    const pod = cluster.pods.get(namespace, name);
    const seen = since.get(pod?.spec.nodeName ?? '');
    if (pod === undefined || seen === undefined || isDeleting(pod) || isFinished(pod)) return;
    const node = cluster.nodes.get('', pod.spec.nodeName!);
    const at = node === undefined ? undefined : goesAt(pod, taintsOf(node), seen);
    if (at === undefined) return;
    const left = at - clock.wall();
    if (left > 0) return void work.addAfter(key, left);
    await evict(pod);
  });

  async function evict(pod: Pod): Promise<void> {
    const { namespace = '', name, uid } = pod.metadata;
    const target = { namespace, name, uid };
    const condition = {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'DeletionByTaintManager',
      message: 'Taint manager: deleting due to NoExecute taint',
    } as const;
    const mark = (object: ApiObject) => {
      const status = (object['status'] ?? {}) as NonNullable<Pod['status']>;
      const conditions = setCondition(status.conditions ?? [], condition, timestamp(clock.wall()));
      object['status'] = { ...status, conditions };
      return 'changed' as const;
    };
    await unlessGone(() => writer.update(podKind, target, mark, 'status'));
    const message = `Marking for deletion Pod ${namespace}/${name}`;
    events.record(pod, { type: 'Normal', reason: 'TaintManagerEviction', message });
    await writer.delete(podKind, target);
  }

  cluster.nodes.onChange((current, previous) => {
    const { name } = (current ?? previous)!.metadata;
    const drives = current !== undefined && taintsOf(current).some((t) => t.effect === 'NoExecute');
    if (!drives) since.delete(name);
    else {
      if (!since.has(name)) since.set(name, clock.wall());
      for (const pod of cluster.podsOfNode(name)) work.add(keyOfObject(pod));
    }
  });
  cluster.pods.onChange((current) => {
    if (current?.spec.nodeName !== undefined && since.has(current.spec.nodeName)) work.add(keyOfObject(current));
  });
}

/** Gives new pods the tolerations that Kubernetes gives them. */
export const defaultTolerations: AdmissionPlugin = {
  name: 'DefaultTolerationSeconds',
  mutate({ operation, resource, subresource, object }) {
    if (operation !== 'CREATE' || resource.group !== '' || resource.resource !== 'pods' || subresource !== '') return;
    const spec = object!['spec'] as Pod['spec'] & { tolerations?: unknown };
    const tolerations = withDefaults(spec);
    if (tolerations.length > 0) spec.tolerations = tolerations;
  },
};
