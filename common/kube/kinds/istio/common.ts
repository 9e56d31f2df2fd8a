/** What Istio's kinds have in common (api-fields.txt). */
import {
  about,
  type Column,
  type CustomKind,
  integer,
  intOrString,
  list,
  map,
  type ObjectSchema,
  object,
  oneOf,
  string,
  type TypeOf,
  where,
} from '../../schema/types.ts';
import type { Kind } from '../../types.ts';
import type { Condition } from '../core.ts';

const dateTime = string({ format: 'date-time' });

export const istioStatus = about(
  'What controllers found; written by them.',
  object(
    {
      conditions: about(
        'The present state, one condition of each type.',
        list(
          object({
            type: about('What the condition is about.', string()),
            status: about('True, False or Unknown.', string()),
            reason: about('The cause of the last change in one word.', string()),
            message: about('The cause of the last change for a reader.', string()),
            lastProbeTime: about('When the condition was looked at last.', dateTime),
            lastTransitionTime: about('When the status changed last.', dateTime),
            observedGeneration: about('metadata.generation of the object that was judged.', intOrString),
          }),
        ),
      ),
      observedGeneration: about('metadata.generation of the object that was judged.', intOrString),
      validationMessages: about(
        'Mistakes and warnings of analysis.',
        list(
          object({
            type: object({
              name: about('Name of this sort of message.', string()),
              code: about('Code of this sort of message, IST and four digits.', string()),
            }),
            level: about('How bad it is.', oneOf('UNKNOWN', 'ERROR', 'WARNING', 'INFO')),
            documentationUrl: about('Where this sort of message is described.', string()),
          }),
        ),
      ),
    },
    { 'x-kubernetes-preserve-unknown-fields': true },
  ),
);
/** Who writes a condition names its type and status. */
export type IstioStatus = Omit<TypeOf<typeof istioStatus>, 'conditions'> & {
  readonly conditions?: readonly Condition[];
};

/** Go's notation: `1h30m`, `250ms`. */
export const anyDuration = string();
export const duration = where(
  string(),
  "duration(self) >= duration('1ms')",
  'expected a duration of at least 1ms, such as 250ms, 10s or 1h30m',
);

export const uint32 = integer(0, 4_294_967_295);
/** Of a 32-bit integer that is not negative. */
export const count32 = { ...integer(0), format: 'int32' };

const labelOf = (what: string) =>
  where(string({ maxLength: 63 }), "!self.contains('*')", `a ${what} is matched as it is written; remove the "*"`);

export const selector = about(
  'Which workloads of the namespace this is for, by the labels of their pods; of the root namespace: which of all.',
  object({
    matchLabels: about(
      'A workload has to have all of these labels.',
      where(
        where(
          map(labelOf('label value'), { maxProperties: 4096 }),
          "self.all(name, !name.contains('*'))",
          'labels are named as they are; remove the "*"',
        ),
        "self.all(name, name != '')",
        'a label has no name',
      ),
    ),
  }),
);
export type WorkloadSelector = TypeOf<typeof selector>;

/** The older selector, of networking.istio.io. */
export const labelSelector = about(
  'Which workloads of the namespace this is for, by the labels of their pods; of the root namespace: which of all.',
  object({
    labels: about('A workload has to have all of these labels.', map(labelOf('label value'), { maxProperties: 256 })),
  }),
);

export const targetRefFields = {
  group: about(
    'API group of the target; empty for the core group.',
    string({
      maxLength: 253,
      pattern: '^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
      expects: 'an API group, empty for the core group',
    }),
  ),
  'kind!': about(
    'Kind of the target: Gateway, GatewayClass, Service or ServiceEntry.',
    string({
      minLength: 1,
      maxLength: 63,
      pattern: '^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$',
      expects: 'a kind such as "Service"',
    }),
  ),
  'name!': about('Name of the target.', string({ minLength: 1, maxLength: 253 })),
  namespace: about(
    'Left out: targets are of the same namespace.',
    where(string(), "self == ''", 'a target is always of the same namespace; leave this field out'),
  ),
} as const;

export const targetRef = object(targetRefFields);
export type PolicyTargetReference = TypeOf<typeof targetRef>;

export const targetRefs = about(
  'What this is attached to: waypoints and gateways, or services behind a waypoint.',
  list(targetRef, { maxItems: 16 }),
);

/** selector, targetRef and targetRefs say the same thing in three ways. */
export const oneTarget = { atMostOneOf: [['selector', 'targetRef', 'targetRefs']] };

export const age: Column = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Time since it was created',
};

interface Description {
  readonly description: string;
  /** The first one is stored unless `storage` says otherwise. */
  readonly versions: readonly string[];
  readonly storage?: string;
  readonly shortNames?: readonly string[];
  readonly columns?: readonly Column[];
  readonly spec: ObjectSchema;
  readonly specRequired?: boolean;
}

export function istioKind(kind: Kind, given: Description): CustomKind {
  const { description, versions, storage = versions[0]!, shortNames = [], columns = [], spec } = given;
  const status = istioStatus;
  return {
    kind,
    description,
    versions,
    storage,
    deprecated: [],
    shortNames,
    columns,
    categories: ['istio-io', kind.group.replaceAll('.', '-')],
    // Helm leaves them, and all objects with them, where a chart goes.
    annotations: { 'helm.sh/resource-policy': 'keep' },
    nameRule: 'subdomain',
    fields: object(given.specRequired === false ? { spec, status } : { 'spec!': spec, status }),
  };
}
