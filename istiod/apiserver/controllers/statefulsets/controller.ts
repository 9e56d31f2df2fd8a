/** StatefulSets: pods with names that stay, one after the other. */
import { describeError } from '../../../../common/core/errors.ts';
import type { PodTemplate } from '../../../../common/kube/kinds/apps.ts';
import { podKind } from '../../../../common/kube/kinds/core.ts';
import { statefulSetKind } from '../../../../common/kube/schema/workloads.ts';
import { carryOut } from '../replicas/adopt.ts';
import { claims } from '../replicas/claim.ts';
import { podOf } from '../replicas/pods.ts';
import { revisionLabel, revisionsOf } from '../revisions/revisions.ts';
import { type Cluster, claimKind } from '../runtime/cluster.ts';
import { keyOf, keyOfObject, splitKey } from '../runtime/collection.ts';
import { availableIn, isActive, isAvailable, isReady } from '../runtime/pod-state.ts';
import { writeStatus } from '../runtime/status-writer.ts';
import { type Draft, isCode, isTerminatingNamespace } from '../runtime/writer.ts';
import type { StatefulSet } from '../types.ts';
import { claimsOf, withClaims } from './claims.ts';
import { ordinalOf, planStateful } from './plan.ts';

export function statefulSetController(cluster: Cluster): void {
  const desk = cluster.desk('statefulset-controller');
  const { writer, events, queue } = desk;
  const revisions = revisionsOf(cluster, desk);

  const work = queue(async (key) => {
    const { namespace, name } = splitKey(key);
    const set = cluster.statefulSets.get(namespace, name);
    if (set === undefined) return;
    const { uid } = set.metadata;
    const named = cluster.orphanPods(namespace).filter((p) => ordinalOf(name, p.metadata.name) !== undefined);
    await carryOut(writer, podKind, set, claims(set, cluster.podsOfOwner(uid), named));
    if (set.metadata.deletionTimestamp !== undefined) return;
    try {
      const update = await revisions.present(set);
      await act(set, update);
      await writeStatus(writer, statefulSetKind, set, statusOf(set, update));
      const used = cluster.podsOfOwner(uid).map((p) => p.metadata.labels?.[revisionLabel] ?? '');
      await revisions.forget(set, new Set([update, currentOf(set, update), ...used]));
      const { minReadySeconds = 0 } = set.spec;
      const now = cluster.clock.wall();
      const waits = cluster.podsOfOwner(uid).flatMap((p) => availableIn(p, minReadySeconds, now) || []);
      if (waits.length > 0) work.addAfter(key, Math.min(...waits));
    } catch (e) {
      if (!isTerminatingNamespace(e)) throw e;
    }
  });

  async function act(set: StatefulSet, update: string): Promise<void> {
    const { spec, metadata } = set;
    const { namespace = '', uid } = metadata;
    const { type, rollingUpdate } = spec.updateStrategy ?? {};
    const { create, remove } = planStateful({
      name: metadata.name,
      replicas: spec.replicas ?? 1,
      start: spec.ordinals?.start ?? 0,
      parallel: spec.podManagementPolicy === 'Parallel',
      pods: cluster.podsOfOwner(uid),
      update,
      partition: type === 'OnDelete' ? undefined : (rollingUpdate?.partition ?? 0),
      minReadySeconds: spec.minReadySeconds ?? 0,
      now: cluster.clock.wall(),
    });
    for (const pod of remove) {
      await writer.delete(podKind, { namespace, name: pod.metadata.name, uid: pod.metadata.uid });
      tell(set, 'SuccessfulDelete', `delete Pod ${pod.metadata.name} in StatefulSet ${metadata.name} successful`);
    }
    for (const { ordinal, revision } of create) {
      const hash = revision === 'update' ? update : currentOf(set, update);
      const template = hash === update ? spec.template : (revisions.templateOf(set, hash) ?? spec.template);
      const name = `${metadata.name}-${ordinal}`;
      const labels = {
        'statefulset.kubernetes.io/pod-name': name,
        'apps.kubernetes.io/pod-index': String(ordinal),
        [revisionLabel]: hash,
      };
      try {
        for (const claim of claimsOf(set, name)) await ensureClaim(set, claim, name);
        const own = withIdentity(withClaims(template, set, name), name, spec.serviceName);
        await writer.create(podKind, podOf(set, own, { name, labels }));
        tell(set, 'SuccessfulCreate', `create Pod ${name} in StatefulSet ${metadata.name} successful`);
      } catch (e) {
        if (isTerminatingNamespace(e)) throw e;
        // A pod that is no member has the name: it must go first.
        const why = isCode(e, 409) ? `a pod of that name is not its own` : describeError(e);
        const message = `create Pod ${name} in StatefulSet ${metadata.name} failed error: ${why}`;
        events.record(set, { type: 'Warning', reason: 'FailedCreate', message });
        throw e;
      }
    }
  }

  async function ensureClaim(set: StatefulSet, claim: Draft, pod: string): Promise<void> {
    try {
      await writer.create(claimKind, claim);
    } catch (e) {
      if (isCode(e, 409)) return;
      throw e;
    }
    const text = `create Claim ${claim.metadata.name} Pod ${pod} in StatefulSet ${set.metadata.name} success`;
    tell(set, 'SuccessfulCreate', text);
  }

  const tell = (set: StatefulSet, reason: string, message: string) =>
    events.record(set, { type: 'Normal', reason, message });

  function statusOf(set: StatefulSet, update: string): object {
    const { spec, metadata } = set;
    const pods = cluster.podsOfOwner(metadata.uid);
    const active = pods.filter(isActive);
    const now = cluster.clock.wall();
    const of = (hash: string) => active.filter((p) => p.metadata.labels?.[revisionLabel] === hash).length;
    const current = currentOf(set, update);
    const ready = active.filter(isReady).length;
    const wanted = spec.replicas ?? 1;
    const done = of(update) === wanted && active.length === wanted && pods.length === wanted && ready === wanted;
    return {
      observedGeneration: metadata.generation ?? 0,
      replicas: pods.length,
      readyReplicas: ready,
      availableReplicas: active.filter((p) => isAvailable(p, spec.minReadySeconds ?? 0, now)).length,
      currentReplicas: of(done ? update : current),
      updatedReplicas: of(update),
      currentRevision: `${metadata.name}-${done ? update : current}`,
      updateRevision: `${metadata.name}-${update}`,
      collisionCount: 0,
    };
  }

  cluster.statefulSets.onChange((current) => {
    if (current !== undefined) work.add(keyOfObject(current));
  });
  cluster.pods.onChange((current, previous) => {
    const { namespace = '', name, ownerReferences } = (current ?? previous)!.metadata;
    const owner = ownerReferences?.find((o) => o.controller);
    if (owner?.kind === 'StatefulSet') work.add(keyOf(namespace, owner.name));
    if (owner !== undefined) return;
    const set = cluster.statefulSets.get(namespace, name.slice(0, name.lastIndexOf('-')));
    if (set !== undefined) work.add(keyOfObject(set));
  });
}

/** Hash of the template that pods had before the present rollout. */
function currentOf({ metadata, status }: StatefulSet, update: string): string {
  const name = status?.currentRevision;
  return name === undefined ? update : name.slice(metadata.name.length + 1);
}

function withIdentity(template: PodTemplate, name: string, service = ''): PodTemplate {
  return { ...template, spec: { ...template.spec, hostname: name, ...(service === '' ? {} : { subdomain: service }) } };
}
