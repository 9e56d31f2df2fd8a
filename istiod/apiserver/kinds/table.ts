/** Every built-in kind. A new one is its schema in common/kube/schema and a row in one of these files. */
import type { Resource } from '../resources/resource.ts';
import { accessResources } from './access.ts';
import { resourcesOf } from './built-in.ts';
import { clusterResources } from './cluster.ts';
import { coreResources } from './core.ts';
import { extensionResources } from './extensions.ts';
import { workloadResources } from './workloads.ts';

export const builtInResources: readonly Resource[] = [
  ...coreResources,
  ...workloadResources,
  ...clusterResources,
  ...accessResources,
  ...extensionResources,
].flatMap(resourcesOf);
