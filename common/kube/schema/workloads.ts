/** ReplicaSet, DaemonSet, StatefulSet of apps/v1, and Job and CronJob of batch/v1. */
import type { Kind } from '../types.ts';
import { labelSelector, podTemplate } from './apps.ts';
import { conditions, ownerReference } from './meta.ts';
import {
  boolean,
  integer,
  intOrString,
  type KindEntry,
  list,
  map,
  object,
  oneOf,
  open,
  type Schema,
  string,
  withDefault,
} from './types.ts';

const apps = { group: 'apps', version: 'v1', namespaced: true } as const;
const batch = { group: 'batch', version: 'v1', namespaced: true } as const;

export const replicaSetKind: Kind = { ...apps, kind: 'ReplicaSet', plural: 'replicasets' };
export const daemonSetKind: Kind = { ...apps, kind: 'DaemonSet', plural: 'daemonsets' };
export const statefulSetKind: Kind = { ...apps, kind: 'StatefulSet', plural: 'statefulsets' };
export const controllerRevisionKind: Kind = { ...apps, kind: 'ControllerRevision', plural: 'controllerrevisions' };
export const jobKind: Kind = { ...batch, kind: 'Job', plural: 'jobs' };
export const cronJobKind: Kind = { ...batch, kind: 'CronJob', plural: 'cronjobs' };

/** Every member of a status is a count, but for those given. */
function counts(names: readonly string[], rest: Readonly<Record<string, Schema>> = {}) {
  return object({
    observedGeneration: integer(),
    ...Object.fromEntries(names.map((n) => [n, integer(0)])),
    conditions,
    ...rest,
  });
}

const rolling = object({ maxSurge: intOrString, maxUnavailable: intOrString });

const jobSpec = object({
  parallelism: integer(0),
  completions: integer(0),
  completionMode: withDefault(oneOf('NonIndexed', 'Indexed'), 'NonIndexed'),
  backoffLimit: withDefault(integer(0), 6),
  backoffLimitPerIndex: integer(0),
  maxFailedIndexes: integer(0),
  activeDeadlineSeconds: integer(1),
  ttlSecondsAfterFinished: integer(0),
  suspend: withDefault(boolean, false),
  manualSelector: boolean,
  managedBy: string(),
  podReplacementPolicy: oneOf('TerminatingOrFailed', 'Failed'),
  podFailurePolicy: open,
  successPolicy: open,
  selector: labelSelector,
  'template!': podTemplate,
});

export const workloadKinds: readonly KindEntry[] = [
  {
    kind: replicaSetKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({
      'spec!': object({
        replicas: withDefault(integer(0), 1),
        minReadySeconds: integer(0),
        'selector!': labelSelector,
        template: podTemplate,
      }),
      status: counts(['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'terminatingReplicas']),
    }),
  },
  {
    kind: daemonSetKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({
      'spec!': object({
        'selector!': labelSelector,
        'template!': podTemplate,
        minReadySeconds: integer(0),
        revisionHistoryLimit: withDefault(integer(0), 10),
        updateStrategy: withDefault(
          object({
            type: withDefault(oneOf('RollingUpdate', 'OnDelete'), 'RollingUpdate'),
            rollingUpdate: rolling,
          }),
          {},
        ),
      }),
      status: counts([
        'currentNumberScheduled',
        'numberMisscheduled',
        'desiredNumberScheduled',
        'numberReady',
        'updatedNumberScheduled',
        'numberAvailable',
        'numberUnavailable',
        'collisionCount',
      ]),
    }),
  },
  {
    kind: statefulSetKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({
      'spec!': object({
        replicas: withDefault(integer(0), 1),
        'selector!': labelSelector,
        'template!': podTemplate,
        serviceName: string(),
        podManagementPolicy: withDefault(oneOf('OrderedReady', 'Parallel'), 'OrderedReady'),
        updateStrategy: withDefault(
          object({
            type: withDefault(oneOf('RollingUpdate', 'OnDelete'), 'RollingUpdate'),
            rollingUpdate: object({ partition: integer(0), maxUnavailable: intOrString }),
          }),
          {},
        ),
        revisionHistoryLimit: withDefault(integer(0), 10),
        minReadySeconds: integer(0),
        ordinals: object({ start: integer(0) }),
        persistentVolumeClaimRetentionPolicy: object({
          whenDeleted: oneOf('Retain', 'Delete'),
          whenScaled: oneOf('Retain', 'Delete'),
        }),
        volumeClaimTemplates: list(open),
      }),
      status: counts(
        ['replicas', 'readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas', 'collisionCount'],
        { currentRevision: string(), updateRevision: string() },
      ),
    }),
  },
  {
    kind: controllerRevisionKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({ data: open, 'revision!': integer() }),
  },
  {
    kind: jobKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({
      'spec!': jobSpec,
      status: object({
        conditions,
        startTime: string(),
        completionTime: string(),
        active: integer(0),
        ready: integer(0),
        terminating: integer(0),
        succeeded: integer(0),
        failed: integer(0),
        completedIndexes: string(),
        failedIndexes: string(),
        uncountedTerminatedPods: object({ succeeded: list(string()), failed: list(string()) }),
      }),
    }),
  },
  {
    kind: cronJobKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({
      'spec!': object({
        'schedule!': string({ minLength: 1 }),
        timeZone: string(),
        startingDeadlineSeconds: integer(0),
        concurrencyPolicy: withDefault(oneOf('Allow', 'Forbid', 'Replace'), 'Allow'),
        suspend: withDefault(boolean, false),
        'jobTemplate!': object({
          metadata: object({
            labels: map(string()),
            annotations: map(string()),
            ownerReferences: list(ownerReference),
          }),
          'spec!': jobSpec,
        }),
        successfulJobsHistoryLimit: withDefault(integer(0), 3),
        failedJobsHistoryLimit: withDefault(integer(0), 1),
      }),
      status: object({ active: list(open), lastScheduleTime: string(), lastSuccessfulTime: string() }),
    }),
  },
];
