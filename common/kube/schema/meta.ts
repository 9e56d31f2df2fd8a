/** metadata of every object, and the rules for names. */
import {
  boolean,
  integer,
  list,
  map,
  mergeList,
  type NameRule,
  object,
  open,
  type StringSchema,
  string,
} from './types.ts';

export const label = string({
  maxLength: 63,
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
  expects: 'an RFC 1123 label: lower-case letters, digits and "-", at most 63',
});

export const names: Readonly<Record<NameRule, StringSchema>> = {
  label,
  subdomain: string({
    maxLength: 253,
    pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
    expects: 'an RFC 1123 subdomain: lower-case letters, digits, "-" and ".", at most 253',
  }),
  service: string({
    maxLength: 63,
    pattern: '^[a-z]([-a-z0-9]*[a-z0-9])?$',
    expects: 'an RFC 1035 label: lower-case letters, digits and "-", beginning with a letter, at most 63',
  }),
  path: string({
    pattern: '^(?!\\.{1,2}$)[^/%]+$',
    expects: 'a part of a path: neither "/" nor "%", and not "." or ".."',
  }),
};

export const labelValue = string({
  maxLength: 63,
  pattern: '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$',
  expects: 'a label value: letters, digits, "-", "_" and ".", at most 63',
});

export const labels = map(labelValue);

export const ownerReference = object({
  'apiVersion!': string(),
  'kind!': string(),
  'name!': string(),
  'uid!': string(),
  controller: boolean,
  blockOwnerDeletion: boolean,
});

/** metadata of an object or, without a name, of a template. */
export const templateMetadata = object({
  name: string(),
  namespace: label,
  labels,
  annotations: map(string()),
  creationTimestamp: string(),
});

export const metadata = (nameRule: NameRule, namespaced: boolean) =>
  object({
    'name!': names[nameRule],
    ...(namespaced ? { namespace: label } : {}),
    generateName: string(),
    uid: string(),
    resourceVersion: string(),
    generation: integer(),
    labels,
    annotations: map(string()),
    creationTimestamp: string(),
    deletionTimestamp: string(),
    deletionGracePeriodSeconds: integer(0),
    finalizers: {
      ...list(string(), { 'x-kubernetes-list-type': 'set' }),
      'x-kubernetes-patch-strategy': 'merge',
    },
    ownerReferences: mergeList(ownerReference, 'uid'),
    managedFields: list(open),
    selfLink: string(),
  });

/** The conditions that controllers write into status. */
export const condition = object({
  'type!': string(),
  'status!': string(),
  reason: string(),
  message: string(),
  lastProbeTime: string({ nullable: true }),
  lastTransitionTime: string({ nullable: true }),
  lastUpdateTime: string({ nullable: true }),
  lastHeartbeatTime: string({ nullable: true }),
  observedGeneration: { 'x-kubernetes-int-or-string': true },
});

/** One of each type. */
export const conditions = mergeList(condition, 'type');
