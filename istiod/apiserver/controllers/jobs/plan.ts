/** What a Job does next. Pure. */
import type { Condition, Pod } from '../../../../common/kube/kinds/core.ts';
import { timestamp } from '../../../../common/kube/timestamp.ts';
import { isTrue, setCondition } from '../runtime/conditions.ts';
import { isActive, isDeleting, isReady } from '../runtime/pod-state.ts';
import { completionIndex } from '../runtime/slim.ts';
import type { Job } from '../types.ts';

/** Ms: the first wait after a failure, doubling with each, and the longest. */
const firstBackoff = 10_000;
const longestBackoff = 360_000;

export interface JobPlan {
  /** Completion indexes for pods to make; undefined where the Job is not Indexed. */
  readonly create: readonly (number | undefined)[];
  readonly remove: readonly Pod[];
  readonly status: NonNullable<Job['status']>;
  /** Ms until something is due by time alone. */
  readonly again: number | undefined;
}

/** `lastFailure`: when a pod failed last, ms; `now` in ms. */
export function planJob(job: Job, pods: readonly Pod[], lastFailure: number | undefined, now: number): JobPlan {
  const { spec, status = {} } = job;
  const time = timestamp(now);
  const active = pods.filter(isActive);
  const succeeded = pods.filter((p) => p.status?.phase === 'Succeeded');
  const failed = pods.filter((p) => p.status?.phase === 'Failed');
  const indexes = new Set(succeeded.map(indexOf).filter((i) => i !== undefined));
  const indexed = spec.completionMode === 'Indexed';
  // What was counted before counts, though its pod is gone.
  const done = indexed ? indexes.size : Math.max(succeeded.length, status.succeeded ?? 0);
  const failures = Math.max(failed.length, status.failed ?? 0);
  const counts = {
    ...status,
    startTime: status.startTime ?? time,
    active: active.length,
    ready: active.filter(isReady).length,
    terminating: pods.filter((p) => isDeleting(p) && p.status?.phase !== 'Succeeded' && p.status?.phase !== 'Failed')
      .length,
    succeeded: done,
    failed: failures,
    ...(indexed ? { completedIndexes: ranges([...indexes]) } : {}),
  };
  const finish = (type: 'Complete' | 'Failed', reason: string, message: string): JobPlan => {
    const conditions = setCondition(status.conditions ?? [], { type, status: 'True', reason, message }, time);
    const completed = type === 'Complete' ? { completionTime: time } : {};
    return {
      create: [],
      remove: active,
      status: { ...counts, active: 0, ready: 0, ...completed, conditions },
      again: undefined,
    };
  };
  const over = isTrue(status.conditions, 'Complete') || isTrue(status.conditions, 'Failed');
  if (over) return { create: [], remove: active, status: { ...status, active: 0, ready: 0 }, again: undefined };
  const restarts = pods.flatMap((p) => p.status?.containerStatuses ?? []).reduce((n, c) => n + c.restartCount, 0);
  const limit = spec.backoffLimit ?? 6;
  if (failures > limit || (spec.template.spec.restartPolicy === 'OnFailure' && restarts > limit)) {
    return finish('Failed', 'BackoffLimitExceeded', 'Job has reached the specified backoff limit');
  }
  const deadline = spec.activeDeadlineSeconds;
  const left = deadline === undefined ? undefined : Date.parse(counts.startTime) + deadline * 1000 - now;
  if (left !== undefined && left <= 0 && spec.suspend !== true) {
    return finish('Failed', 'DeadlineExceeded', 'Job was active longer than specified deadline');
  }
  const { completions } = spec;
  const complete = completions === undefined ? done > 0 && active.length === 0 : done >= completions;
  if (complete) return finish('Complete', 'CompletionsReached', 'Reached expected number of succeeded pods');
  if (spec.suspend === true) {
    const suspended: Condition = {
      type: 'Suspended',
      status: 'True',
      reason: 'JobSuspended',
      message: 'Job suspended',
    };
    const { startTime: _start, ...others } = counts;
    return {
      create: [],
      remove: active,
      status: { ...others, conditions: setCondition(status.conditions ?? [], suspended, time) },
      again: undefined,
    };
  }
  const resumed: Condition = { type: 'Suspended', status: 'False', reason: 'JobResumed', message: 'Job resumed' };
  const conditions = isTrue(status.conditions, 'Suspended')
    ? setCondition(status.conditions ?? [], resumed, time)
    : status.conditions;
  const next = { ...counts, ...(conditions === undefined ? {} : { conditions }) };
  const parallelism = spec.parallelism ?? 1;
  // Once one of a queue's workers has succeeded, no new ones are made.
  const wanted = completions === undefined ? (done > 0 ? 0 : parallelism) : Math.min(parallelism, completions - done);
  if (active.length > wanted && (completions !== undefined || active.length > parallelism)) {
    return { create: [], remove: active.slice(0, active.length - wanted), status: next, again: left };
  }
  const missing = Math.max(0, wanted - active.length);
  const wait =
    lastFailure === undefined || missing === 0
      ? 0
      : lastFailure + Math.min(firstBackoff * 2 ** Math.max(0, failures - 1), longestBackoff) - now;
  const due = [left, wait > 0 ? wait : undefined].filter((t) => t !== undefined);
  const again = due.length === 0 ? undefined : Math.min(...due);
  if (wait > 0) return { create: [], remove: [], status: next, again };
  const create = indexed
    ? freeIndexes(completions ?? 0, indexes, active, missing)
    : Array<undefined>(missing).fill(undefined);
  return { create, remove: [], status: next, again };
}

export function indexOf(pod: Pod): number | undefined {
  const text = pod.metadata.annotations?.[completionIndex];
  return text === undefined ? undefined : Number(text);
}

function freeIndexes(
  completions: number,
  done: ReadonlySet<number>,
  active: readonly Pod[],
  count: number,
): readonly number[] {
  const taken = new Set([...done, ...active.map(indexOf)]);
  const free: number[] = [];
  for (let i = 0; i < completions && free.length < count; i++) if (!taken.has(i)) free.push(i);
  return free;
}

/** `1,3-5,7`. */
export function ranges(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const n of [...numbers].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && n === last[1] + 1) last[1] = n;
    else runs.push([n, n]);
  }
  return runs.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`)).join(',');
}
