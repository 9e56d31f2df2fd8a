/** apps/v1. */
import { deploymentKind } from '../kinds/apps.ts';
import { condition, labels, templateMetadata } from './meta.ts';
import { podSpec } from './pod.ts';
import { boolean, integer, intOrString, type KindEntry, list, object, oneOf, string } from './types.ts';

const labelSelector = object({
  matchLabels: labels,
  matchExpressions: list(
    object({
      'key!': string(),
      'operator!': oneOf('In', 'NotIn', 'Exists', 'DoesNotExist'),
      values: list(string()),
    }),
  ),
});

export const appsKinds: readonly KindEntry[] = [
  {
    kind: deploymentKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({
      'spec!': object({
        replicas: integer(0),
        'selector!': labelSelector,
        'template!': object({ metadata: templateMetadata, 'spec!': podSpec }),
        strategy: object({
          type: oneOf('RollingUpdate', 'Recreate'),
          rollingUpdate: object({ maxSurge: intOrString, maxUnavailable: intOrString }),
        }),
        minReadySeconds: integer(0),
        progressDeadlineSeconds: integer(0),
        revisionHistoryLimit: integer(0),
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
        conditions: list(condition),
      }),
    }),
  },
];
