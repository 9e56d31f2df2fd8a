/** k8s.io/apimachinery/pkg/apis/meta/v1. */
import { list, map, message } from './message.ts';

export const ownerReference = message({
  kind: [1, 'string'],
  name: [3, 'string'],
  uid: [4, 'string'],
  apiVersion: [5, 'string'],
  'controller?': [6, 'bool'],
  'blockOwnerDeletion?': [7, 'bool'],
});

export const managedFieldsEntry = message({
  manager: [1, 'string'],
  operation: [2, 'string'],
  apiVersion: [3, 'string'],
  'time?': [4, 'time'],
  fieldsType: [6, 'string'],
  'fieldsV1?': [7, 'json'],
  subresource: [8, 'string'],
});

export const objectMeta = message({
  name: [1, 'string'],
  generateName: [2, 'string'],
  namespace: [3, 'string'],
  selfLink: [4, 'string'],
  uid: [5, 'string'],
  resourceVersion: [6, 'string'],
  generation: [7, 'int'],
  creationTimestamp: [8, 'time'],
  'deletionTimestamp?': [9, 'time'],
  'deletionGracePeriodSeconds?': [10, 'int'],
  labels: [11, map('string')],
  annotations: [12, map('string')],
  ownerReferences: [13, list(ownerReference)],
  finalizers: [14, list('string')],
  managedFields: [17, list(managedFieldsEntry)],
});

export const condition = message({
  type: [1, 'string'],
  status: [2, 'string'],
  observedGeneration: [3, 'int'],
  lastTransitionTime: [4, 'time'],
  reason: [5, 'string'],
  message: [6, 'string'],
});

const labelSelectorRequirement = message({
  key: [1, 'string'],
  operator: [2, 'string'],
  values: [3, list('string')],
});

export const labelSelector = message({
  matchLabels: [1, map('string')],
  matchExpressions: [2, list(labelSelectorRequirement)],
});

export const deleteOptions = message({
  'gracePeriodSeconds?': [1, 'int'],
  'preconditions?': [2, message({ 'uid?': [1, 'string'], 'resourceVersion?': [2, 'string'] })],
  'orphanDependents?': [3, 'bool'],
  'propagationPolicy?': [4, 'string'],
  dryRun: [5, list('string')],
});
