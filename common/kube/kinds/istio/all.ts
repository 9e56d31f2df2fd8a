/** Istio's kinds but those of security.istio.io. */
import type { CustomKind } from '../../schema/types.ts';
import { serviceEntry } from './service-entry.ts';
import { workloadEntry, workloadGroup } from './workload-entry.ts';

export const istioKinds: readonly CustomKind[] = [serviceEntry, workloadEntry, workloadGroup];
