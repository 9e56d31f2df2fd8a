/** Jobs and CronJobs: what is filled in, made and refused. Pure. */
import { isSameJson } from '../../../common/core/same-json.ts';
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { ApiObject } from '../objects.ts';
import type { Cause } from '../status.ts';
import { at, textAt } from './columns.ts';
import { checkPodSpec } from './pod-rules.ts';
import { fillPodSpec } from './pods.ts';
import { forbidden, invalidValue, required } from './rules.ts';
import { parseSchedule } from './schedule.ts';

export function fillJob(job: ApiObject): void {
  const spec = at(job, 'spec');
  if (!isObject(spec)) return;
  fillPodSpec(at(spec, 'template', 'spec'));
  // One pod is the work, unless pods share work that they end themselves.
  if (spec['completions'] === undefined && spec['parallelism'] === undefined) spec['completions'] = 1;
  spec['parallelism'] ??= 1;
  const labels = at(spec, 'template', 'metadata', 'labels');
  if (job.metadata.labels === undefined && isObject(labels))
    job.metadata.labels = { ...(labels as Record<string, string>) };
}

const prefix = 'batch.kubernetes.io/';

/** The job's pods are told by its uid, unless its author knows better. */
export function prepareJob(job: ApiObject): void {
  job['status'] = {};
  const spec = at(job, 'spec');
  const template = at(spec, 'template');
  if (!isObject(spec) || !isObject(template) || spec['manualSelector'] === true) return;
  const { uid = '', name = '' } = job.metadata;
  const metadata = (isObject(template['metadata']) ? template['metadata'] : {}) as Record<string, unknown>;
  const labels = {
    ...(metadata['labels'] as Record<string, string> | undefined),
    [`${prefix}controller-uid`]: uid,
    [`${prefix}job-name`]: name,
    'controller-uid': uid,
    'job-name': name,
  };
  template['metadata'] = { ...metadata, labels };
  spec['selector'] = { matchLabels: { [`${prefix}controller-uid`]: uid } };
}

export function checkJob(job: ApiObject, old: ApiObject | undefined): readonly Cause[] {
  const causes = [...checkJobSpec(at(job, 'spec'), 'spec')];
  if (old === undefined) return causes;
  const indexed = textAt(job, 'spec', 'completionMode') === 'Indexed';
  // A job that waits may still get other resources and places for its pods.
  const waits = at(old, 'spec', 'suspend') === true && at(old, 'status', 'startTime') === undefined;
  const fields = ['selector', 'completionMode', ...(waits ? [] : ['template']), ...(indexed ? [] : ['completions'])];
  for (const field of fields) {
    if (!isSameJson(at(job, 'spec', field), at(old, 'spec', field)))
      causes.push(invalidValue(`spec.${field}`, at(job, 'spec', field) ?? null, 'field is immutable'));
  }
  return causes;
}

function checkJobSpec(spec: unknown, field: string): readonly Cause[] {
  const causes = [...checkPodSpec(at(spec, 'template', 'spec'), `${field}.template.spec`)];
  if (textAt(spec, 'template', 'spec', 'restartPolicy') === 'Always') {
    const path = `${field}.template.spec.restartPolicy`;
    causes.push(required(path, 'valid values: "OnFailure", "Never"'));
  }
  if (textAt(spec, 'completionMode') === 'Indexed' && at(spec, 'completions') === undefined)
    causes.push(required(`${field}.completions`, "when completion mode is 'Indexed'"));
  return causes;
}

export function checkCronJob(cronJob: ApiObject): readonly Cause[] {
  const causes = [...checkJobSpec(at(cronJob, 'spec', 'jobTemplate', 'spec'), 'spec.jobTemplate.spec')];
  const schedule = textAt(cronJob, 'spec', 'schedule');
  if (/\bTZ=/.test(schedule))
    causes.push(forbidden('spec.schedule', 'cannot use TZ or CRON_TZ in schedule, use timeZone'));
  else if (parseSchedule(schedule) === undefined)
    causes.push(invalidValue('spec.schedule', schedule, 'expected five fields: minute, hour, day, month, day of week'));
  const zone = at(cronJob, 'spec', 'timeZone');
  if (zone !== undefined && !isTimeZone(String(zone)))
    causes.push(invalidValue('spec.timeZone', zone, 'unknown time zone'));
  const { name = '' } = cronJob.metadata;
  // Names of its jobs are longer by eleven characters.
  if (name.length > 52) causes.push(invalidValue('metadata.name', name, 'must be no more than 52 characters'));
  return causes;
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return name !== '';
  } catch {
    return false;
  }
}
