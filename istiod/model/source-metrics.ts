/** What comes from the API server, under Istio's names. */
import { Counter, type Registry } from 'prom-client';

/** `updatesame`: nothing that is read has changed, most often a status. */
export type ObjectEvent = 'add' | 'update' | 'updatesame' | 'delete';

export interface SourceMetrics {
  event(kind: string, isCustom: boolean, event: ObjectEvent): void;
  /** Asking the API server for a kind failed. */
  failed(): void;
}

/** As Istio calls the kinds of a cluster itself. */
const registryTypes: Readonly<Record<string, string>> = {
  EndpointSlice: 'EndpointSlice',
  Node: 'Nodes',
  Pod: 'Pods',
  Service: 'Services',
};

export function createSourceMetrics(registry: Registry, clusterId: string): SourceMetrics {
  const registers = [registry];
  const labelNames = ['type', 'event'] as const;
  const config = new Counter({
    name: 'pilot_k8s_cfg_events',
    help: "Changes of objects of the mesh's own kinds.",
    labelNames,
    registers,
  });
  const cluster = new Counter({
    name: 'pilot_k8s_reg_events',
    help: 'Changes of pods, services, endpoints and nodes.',
    labelNames,
    registers,
  });
  const updates = new Counter({
    name: 'pilot_inbound_updates',
    help: 'Changes that may change the mesh: config, eds, svc or svcdelete.',
    labelNames: ['type'],
    registers,
  });
  const failures = new Counter({
    name: 'controller_sync_errors_total',
    help: 'Times that listing or watching a kind failed.',
    labelNames: ['cluster'],
    registers,
  });
  return {
    event(kind, isCustom, event) {
      if (isCustom) config.inc({ type: kind, event: event === 'updatesame' ? 'update' : event });
      else if (Object.hasOwn(registryTypes, kind)) cluster.inc({ type: registryTypes[kind]!, event });
      const type = updateOf(kind, isCustom, event);
      if (type !== undefined) updates.inc({ type });
    },
    failed: () => failures.inc({ cluster: clusterId }),
  };
}

function updateOf(kind: string, isCustom: boolean, event: ObjectEvent): string | undefined {
  if (event === 'updatesame') return undefined;
  if (isCustom) return 'config';
  if (kind === 'EndpointSlice') return 'eds';
  if (kind === 'Service') return event === 'delete' ? 'svcdelete' : 'svc';
  return undefined;
}
