/** ReplicaSets: so many pods of a template. */
import { describeError } from '../../../../common/core/errors.ts';
import { type Pod, podKind } from '../../../../common/kube/kinds/core.ts';
import { replicaSetKind } from '../../../../common/kube/schema/workloads.ts';
import { matchesSelector } from '../../selectors/objects.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { keyOf, keyOfObject, splitKey } from '../runtime/collection.ts';
import { forEachFew } from '../runtime/every-resource.ts';
import { availableIn, isActive } from '../runtime/pod-state.ts';
import { writeStatus } from '../runtime/status-writer.ts';
import { isTerminatingNamespace } from '../runtime/writer.ts';
import type { ReplicaSet } from '../types.ts';
import { carryOut } from './adopt.ts';
import { slowStart } from './batches.ts';
import { claims } from './claim.ts';
import { leastNeeded, podOf } from './pods.ts';
import { replicaSetStatus } from './status.ts';

/** Pods made or deleted in one run. */
const burst = 500;

export function replicaSetController(cluster: Cluster): void {
  const { writer, events, queue } = cluster.desk('replicaset-controller');
  const setsOf = cluster.replicaSets.index((rs) => [rs.metadata.namespace ?? '']);

  const work = queue(
    async (key) => {
      const { namespace, name } = splitKey(key);
      const set = cluster.replicaSets.get(namespace, name);
      if (set === undefined) return;
      const claimed = claims(set, cluster.podsOfOwner(set.metadata.uid), cluster.orphanPods(namespace));
      const pods = await carryOut(writer, podKind, set, claimed);
      const error = set.metadata.deletionTimestamp === undefined ? await scale(set, pods) : undefined;
      const now = cluster.clock.wall();
      // As they are after the changes.
      const after = cluster
        .podsOfOwner(set.metadata.uid)
        .filter((p) => matchesSelector(set.spec.selector, p.metadata.labels));
      await writeStatus(writer, replicaSetKind, set, replicaSetStatus(set, after, failureOf(error), now));
      const waits = after.flatMap((p) => availableIn(p, set.spec.minReadySeconds ?? 0, now) || []);
      if (waits.length > 0) work.addAfter(key, Math.min(...waits));
      if (error !== undefined && !isTerminatingNamespace(error)) throw error;
    },
    { rest: 1 },
  );

  /** What kept it from its number. */
  async function scale(set: ReplicaSet, pods: readonly Pod[]): Promise<unknown> {
    const active = pods.filter(isActive);
    const missing = (set.spec.replicas ?? 1) - active.length;
    try {
      if (missing > 0) await slowStart(Math.min(missing, burst), () => create(set));
      else {
        await forEachFew(leastNeeded(active, Math.min(-missing, burst)), async ({ metadata }) => {
          await writer.delete(podKind, { namespace: metadata.namespace ?? '', name: metadata.name, uid: metadata.uid });
          events.record(set, { type: 'Normal', reason: 'SuccessfulDelete', message: `Deleted pod: ${metadata.name}` });
        });
      }
    } catch (e) {
      return e;
    }
    if (Math.abs(missing) > burst) work.add(keyOfObject(set));
    return undefined;
  }

  async function create(set: ReplicaSet): Promise<void> {
    try {
      const pod = await writer.create(podKind, podOf(set, set.spec.template ?? { spec: { containers: [] } }));
      events.record(set, { type: 'Normal', reason: 'SuccessfulCreate', message: `Created pod: ${pod.metadata.name}` });
    } catch (e) {
      if (!isTerminatingNamespace(e)) {
        events.record(set, { type: 'Warning', reason: 'FailedCreate', message: `Error creating: ${describeError(e)}` });
      }
      throw e;
    }
  }

  cluster.replicaSets.onChange((current) => {
    if (current !== undefined) work.add(keyOfObject(current));
  });
  cluster.pods.onChange((current, previous) => {
    for (const pod of [current, previous]) {
      if (pod === undefined) continue;
      const { namespace = '' } = pod.metadata;
      const owner = pod.metadata.ownerReferences?.find((o) => o.controller);
      if (owner?.kind === 'ReplicaSet') work.add(keyOf(namespace, owner.name));
      if (owner !== undefined || pod !== current) continue;
      for (const set of setsOf(namespace)) {
        if (matchesSelector(set.spec.selector, pod.metadata.labels)) work.add(keyOfObject(set));
      }
    }
  });
}

function failureOf(error: unknown) {
  return error === undefined ? undefined : ({ reason: 'FailedCreate', message: describeError(error) } as const);
}
