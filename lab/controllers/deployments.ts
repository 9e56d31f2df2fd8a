/** Makes and ends the pods of Deployments. */
import { randomInt } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { type Deployment, deploymentKind } from '../../common/kube/kinds/apps.ts';
import { type Pod, podKind } from '../../common/kube/kinds/core.ts';
import type { Cluster } from '../daemon/cluster.ts';
import type { Runtime } from '../daemon/runtime.ts';
import { checkObject } from '../manifest/check.ts';
import { formatFieldProblems } from '../manifest/problems.ts';
import { deploymentStatus, newPod, planRollout, podsOf, templateHashLabel } from './rollout.ts';
import { place, type SchedulableNode } from './schedule.ts';

/** Kubernetes' alphabet for names: no vowels, which could spell something. */
const suffixLetters = 'bcdfghjklmnpqrstvwxz2456789';

export function randomSuffix(): string {
  return Array.from({ length: 5 }, () => suffixLetters[randomInt(suffixLetters.length)]).join('');
}

export async function reconcileDeployments(runtime: Runtime, nodes: readonly SchedulableNode[]): Promise<void> {
  const { cluster } = runtime;
  await endOrphans(cluster);
  for (const deployment of cluster.deployments.objects.values()) {
    const failure = await reconcile(runtime, nodes, deployment);
    const pods = podsOf(deployment, cluster.pods.objects.values());
    const status = deploymentStatus(deployment, pods, failure);
    if (isDeepStrictEqual(status, deployment.status)) continue;
    const { namespace = 'default', name } = deployment.metadata;
    await cluster.source.patch(deploymentKind, { namespace, name }, { status }, { subresource: 'status' });
  }
}

/** Pods whose Deployment was deleted. */
async function endOrphans(cluster: Cluster): Promise<void> {
  const pods = [...cluster.pods.objects.values()];
  const wanted = new Set([...cluster.deployments.objects.values()].flatMap((d) => podsOf(d, pods)));
  for (const pod of pods) {
    const isReplica = pod.metadata.labels?.[templateHashLabel] !== undefined && ownedByReplicaSet(pod);
    if (isReplica && !wanted.has(pod)) await markEnding(cluster, pod);
  }
}

function ownedByReplicaSet(pod: Pod): boolean {
  return pod.metadata.ownerReferences?.some((o) => o.controller && o.kind === 'ReplicaSet') ?? false;
}

/** What keeps the Deployment from having its pods, in words. */
async function reconcile(
  runtime: Runtime,
  nodes: readonly SchedulableNode[],
  deployment: Deployment,
): Promise<string | undefined> {
  const { cluster } = runtime;
  const { namespace = 'default', name } = deployment.metadata;
  const problems = checkObject(deployment);
  if (problems.length > 0) return formatFieldProblems(`Deployment ${namespace}/${name}`, problems);
  const account = deployment.spec.template.spec.serviceAccountName ?? 'default';
  if (cluster.serviceAccounts.get({ namespace, name: account }) === undefined) {
    return `spec.template.spec.serviceAccountName: "${account}" does not exist in namespace "${namespace}"`;
  }
  const pods = () => cluster.pods.objects.values();
  const { create, remove } = planRollout(deployment, podsOf(deployment, pods()));
  for (const pod of remove) await markEnding(cluster, pod);
  for (let i = 0; i < create; i++) {
    const sample = newPod(deployment, '', '');
    const owner = `${namespace}/${sample.metadata.ownerReferences![0]!.name}`;
    const placement = place(deployment.spec.template.spec, owner, nodes, pods());
    if (placement.kind === 'none') return placement.reason;
    try {
      const pod = await cluster.source.create(podKind, newPod(deployment, randomSuffix(), placement.name));
      await seen(cluster, () => cluster.pods.get({ namespace, name: pod.metadata.name }) !== undefined);
    } catch (e) {
      if (!(e instanceof MeshError)) throw e;
      return describeError(e);
    }
  }
  return undefined;
}

/** The pod's runner ends it and then deletes the object. */
export async function markEnding(cluster: Cluster, pod: Pod): Promise<void> {
  if (pod.metadata.deletionTimestamp !== undefined) return;
  const { namespace = 'default', name, uid } = pod.metadata;
  const metadata = { deletionTimestamp: new Date().toISOString() };
  try {
    await cluster.source.patch(podKind, { namespace, name }, { metadata });
  } catch (e) {
    if (e instanceof MeshError && e.code === 'NOT_FOUND') return;
    throw e;
  }
  await seen(cluster, () => {
    const now = cluster.pods.get({ namespace, name });
    return now?.metadata.uid !== uid || now.metadata.deletionTimestamp !== undefined;
  });
}

/** Decisions are made from the collections, which must show what was just written. */
function seen(cluster: Cluster, condition: () => boolean): Promise<void> {
  return cluster.until(condition, AbortSignal.timeout(5_000));
}
