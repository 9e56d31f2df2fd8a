/** DaemonSets: a pod on each node that they choose. */

import { describeError } from '../../../../common/core/errors.ts';
import { podKind } from '../../../../common/kube/kinds/core.ts';
import { daemonSetKind } from '../../../../common/kube/schema/workloads.ts';
import { share } from '../deployments/rollout.ts';
import { carryOut } from '../replicas/adopt.ts';
import { slowStart } from '../replicas/batches.ts';
import { claims } from '../replicas/claim.ts';
import { podOf } from '../replicas/pods.ts';
import { revisionLabel, revisionsOf } from '../revisions/revisions.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { keyOf, keyOfObject, splitKey } from '../runtime/collection.ts';
import { forEachFew } from '../runtime/every-resource.ts';
import { availableIn, isActive, isAvailable, isFinished, isReady } from '../runtime/pod-state.ts';
import { writeStatus } from '../runtime/status-writer.ts';
import { isTerminatingNamespace } from '../runtime/writer.ts';
import type { DaemonSet } from '../types.ts';
import { nodeOf, placeOn, planDaemons, specFor } from './plan.ts';

/** Pods that end at once are not made anew at once, ms. */
const failedAgain = 5_000;

export function daemonSetController(cluster: Cluster): void {
  const desk = cluster.desk('daemonset-controller');
  const { writer, events, queue } = desk;
  const revisions = revisionsOf(cluster, desk);
  const { clock } = cluster;
  const failedAt = new Map<string, number>();

  const work = queue(async (key) => {
    const { namespace, name } = splitKey(key);
    const set = cluster.daemonSets.get(namespace, name);
    if (set === undefined) {
      failedAt.delete(key);
      return;
    }
    const { uid } = set.metadata;
    await carryOut(writer, podKind, set, claims(set, cluster.podsOfOwner(uid), cluster.orphanPods(namespace)));
    if (set.metadata.deletionTimestamp !== undefined) return;
    try {
      const hash = await revisions.present(set);
      await act(key, set, hash);
      await writeStatus(writer, daemonSetKind, set, statusOf(set, hash));
      await revisions.forget(
        set,
        new Set([hash, ...cluster.podsOfOwner(uid).map((p) => p.metadata.labels?.[revisionLabel] ?? '')]),
      );
    } catch (e) {
      if (!isTerminatingNamespace(e)) throw e;
    }
  });

  async function act(key: string, set: DaemonSet, hash: string): Promise<void> {
    const { template, minReadySeconds = 0 } = set.spec;
    const pods = cluster.podsOfOwner(set.metadata.uid);
    const now = clock.wall();
    const nodes = nodesOf(set);
    const wanted = nodes.filter((n) => n.run).length;
    const plan = planDaemons({ nodes, pods, hash, rolling: rollingOf(set, wanted), minReadySeconds, now });
    if (pods.some(isFinished)) failedAt.set(key, clock.now());
    await forEachFew(plan.remove, async ({ metadata }) => {
      const { namespace = '', name, uid } = metadata;
      await writer.delete(podKind, { namespace, name, uid });
      events.record(set, { type: 'Normal', reason: 'SuccessfulDelete', message: `Deleted pod: ${name}` });
    });
    const waits = pods.flatMap((p) => availableIn(p, minReadySeconds, now) || []);
    if (waits.length > 0) work.addAfter(key, Math.min(...waits));
    const rest = (failedAt.get(key) ?? Number.NEGATIVE_INFINITY) + failedAgain - clock.now();
    if (rest > 0) return work.addAfter(key, rest);
    try {
      await slowStart(plan.create.length, async (i) => {
        const spec = specFor(template.spec, plan.create[i]!);
        const pod = await writer.create(
          podKind,
          podOf(set, { ...template, spec }, { labels: { [revisionLabel]: hash } }),
        );
        events.record(set, {
          type: 'Normal',
          reason: 'SuccessfulCreate',
          message: `Created pod: ${pod.metadata.name}`,
        });
      });
    } catch (e) {
      if (!isTerminatingNamespace(e))
        events.record(set, { type: 'Warning', reason: 'FailedCreate', message: `Error creating: ${describeError(e)}` });
      throw e;
    }
  }

  const nodesOf = (set: DaemonSet) =>
    [...cluster.nodes.values()].map((n) => ({ name: n.metadata.name, ...placeOn(set.spec.template.spec, n) }));

  function statusOf(set: DaemonSet, hash: string): object {
    const { minReadySeconds = 0 } = set.spec;
    const now = clock.wall();
    const byNode = Map.groupBy(cluster.podsOfOwner(set.metadata.uid).filter(isActive), (p) => nodeOf(p) ?? '');
    const nodes = nodesOf(set);
    const wanted = nodes.filter((n) => n.run);
    const count = (is: (p: (typeof pods)[number]) => boolean, of = wanted) =>
      of.filter((n) => (byNode.get(n.name) ?? []).some(is)).length;
    const pods = [...byNode.values()].flat();
    const available = count((p) => isAvailable(p, minReadySeconds, now));
    return {
      currentNumberScheduled: count(() => true),
      numberMisscheduled: count(
        () => true,
        nodes.filter((n) => !n.run),
      ),
      desiredNumberScheduled: wanted.length,
      numberReady: count(isReady),
      observedGeneration: set.metadata.generation ?? 0,
      updatedNumberScheduled: count((p) => p.metadata.labels?.[revisionLabel] === hash),
      numberAvailable: available,
      numberUnavailable: wanted.length - available,
    };
  }

  cluster.daemonSets.onChange((current, previous) => work.add(keyOfObject((current ?? previous)!)));
  cluster.pods.onChange((current, previous) => {
    const { namespace = '', ownerReferences } = (current ?? previous)!.metadata;
    const owner = ownerReferences?.find((o) => o.controller);
    if (owner?.kind === 'DaemonSet') work.add(keyOf(namespace, owner.name));
  });
  cluster.nodes.onChange((current, previous) => {
    const parts = (n: typeof current) => n && JSON.stringify([n.metadata.labels, n.spec]);
    if (parts(current) === parts(previous)) return;
    for (const set of cluster.daemonSets.values()) work.add(keyOfObject(set));
  });
}

/** undefined: OnDelete. Both zero would never move. */
function rollingOf({ spec }: DaemonSet, nodes: number) {
  if (spec.updateStrategy?.type === 'OnDelete') return undefined;
  const { maxSurge = 0, maxUnavailable = 1 } = spec.updateStrategy?.rollingUpdate ?? {};
  const surge = share(maxSurge, nodes, Math.ceil);
  const unavailable = share(maxUnavailable, nodes, Math.ceil);
  return { surge, unavailable: surge === 0 ? Math.max(1, unavailable) : unavailable };
}
