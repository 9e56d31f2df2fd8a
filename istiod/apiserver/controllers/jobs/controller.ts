/** Jobs: pods that run to their end. */
import { describeError } from '../../../../common/core/errors.ts';
import { podKind } from '../../../../common/kube/kinds/core.ts';
import { jobKind } from '../../../../common/kube/schema/workloads.ts';
import { slowStart } from '../replicas/batches.ts';
import { controllerRef } from '../replicas/claim.ts';
import { podOf } from '../replicas/pods.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { keyOf, keyOfObject, splitKey } from '../runtime/collection.ts';
import { conditionOf, isTrue } from '../runtime/conditions.ts';
import { forEachFew } from '../runtime/every-resource.ts';
import { isActive, isReady } from '../runtime/pod-state.ts';
import { completionIndex } from '../runtime/slim.ts';
import { writeStatus } from '../runtime/status-writer.ts';
import { isTerminatingNamespace } from '../runtime/writer.ts';
import type { Job } from '../types.ts';
import { planJob } from './plan.ts';

export function jobController(cluster: Cluster): void {
  const { writer, events, queue } = cluster.desk('job-controller');
  const { clock } = cluster;
  /** By the uid of the Job. */
  const lastFailure = new Map<string, number>();

  const work = queue(async (key) => {
    const { namespace, name } = splitKey(key);
    const job = cluster.jobs.get(namespace, name);
    if (job === undefined || job.metadata.deletionTimestamp !== undefined) return;
    if (job.spec['managedBy'] !== undefined && job.spec['managedBy'] !== 'kubernetes.io/job-controller') return;
    const { uid } = job.metadata;
    const before = finishedAs(job);
    const plan = planJob(job, cluster.podsOfOwner(uid), lastFailure.get(uid), clock.wall());
    await forEachFew(plan.remove, async ({ metadata }) => {
      await writer.delete(podKind, { namespace, name: metadata.name, uid: metadata.uid });
      events.record(job, { type: 'Normal', reason: 'SuccessfulDelete', message: `Deleted pod: ${metadata.name}` });
    });
    const error = await create(job, plan.create);
    const active = cluster.podsOfOwner(uid).filter(isActive);
    // As they are after the changes.
    const status = { ...plan.status, active: active.length, ready: active.filter(isReady).length };
    await writeStatus(writer, jobKind, job, status);
    const now = finishedAs({ ...job, status: plan.status });
    if (now !== undefined && before === undefined) tellFinished(job, plan.status);
    if (now !== undefined) expire(key, { ...job, status: plan.status });
    if (plan.again !== undefined) work.addAfter(key, plan.again);
    if (error !== undefined && !isTerminatingNamespace(error)) throw error;
  });

  async function create(job: Job, indexes: readonly (number | undefined)[]): Promise<unknown> {
    try {
      await slowStart(indexes.length, async (i) => {
        const pod = await writer.create(podKind, draft(job, indexes[i]));
        events.record(job, {
          type: 'Normal',
          reason: 'SuccessfulCreate',
          message: `Created pod: ${pod.metadata.name}`,
        });
      });
      return undefined;
    } catch (e) {
      if (!isTerminatingNamespace(e))
        events.record(job, { type: 'Warning', reason: 'FailedCreate', message: `Error creating: ${describeError(e)}` });
      return e;
    }
  }

  function tellFinished(job: Job, status: NonNullable<Job['status']>): void {
    const failed = conditionOf(status.conditions, 'Failed');
    if (failed === undefined) events.record(job, { type: 'Normal', reason: 'Completed', message: 'Job completed' });
    else events.record(job, { type: 'Warning', reason: failed.reason ?? 'Failed', message: failed.message ?? '' });
  }

  /** Deletes it when its time is over. */
  function expire(key: string, { metadata, spec, status }: Job): void {
    if (spec.ttlSecondsAfterFinished === undefined) return;
    const condition = conditionOf(status?.conditions, 'Complete') ?? conditionOf(status?.conditions, 'Failed');
    const left = Date.parse(condition?.lastTransitionTime ?? '') + spec.ttlSecondsAfterFinished * 1000 - clock.wall();
    if (left > 0) work.addAfter(key, left);
    else {
      const target = { namespace: metadata.namespace ?? '', name: metadata.name, uid: metadata.uid };
      void writer.delete(jobKind, target, { propagation: 'Background' }).catch(() => work.addAfter(key, 1000));
    }
  }

  cluster.jobs.onChange((current, previous) => {
    if (current !== undefined) work.add(keyOfObject(current));
    else lastFailure.delete(previous!.metadata.uid);
  });
  cluster.pods.onChange((current, previous) => {
    const { namespace = '', ownerReferences } = (current ?? previous)!.metadata;
    const owner = ownerReferences?.find((o) => o.controller);
    if (owner?.kind !== 'Job') return;
    if (current?.status?.phase === 'Failed' && previous?.status?.phase !== 'Failed')
      lastFailure.set(owner.uid, clock.wall());
    work.add(keyOf(namespace, owner.name));
  });
}

function finishedAs({ status }: Job): 'Complete' | 'Failed' | undefined {
  if (isTrue(status?.conditions, 'Complete')) return 'Complete';
  return isTrue(status?.conditions, 'Failed') ? 'Failed' : undefined;
}

function draft(job: Job, index: number | undefined) {
  const { template } = job.spec;
  if (index === undefined) return podOf(job, template);
  const pod = podOf(job, template, { labels: { [completionIndex]: String(index) } });
  const env = { name: 'JOB_COMPLETION_INDEX', value: String(index) };
  const containers = template.spec.containers.map((c) => ({ ...c, env: [...(c.env ?? []), env] }));
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      generateName: `${job.metadata.name}-${index}-`,
      annotations: { ...pod.metadata.annotations, [completionIndex]: String(index) },
      ownerReferences: [controllerRef(job)],
    },
    spec: { ...template.spec, hostname: `${job.metadata.name}-${index}`, containers },
  };
}
