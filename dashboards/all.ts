/** Every dashboard. */
import { istiod } from './istiod.ts';
import { mesh } from './mesh.ts';
import type { Dashboard } from './model.ts';
import { service } from './service.ts';
import { waypoint } from './waypoint.ts';
import { workload } from './workload.ts';
import { ztunnel } from './ztunnel.ts';

export const dashboards: readonly Dashboard[] = [mesh, service, workload, ztunnel, waypoint, istiod];
