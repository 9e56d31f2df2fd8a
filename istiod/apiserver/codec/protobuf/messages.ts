/** Every kind whose numbers are known: `apiVersion kind` -> its message. Clients send the others as JSON when told 415. */
import { configMap, namespace, secret, serviceAccount } from './core.ts';
import type { Message } from './message.ts';
import { deleteOptions } from './meta.ts';

/** DeleteOptions come under the version of the object that is deleted. */
const versionsOfOptions = [
  'v1',
  'meta.k8s.io/v1',
  'apps/v1',
  'batch/v1',
  'rbac.authorization.k8s.io/v1',
  'coordination.k8s.io/v1',
  'discovery.k8s.io/v1',
];

export const messages: ReadonlyMap<string, Message> = new Map([
  ['v1 Namespace', namespace],
  ['v1 ConfigMap', configMap],
  ['v1 Secret', secret],
  ['v1 ServiceAccount', serviceAccount],
  ...versionsOfOptions.map((v) => [`${v} DeleteOptions`, deleteOptions] as const),
]);
