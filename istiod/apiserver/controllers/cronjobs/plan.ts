/** What a CronJob does next. Pure. */
import { timestamp } from '../../../../common/kube/timestamp.ts';
import { nextTime, type Schedule } from '../../kinds/schedule.ts';
import { isTrue } from '../runtime/conditions.ts';
import type { CronJob, Job } from '../types.ts';

export interface CronPlan {
  /** Finished ones beyond the history's limits. */
  readonly forget: readonly Job[];
  /** Running ones that give way to the new one. */
  readonly replace: readonly Job[];
  /** The time for which a Job is made, ms. */
  readonly start: number | undefined;
  /** Why a Job that is due is not made. */
  readonly held: 'missed' | 'active' | undefined;
  readonly active: readonly Job[];
  readonly lastSuccessfulTime: string | undefined;
  /** Ms until the next time; undefined: none. */
  readonly again: number | undefined;
}

/** `jobs`: its own; `now` in ms. */
export function planCronJob(cronJob: CronJob, schedule: Schedule, jobs: readonly Job[], now: number): CronPlan {
  const { spec, status = {}, metadata } = cronJob;
  const zone = spec.timeZone ?? 'UTC';
  const active = jobs.filter((j) => finishOf(j) === undefined);
  const succeeded = jobs.filter((j) => finishOf(j) === 'Complete');
  const failed = jobs.filter((j) => finishOf(j) === 'Failed');
  const completions = succeeded.map((j) => j.status?.completionTime ?? '');
  const base = {
    forget: [
      ...oldest(succeeded, spec.successfulJobsHistoryLimit ?? 3),
      ...oldest(failed, spec.failedJobsHistoryLimit ?? 1),
    ],
    active,
    lastSuccessfulTime: [...completions, status.lastSuccessfulTime ?? ''].sort().at(-1) || undefined,
    replace: [],
    start: undefined,
    held: undefined,
  };
  if (spec.suspend === true) return { ...base, again: undefined };
  const deadline = spec.startingDeadlineSeconds;
  const since = Date.parse(status.lastScheduleTime ?? metadata.creationTimestamp ?? '');
  const due = latestDue(schedule, Math.max(since, deadline === undefined ? 0 : now - deadline * 1000), now, zone);
  const following = nextTime(
    schedule,
    schedule.kind === 'every' ? Math.max(due ?? since, now - schedule.period) : now,
    zone,
  );
  const again = following === undefined ? undefined : following - now;
  if (due === undefined) {
    const late = deadline === undefined ? undefined : latestDue(schedule, since, now, zone);
    return { ...base, held: late === undefined ? undefined : 'missed', again };
  }
  const policy = spec.concurrencyPolicy ?? 'Allow';
  if (policy === 'Forbid' && active.length > 0) return { ...base, held: 'active', again };
  return { ...base, replace: policy === 'Replace' ? active : [], start: due, again };
}

/** The last time in `(since, now]`. */
function latestDue(schedule: Schedule, since: number, now: number, zone: string): number | undefined {
  if (schedule.kind === 'every') {
    const times = Math.floor((now - Math.floor(since / 1000) * 1000) / schedule.period);
    return times < 1 ? undefined : Math.floor(since / 1000) * 1000 + times * schedule.period;
  }
  const first = nextTime(schedule, since, zone);
  if (first === undefined || first > now) return undefined;
  // Looked for from the end: a server may have been away for a year of minutes.
  for (let span = 60_000; ; span *= 2) {
    const from = Math.max(since, now - span);
    let found: number | undefined;
    for (let at = nextTime(schedule, from, zone); at !== undefined && at <= now; at = nextTime(schedule, at, zone))
      found = at;
    if (found !== undefined) return found;
    if (from === since) return first;
  }
}

function oldest(jobs: readonly Job[], kept: number): readonly Job[] {
  const time = (j: Job) => j.status?.startTime ?? j.metadata.creationTimestamp ?? '';
  const sorted = [...jobs].sort(
    (a, b) => time(a).localeCompare(time(b)) || a.metadata.name.localeCompare(b.metadata.name),
  );
  return sorted.slice(0, Math.max(0, sorted.length - kept));
}

function finishOf({ status }: Job): 'Complete' | 'Failed' | undefined {
  if (isTrue(status?.conditions, 'Complete')) return 'Complete';
  return isTrue(status?.conditions, 'Failed') ? 'Failed' : undefined;
}

/** The status after a plan was carried out; `made` is the Job that was started. */
export function statusAfter(cronJob: CronJob, plan: CronPlan, made: Job | undefined): NonNullable<CronJob['status']> {
  const running = [...plan.active.filter((j) => !plan.replace.includes(j)), ...(made === undefined ? [] : [made])];
  const lastScheduleTime = plan.start === undefined ? cronJob.status?.lastScheduleTime : timestamp(plan.start);
  return {
    ...(running.length === 0 ? {} : { active: running.map(reference) }),
    ...(lastScheduleTime === undefined ? {} : { lastScheduleTime }),
    ...(plan.lastSuccessfulTime === undefined ? {} : { lastSuccessfulTime: plan.lastSuccessfulTime }),
  };
}

function reference({ metadata: { name, namespace, uid } }: Job): object {
  return { apiVersion: 'batch/v1', kind: 'Job', name, namespace, uid };
}
