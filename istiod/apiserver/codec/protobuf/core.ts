/** k8s.io/api/core/v1. */
import { list, map, message } from './message.ts';
import { objectMeta } from './meta.ts';

const localObjectReference = message({ name: [1, 'string'] });

export const objectReference = message({
  kind: [1, 'string'],
  namespace: [2, 'string'],
  name: [3, 'string'],
  uid: [4, 'string'],
  apiVersion: [5, 'string'],
  resourceVersion: [6, 'string'],
  fieldPath: [7, 'string'],
});

export const namespace = message({
  metadata: [1, objectMeta],
  spec: [2, message({ finalizers: [1, list('string')] })],
  status: [3, message({ phase: [1, 'string'] })],
});

export const configMap = message({
  metadata: [1, objectMeta],
  data: [2, map('string')],
  binaryData: [3, map('bytes')],
  'immutable?': [4, 'bool'],
});

export const secret = message({
  metadata: [1, objectMeta],
  data: [2, map('bytes')],
  type: [3, 'string'],
  stringData: [4, map('string')],
  'immutable?': [5, 'bool'],
});

export const serviceAccount = message({
  metadata: [1, objectMeta],
  secrets: [2, list(objectReference)],
  imagePullSecrets: [3, list(localObjectReference)],
  'automountServiceAccountToken?': [4, 'bool'],
});
