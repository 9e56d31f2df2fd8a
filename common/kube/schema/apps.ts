/** apps/v1. */
import { deploymentKind } from '../kinds/apps.ts';
import { conditions, labels, templateMetadata } from './meta.ts';
import { podSpec } from './pod.ts';
import { boolean, integer, intOrString, type KindEntry, list, object, oneOf, string, withDefault } from './types.ts';

export const labelSelector = object(
  {
    matchLabels: labels,
    matchExpressions: list(
      object({
        'key!': string(),
        'operator!': oneOf('In', 'NotIn', 'Exists', 'DoesNotExist'),
        values: list(string()),
      }),
    ),
  },
  { 'x-kubernetes-map-type': 'atomic' },
);

export const podTemplate = object({ metadata: templateMetadata, 'spec!': podSpec });

export const appsKinds: readonly KindEntry[] = [
  {
    kind: deploymentKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({
      'spec!': object({
        replicas: withDefault(integer(0), 1),
        'selector!': labelSelector,
        'template!': podTemplate,
        strategy: {
          ...withDefault(
            object({
              type: withDefault(oneOf('RollingUpdate', 'Recreate'), 'RollingUpdate'),
              rollingUpdate: object({ maxSurge: intOrString, maxUnavailable: intOrString }),
            }),
            {},
          ),
          'x-kubernetes-patch-strategy': 'retainKeys',
        },
        minReadySeconds: integer(0),
        progressDeadlineSeconds: withDefault(integer(0), 600),
        revisionHistoryLimit: withDefault(integer(0), 10),
        paused: boolean,
      }),
      status: object({
        observedGeneration: integer(),
        replicas: integer(0),
        updatedReplicas: integer(0),
        readyReplicas: integer(0),
        availableReplicas: integer(0),
        unavailableReplicas: integer(0),
        terminatingReplicas: integer(0),
        collisionCount: integer(0),
        conditions,
      }),
    }),
  },
];
