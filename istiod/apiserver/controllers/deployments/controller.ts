/** Deployments: ReplicaSets of the present template and of those before. */
import { isDeepStrictEqual } from 'node:util';
import { type Deployment, deploymentKind } from '../../../../common/kube/kinds/apps.ts';
import { replicaSetKind } from '../../../../common/kube/schema/workloads.ts';
import { carryOut } from '../replicas/adopt.ts';
import { claims } from '../replicas/claim.ts';
import { type Cluster, controllerOf } from '../runtime/cluster.ts';
import { keyOf, keyOfObject, splitKey } from '../runtime/collection.ts';
import { isFinished } from '../runtime/pod-state.ts';
import { writeStatus } from '../runtime/status-writer.ts';
import { isCode, isTerminatingNamespace, unlessGone } from '../runtime/writer.ts';
import type { ReplicaSet } from '../types.ts';
import { boundsOf, isScaled, planRecreate, planRolling, planScaled, type ScaledSet, type Size } from './rollout.ts';
import { deploymentStatus } from './status.ts';
import {
  annotationsFor,
  byAge,
  currentSet,
  newSet,
  revisionAnnotation,
  revisionOf,
  sizingAnnotations,
  sizingOf,
} from './template.ts';

export function deploymentController(cluster: Cluster): void {
  const { writer, events, queue } = cluster.desk('deployment-controller');
  const setsOfOwner = cluster.replicaSets.index(controllerOf);
  const orphanSets = cluster.replicaSets.index((s) => (controllerOf(s).length > 0 ? [] : [s.metadata.namespace ?? '']));

  const work = queue(async (key) => {
    const { namespace, name } = splitKey(key);
    const deployment = cluster.deployments.get(namespace, name);
    if (deployment === undefined) return;
    const { uid } = deployment.metadata;
    const own = await carryOut(
      writer,
      replicaSetKind,
      deployment,
      claims(deployment, setsOfOwner(uid), orphanSets(namespace)),
    );
    if (deployment.metadata.deletionTimestamp === undefined) await roll(deployment, own);
    const sets = [...setsOfOwner(uid)].sort(byAge);
    const current = currentSet(deployment, sets);
    const old = sets.filter((s) => s !== current);
    const { status, deadlineIn } = deploymentStatus(deployment, current, old, cluster.clock.wall());
    await writeStatus(writer, deploymentKind, deployment, status);
    if (deadlineIn !== undefined) work.addAfter(key, deadlineIn + 1000);
  });

  async function roll(deployment: Deployment, own: readonly ReplicaSet[]): Promise<void> {
    const { spec } = deployment;
    const sorted = [...own].sort(byAge);
    const replicas = spec.replicas ?? 1;
    const bounds = boundsOf(spec);
    const scaled = sorted.map((s): ScaledSet => scaledOf(s, deployment));
    const recreates = spec.strategy?.type === 'Recreate';
    if (spec['paused'] === true || (!recreates && isScaled(replicas, scaled))) {
      const name = currentSet(deployment, sorted)?.metadata.name;
      const now = scaled.find((s) => s.name === name);
      return resize(deployment, own, planScaled(replicas, bounds.surge, now, scaled));
    }
    const current = await present(deployment, sorted);
    // Somebody has the name: the next run makes another one.
    if (current === undefined) return;
    const old = sorted.filter((s) => s.metadata.uid !== current.metadata.uid);
    const oldSizes = old.map(sizeOf);
    const plan = recreates
      ? planRecreate(replicas, sizeOf(current), oldSizes, podsOf(old))
      : planRolling(replicas, bounds, sizeOf(current), oldSizes);
    await resize(deployment, [...old, current], plan);
    if (plan.size === 0) await forget(deployment, current, old);
  }

  /** The ReplicaSet of the present template, made where there is none; its revision is the highest. */
  async function present(deployment: Deployment, sets: readonly ReplicaSet[]): Promise<ReplicaSet | undefined> {
    const { namespace = '' } = deployment.metadata;
    const max = (deployment.spec.replicas ?? 1) + boundsOf(deployment.spec).surge;
    const found = currentSet(deployment, sets);
    const highest = Math.max(0, ...sets.filter((s) => s !== found).map(revisionOf));
    const revision = found === undefined ? highest + 1 : Math.max(revisionOf(found), highest + 1);
    let current = found;
    if (found === undefined) {
      const first = sets.every((s) => (s.spec.replicas ?? 0) === 0);
      const { surge } = boundsOf(deployment.spec);
      const recreate = deployment.spec.strategy?.type === 'Recreate';
      const others = sets.reduce((n, s) => n + (s.spec.replicas ?? 0), 0);
      const wanted = deployment.spec.replicas ?? 1;
      const replicas = recreate
        ? first && podsOf(sets) === 0
          ? wanted
          : 0
        : Math.max(0, Math.min(wanted, wanted + surge - others));
      const draft = newSet(deployment, replicas, revision, max);
      try {
        const made = await writer.create(replicaSetKind, draft);
        current = cluster.replicaSets.get(namespace, made.metadata.name!);
        if (replicas > 0) tellScaled(deployment, made.metadata.name!, 0, replicas);
      } catch (e) {
        if (isTerminatingNamespace(e)) return undefined;
        if (!isCode(e, 409)) throw e;
        const collisions = Number(deployment.status?.['collisionCount'] ?? 0) + 1;
        await writeStatus(writer, deploymentKind, deployment, { ...deployment.status, collisionCount: collisions });
        return undefined;
      }
    } else {
      const annotations = annotationsFor(deployment, found.metadata.annotations ?? {}, revision, max);
      const minReadySeconds = deployment.spec['minReadySeconds'];
      if (
        !isDeepStrictEqual(annotations, found.metadata.annotations) ||
        found.spec.minReadySeconds !== minReadySeconds
      ) {
        await writer.update(replicaSetKind, targetOf(found), (object) => {
          object.metadata.annotations = annotations;
          const spec = object['spec'] as Record<string, unknown>;
          if (minReadySeconds === undefined) delete spec['minReadySeconds'];
          else spec['minReadySeconds'] = minReadySeconds;
          return 'changed';
        });
        current = cluster.replicaSets.get(namespace, found.metadata.name);
      }
    }
    if (revisionOf(deployment) !== revision) {
      await unlessGone(() =>
        writer.update(deploymentKind, targetOf(deployment), ({ metadata }) => {
          metadata.annotations = { ...metadata.annotations, [revisionAnnotation]: String(revision) };
          return 'changed';
        }),
      );
    }
    return current;
  }

  async function resize(deployment: Deployment, sets: readonly ReplicaSet[], plan: ReadonlyMap<string, number>) {
    const desired = deployment.spec.replicas ?? 1;
    const sizing = sizingAnnotations(desired, desired + boundsOf(deployment.spec).surge);
    for (const set of sets) {
      const wanted = plan.get(set.metadata.name);
      if (wanted === undefined) continue;
      let before = 0;
      await writer.update(replicaSetKind, targetOf(set), (object) => {
        const spec = object['spec'] as { replicas?: number };
        before = spec.replicas ?? 1;
        const annotations = { ...object.metadata.annotations, ...sizing };
        if (before === wanted && isDeepStrictEqual(annotations, object.metadata.annotations)) return 'unchanged';
        object.metadata.annotations = annotations;
        object['spec'] = { ...spec, replicas: wanted };
        return 'changed';
      });
      if (before !== wanted) tellScaled(deployment, set.metadata.name, before, wanted);
    }
  }

  function tellScaled(deployment: Deployment, name: string, from: number, to: number): void {
    const message = `Scaled ${to > from ? 'up' : 'down'} replica set ${name} from ${from} to ${to}`;
    events.record(deployment, { type: 'Normal', reason: 'ScalingReplicaSet', message });
  }

  /** Old ones without pods, beyond the limit of the history, the oldest revision first. */
  async function forget(deployment: Deployment, current: ReplicaSet, old: readonly ReplicaSet[]): Promise<void> {
    if ((current.status?.availableReplicas ?? 0) < (deployment.spec.replicas ?? 1)) return;
    const limit = Number(deployment.spec['revisionHistoryLimit'] ?? 10);
    const empty = old.filter(
      (s) =>
        (s.spec.replicas ?? 0) === 0 && (s.status?.replicas ?? 0) === 0 && s.metadata.deletionTimestamp === undefined,
    );
    const byRevision = [...empty].sort((a, b) => revisionOf(a) - revisionOf(b));
    for (const set of byRevision.slice(0, Math.max(0, old.length - limit))) {
      await writer.delete(replicaSetKind, targetOf(set), { propagation: 'Background' });
    }
  }

  function podsOf(sets: readonly ReplicaSet[]): number {
    return sets.flatMap((s) => cluster.podsOfOwner(s.metadata.uid)).filter((p) => !isFinished(p)).length;
  }

  cluster.deployments.onChange((current) => {
    if (current !== undefined) work.add(keyOfObject(current));
  });
  cluster.replicaSets.onChange((current, previous) => {
    const { namespace = '', ownerReferences } = (current ?? previous)!.metadata;
    const owner = ownerReferences?.find((o) => o.controller);
    if (owner?.kind === 'Deployment') work.add(keyOf(namespace, owner.name));
  });
  // Recreate waits for the last old pod.
  cluster.pods.onChange((current, previous) => {
    if (current !== undefined && !isFinished(current)) return;
    const { namespace = '', ownerReferences } = (current ?? previous)!.metadata;
    const set = ownerReferences?.find((o) => o.controller && o.kind === 'ReplicaSet');
    const owner =
      set && cluster.replicaSets.get(namespace, set.name)?.metadata.ownerReferences?.find((o) => o.controller);
    if (
      owner?.kind === 'Deployment' &&
      cluster.deployments.get(namespace, owner.name)?.spec.strategy?.type === 'Recreate'
    ) {
      work.add(keyOf(namespace, owner.name));
    }
  });
}

function sizeOf({ metadata, spec, status }: ReplicaSet): Size {
  return { name: metadata.name, wanted: spec.replicas ?? 1, available: status?.availableReplicas ?? 0 };
}

function scaledOf(set: ReplicaSet, { status }: Deployment): ScaledSet {
  const { desiredBefore, allowedBefore = status?.replicas } = sizingOf(set);
  return { ...sizeOf(set), desiredBefore, allowedBefore };
}

function targetOf({ metadata }: ReplicaSet | Deployment) {
  return { namespace: metadata.namespace ?? '', name: metadata.name, uid: metadata.uid };
}
