/** Istio's kinds. */
import type { CustomKind } from '../../schema/types.ts';
import { securityKinds } from '../security.ts';
import { destinationRule } from './destination-rule.ts';
import { envoyFilter } from './envoy-filter.ts';
import { extensionKinds } from './extensions.ts';
import { istioGateway } from './istio-gateway.ts';
import { proxyConfig } from './proxy-config.ts';
import { serviceEntry } from './service-entry.ts';
import { sidecar } from './sidecar.ts';
import { telemetry } from './telemetry.ts';
import { virtualService } from './virtual-service.ts';
import { workloadEntry, workloadGroup } from './workload-entry.ts';

export const istioKinds: readonly CustomKind[] = [
  virtualService,
  destinationRule,
  istioGateway,
  serviceEntry,
  workloadEntry,
  workloadGroup,
  sidecar,
  envoyFilter,
  proxyConfig,
  ...securityKinds,
  telemetry,
  ...extensionKinds,
];
