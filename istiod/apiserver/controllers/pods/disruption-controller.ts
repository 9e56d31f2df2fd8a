/** The status of PodDisruptionBudgets. */
import { isDeepStrictEqual } from 'node:util';
import type { Condition, Pod } from '../../../../common/kube/kinds/core.ts';
import { timestamp } from '../../../../common/kube/timestamp.ts';
import { matchesSelector } from '../../selectors/objects.ts';
import { budgetKind, type Cluster } from '../runtime/cluster.ts';
import { keyOfObject, splitKey } from '../runtime/collection.ts';
import { setCondition } from '../runtime/conditions.ts';
import { isDeleting, isFinished, isReady } from '../runtime/pod-state.ts';
import { unlessGone } from '../runtime/writer.ts';
import { type Budget, budgetOf, type PodDisruptionBudget } from './disruption.ts';

export function disruptionController(cluster: Cluster): void {
  const { writer, queue } = cluster.desk('disruption-controller');
  const work = queue(
    async (key) => {
      const { namespace, name } = splitKey(key);
      const budget = cluster.budgets.get(namespace, name);
      if (budget === undefined) return;
      const now = budgetNow(cluster, budget);
      const allowed: Condition =
        now.disruptionsAllowed > 0
          ? { type: 'DisruptionAllowed', status: 'True', reason: 'SufficientPods', message: '' }
          : { type: 'DisruptionAllowed', status: 'False', reason: 'InsufficientPods', message: '' };
      await unlessGone(() =>
        writer.update(
          budgetKind,
          { namespace, name, uid: budget.metadata.uid },
          (object) => {
            const old = (object['status'] ?? {}) as { conditions?: readonly Condition[] };
            const conditions = setCondition(old.conditions ?? [], allowed, timestamp(cluster.clock.wall()));
            const status = { ...old, ...now, observedGeneration: object.metadata.generation ?? 0, conditions };
            if (isDeepStrictEqual(status, old)) return 'unchanged';
            object['status'] = status;
            return 'changed';
          },
          'status',
        ),
      );
    },
    { rest: 1 },
  );
  cluster.budgets.onChange((current) => {
    if (current !== undefined) work.add(keyOfObject(current));
  });
  cluster.pods.onChange((current, previous) => {
    if (cluster.budgets.size === 0) return;
    const pods = [current, previous].filter((p) => p !== undefined);
    for (const budget of cluster.budgetsOf(pods[0]!.metadata.namespace ?? '')) {
      if (pods.some((p) => matchesSelector(budget.spec?.selector, p.metadata.labels))) work.add(keyOfObject(budget));
    }
  });
}

/** As the pods are at this moment. */
export function budgetNow(cluster: Cluster, budget: PodDisruptionBudget): Budget {
  const all = cluster
    .podsOfNamespace(budget.metadata.namespace ?? '')
    .filter((p) => !isFinished(p) && matchesSelector(budget.spec?.selector, p.metadata.labels));
  const healthy = all.filter((p) => isReady(p) && !isDeleting(p)).length;
  return budgetOf(budget, expectedPods(cluster, all), healthy);
}

/** What the pods' owners want; pods without one that is known count themselves. */
function expectedPods(cluster: Cluster, pods: readonly Pod[]): number {
  let expected = 0;
  const owners = new Set<string>();
  for (const pod of pods) {
    const owner = pod.metadata.ownerReferences?.find((o) => o.controller);
    const { namespace = '' } = pod.metadata;
    const scaled =
      owner?.kind === 'ReplicaSet'
        ? cluster.replicaSets.get(namespace, owner.name)
        : owner?.kind === 'StatefulSet'
          ? cluster.statefulSets.get(namespace, owner.name)
          : undefined;
    if (scaled === undefined) expected++;
    else if (!owners.has(scaled.metadata.uid)) {
      owners.add(scaled.metadata.uid);
      expected += scaled.spec.replicas ?? 1;
    }
  }
  return expected;
}
