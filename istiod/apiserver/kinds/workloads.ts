/** apps and batch, as the API server serves them. */

import { kindName } from '../../../common/kube/names.ts';
import { appsKinds } from '../../../common/kube/schema/apps.ts';
import type { KindEntry } from '../../../common/kube/schema/types.ts';
import { isObject } from '../../../common/kube/schema/validate.ts';
import { workloadKinds } from '../../../common/kube/schema/workloads.ts';
import type { ApiObject } from '../objects.ts';
import type { ScalePaths, Strategy } from '../resources/resource.ts';
import type { Cause } from '../status.ts';
import type { BuiltInKind } from './built-in.ts';
import { age, at, listAt, number, numberAt, text, textAt, wide } from './columns.ts';
import { checkCronJob, checkJob, fillJob, prepareJob } from './job-rules.ts';
import { checkPodSpec } from './pod-rules.ts';
import { fillPodSpec } from './pods.ts';
import { checkSelector, forbidden, sameFields } from './rules.ts';

const entries = new Map([...appsKinds, ...workloadKinds].map((e) => [kindName(e.kind), e]));

function entry(name: string): KindEntry {
  return entries.get(name)!;
}

const replicas: ScalePaths = {
  specReplicas: '.spec.replicas',
  statusReplicas: '.status.replicas',
  labelSelector: undefined,
};

const templated: Strategy = {
  fillIn: (o) => fillPodSpec(at(o, 'spec', 'template', 'spec')),
  validate: (o, old) => [...checkTemplate(o), ...checkSelector(o, old)],
};

/** Pods of these start again whatever happens. */
function checkTemplate(object: ApiObject): readonly Cause[] {
  const policy = textAt(object, 'spec', 'template', 'spec', 'restartPolicy');
  const claimed = listAt(object, 'spec', 'volumeClaimTemplates').map((t) => textAt(t, 'metadata', 'name'));
  const causes = checkPodSpec(at(object, 'spec', 'template', 'spec'), 'spec.template.spec', claimed);
  if (policy === 'Always') return causes;
  return [
    ...causes,
    {
      reason: 'FieldValueNotSupported',
      field: 'spec.template.spec.restartPolicy',
      message: `Unsupported value: ${JSON.stringify(policy)}: supported values: "Always"`,
    },
  ];
}

/** With `defaults` where the replacement is step by step. */
function fillRolling(object: ApiObject, field: string, defaults: object): void {
  const strategy = at(object, 'spec', field);
  if (!isObject(strategy) || strategy['type'] !== 'RollingUpdate') return;
  strategy['rollingUpdate'] = { ...defaults, ...(strategy['rollingUpdate'] as object | undefined) };
}

/** Of a StatefulSet's spec, what may change. */
const freeOfStatefulSet = [
  'replicas',
  'ordinals',
  'template',
  'updateStrategy',
  'revisionHistoryLimit',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
];

const templateOf = (o: ApiObject) => listAt(o, 'spec', 'template', 'spec', 'containers');
const containers = wide(
  text('Containers', 'Names of the containers', (o) =>
    templateOf(o)
      .map((c) => textAt(c, 'name'))
      .join(','),
  ),
);
const images = wide(
  text('Images', 'Their images', (o) =>
    templateOf(o)
      .map((c) => textAt(c, 'image'))
      .join(','),
  ),
);
const selector = wide(
  text('Selector', 'Labels of the pods', (o) =>
    Object.entries((at(o, 'spec', 'selector', 'matchLabels') ?? {}) as object)
      .map(([k, v]) => `${k}=${v}`)
      .join(','),
  ),
);
const ready = text(
  'Ready',
  'Pods that are ready, of those wanted',
  (o) => `${numberAt(o, 'status', 'readyReplicas')}/${numberAt(o, 'spec', 'replicas')}`,
);
const ofSpec = (name: string, field: string) => number(name, `spec.${field}`, (o) => numberAt(o, 'spec', field));
const ofStatus = (name: string, field: string) => number(name, `status.${field}`, (o) => numberAt(o, 'status', field));

export const workloadResources: readonly BuiltInKind[] = [
  {
    entry: entry('deployments.apps'),
    shortNames: ['deploy'],
    categories: ['all'],
    hasStatus: true,
    hasGeneration: true,
    scale: replicas,
    columns: [
      ready,
      ofStatus('Up-to-date', 'updatedReplicas'),
      ofStatus('Available', 'availableReplicas'),
      age,
      containers,
      images,
      selector,
    ],
    strategy: {
      ...templated,
      fillIn(object) {
        templated.fillIn?.(object);
        fillRolling(object, 'strategy', { maxSurge: '25%', maxUnavailable: '25%' });
      },
      validate(object, old) {
        const recreates = textAt(object, 'spec', 'strategy', 'type') === 'Recreate';
        const extra = recreates && at(object, 'spec', 'strategy', 'rollingUpdate') !== undefined;
        return [
          ...(templated.validate?.(object, old, '') ?? []),
          ...(extra
            ? [forbidden('spec.strategy.rollingUpdate', "may not be specified when strategy `type` is 'Recreate'")]
            : []),
        ];
      },
    },
  },
  {
    entry: entry('replicasets.apps'),
    shortNames: ['rs'],
    categories: ['all'],
    hasStatus: true,
    hasGeneration: true,
    scale: replicas,
    selectableFields: ['status.replicas'],
    columns: [
      ofSpec('Desired', 'replicas'),
      ofStatus('Current', 'replicas'),
      ofStatus('Ready', 'readyReplicas'),
      age,
      containers,
      images,
      selector,
    ],
    strategy: templated,
  },
  {
    entry: entry('daemonsets.apps'),
    shortNames: ['ds'],
    categories: ['all'],
    hasStatus: true,
    hasGeneration: true,
    columns: [
      ofStatus('Desired', 'desiredNumberScheduled'),
      ofStatus('Current', 'currentNumberScheduled'),
      ofStatus('Ready', 'numberReady'),
      ofStatus('Up-to-date', 'updatedNumberScheduled'),
      ofStatus('Available', 'numberAvailable'),
      age,
      containers,
      images,
      selector,
    ],
    strategy: {
      ...templated,
      fillIn(object) {
        templated.fillIn?.(object);
        fillRolling(object, 'updateStrategy', { maxSurge: 0, maxUnavailable: 1 });
      },
    },
  },
  {
    entry: entry('statefulsets.apps'),
    shortNames: ['sts'],
    categories: ['all'],
    hasStatus: true,
    hasGeneration: true,
    scale: replicas,
    columns: [ready, age, containers, images],
    strategy: {
      ...templated,
      fillIn(object) {
        templated.fillIn?.(object);
        fillRolling(object, 'updateStrategy', { partition: 0 });
      },
      validate: (object, old) => [
        ...checkTemplate(object),
        ...checkSelector(object, undefined),
        ...(old === undefined
          ? []
          : sameFields(object, old, ['spec'], freeOfStatefulSet, 'can only change in some of its fields')),
      ],
    },
  },
  {
    entry: entry('controllerrevisions.apps'),
    columns: [number('Revision', 'Of the history', (o) => numberAt(o, 'revision')), age],
  },
  {
    entry: entry('jobs.batch'),
    categories: ['all'],
    hasStatus: true,
    hasGeneration: true,
    selectableFields: ['status.successful'],
    columns: [
      text('Status', 'How it goes', jobStatus),
      text(
        'Completions',
        'Pods that succeeded, of those wanted',
        (o) => `${numberAt(o, 'status', 'succeeded')}/${at(o, 'spec', 'completions') ?? 1}`,
      ),
      age,
      containers,
      images,
      selector,
    ],
    strategy: { fillIn: fillJob, prepareCreate: prepareJob, validate: checkJob },
  },
  {
    entry: entry('cronjobs.batch'),
    shortNames: ['cj'],
    categories: ['all'],
    hasStatus: true,
    hasGeneration: true,
    columns: [
      text('Schedule', 'When it starts', (o) => textAt(o, 'spec', 'schedule')),
      text('Suspend', 'Whether it is held', (o) => (at(o, 'spec', 'suspend') === true ? 'True' : 'False')),
      number('Active', 'Jobs that run', (o) => listAt(o, 'status', 'active').length),
      age,
    ],
    strategy: {
      fillIn: (o) => fillPodSpec(at(o, 'spec', 'jobTemplate', 'spec', 'template', 'spec')),
      validate: checkCronJob,
    },
  },
];

function jobStatus(job: ApiObject): string {
  const conditions = listAt(job, 'status', 'conditions').filter((c) => textAt(c, 'status') === 'True');
  const has = (type: string) => conditions.some((c) => textAt(c, 'type') === type);
  if (has('Complete')) return 'Complete';
  if (has('Failed')) return 'Failed';
  if (job.metadata.deletionTimestamp !== undefined) return 'Terminating';
  return has('Suspended') ? 'Suspended' : 'Running';
}
