/** CronJobs: Jobs at their times. */
import { cronJobKind, jobKind } from '../../../../common/kube/schema/workloads.ts';
import { timestamp } from '../../../../common/kube/timestamp.ts';
import type { Kind } from '../../../../common/kube/types.ts';
import { parseSchedule } from '../../kinds/schedule.ts';
import { controllerRef } from '../replicas/claim.ts';
import { type Cluster, controllerOf } from '../runtime/cluster.ts';
import { keyOf, keyOfObject, splitKey } from '../runtime/collection.ts';
import { forEachFew } from '../runtime/every-resource.ts';
import { writeStatus } from '../runtime/status-writer.ts';
import { isCode, isTerminatingNamespace } from '../runtime/writer.ts';
import type { CronJob, Job } from '../types.ts';
import { planCronJob, statusAfter } from './plan.ts';

const scheduledAt = 'batch.kubernetes.io/cronjob-scheduled-timestamp';

export function cronJobController(cluster: Cluster): void {
  const { writer, events, queue } = cluster.desk('cronjob-controller');
  const { clock } = cluster;
  const cronJobs = cluster.collection(cronJobKind as Kind<CronJob>);
  const jobsOf = cluster.jobs.index((job) => controllerOf(job));

  const work = queue(async (key) => {
    const { namespace, name } = splitKey(key);
    const cronJob = cronJobs.get(namespace, name);
    if (cronJob === undefined || cronJob.metadata.deletionTimestamp !== undefined) return;
    const schedule = parseSchedule(cronJob.spec.schedule);
    if (schedule === undefined) return;
    const plan = planCronJob(cronJob, schedule, jobsOf(cronJob.metadata.uid), clock.wall());
    if (plan.again !== undefined) work.addAfter(key, plan.again);
    await forEachFew(plan.forget, (job) => remove(cronJob, job));
    await forEachFew(plan.replace, (job) => remove(cronJob, job));
    if (plan.held === 'active') {
      const message = 'Not starting job because prior execution is running and concurrency policy is Forbid';
      events.record(cronJob, { type: 'Normal', reason: 'JobAlreadyActive', message });
    } else if (plan.held === 'missed') {
      const message = 'Missed scheduled time to start a job';
      events.record(cronJob, { type: 'Warning', reason: 'MissSchedule', message });
    }
    const made = plan.start === undefined ? undefined : await start(cronJob, plan.start);
    await writeStatus(writer, cronJobKind, cronJob, statusAfter(cronJob, plan, made));
  });

  async function remove(cronJob: CronJob, { metadata: { namespace = '', name, uid } }: Job): Promise<void> {
    await writer.delete(jobKind, { namespace, name, uid }, { propagation: 'Background' });
    events.record(cronJob, { type: 'Normal', reason: 'SuccessfulDelete', message: `Deleted job ${name}` });
  }

  /** undefined: it was made before, or its namespace goes. */
  async function start(cronJob: CronJob, at: number): Promise<Job | undefined> {
    const { jobTemplate } = cronJob.spec;
    const { namespace = '' } = cronJob.metadata;
    // The same name for the same time, so that none is made twice.
    const name = `${cronJob.metadata.name}-${Math.floor(at / 60_000)}`;
    try {
      const made = await writer.create(jobKind, {
        metadata: {
          name,
          namespace,
          labels: { ...jobTemplate.metadata?.labels },
          annotations: { ...jobTemplate.metadata?.annotations, [scheduledAt]: timestamp(at) },
          ownerReferences: [controllerRef(cronJob)],
        },
        spec: jobTemplate.spec,
      });
      events.record(cronJob, { type: 'Normal', reason: 'SuccessfulCreate', message: `Created job ${name}` });
      return made as unknown as Job;
    } catch (e) {
      if (isCode(e, 409) || isTerminatingNamespace(e)) return undefined;
      throw e;
    }
  }

  cronJobs.onChange((current) => {
    if (current !== undefined) work.add(keyOfObject(current));
  });
  cluster.jobs.onChange((current, previous) => {
    const { namespace = '', ownerReferences } = (current ?? previous)!.metadata;
    const owner = ownerReferences?.find((o) => o.controller && o.kind === 'CronJob');
    if (owner !== undefined) work.add(keyOf(namespace, owner.name));
  });
}
