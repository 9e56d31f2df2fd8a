/** Every built-in kind. A new one is its schema in common/kube/schema and a row in one of these files. */
import type { Resource } from '../resources/resource.ts';
import { accessResources } from './access.ts';
import { autoscalingResources } from './autoscaling.ts';
import { resourcesOf } from './built-in.ts';
import { clusterResources } from './cluster.ts';
import { coreResources } from './core.ts';
import { eventResources } from './events.ts';
import { extensionResources } from './extensions.ts';
import { networkingResources } from './networking.ts';
import { policyResources } from './policies.ts';
import { storageResources } from './storage.ts';
import { workloadResources } from './workloads.ts';

export const builtInResources: readonly Resource[] = [
  // Before core, whose version of them is stored: of resources with one store the last is who reads it.
  ...eventResources,
  ...coreResources,
  ...workloadResources,
  ...clusterResources,
  ...autoscalingResources,
  ...networkingResources,
  ...storageResources,
  ...policyResources,
  ...accessResources,
  ...extensionResources,
].flatMap(resourcesOf);
