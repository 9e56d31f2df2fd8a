/** What a lab still waits for, in words. Pure. */
import type { Deployment } from '../../common/kube/kinds/apps.ts';
import type { Pod, Service } from '../../common/kube/kinds/core.ts';
import { podReady } from '../pods/conditions.ts';

export interface LabObjects {
  readonly deployments: readonly Deployment[];
  readonly pods: readonly Pod[];
  readonly services: readonly Service[];
}

export function missing({ deployments, pods, services }: LabObjects): string[] {
  return [
    ...deployments.flatMap(deploymentMissing),
    ...pods.flatMap(podMissing),
    ...services.flatMap((s) => {
      if (s.spec.type === 'ExternalName' || s.spec.clusterIP !== undefined) return [];
      return [`Service ${s.metadata.namespace}/${s.metadata.name} has no address`];
    }),
  ];
}

function deploymentMissing(d: Deployment): string[] {
  const name = `Deployment ${d.metadata.namespace}/${d.metadata.name}`;
  const failure = d.status?.conditions?.find((c) => c.type === 'ReplicaFailure' && c.status === 'True');
  if (failure) return [`${name}: ${failure.message}`];
  const wanted = d.spec.replicas ?? 1;
  const { observedGeneration, updatedReplicas = 0, readyReplicas = 0, replicas = 0 } = d.status ?? {};
  const current = observedGeneration === d.metadata.generation;
  if (current && updatedReplicas === wanted && readyReplicas === wanted && replicas === wanted) return [];
  return [`${name}: ${current ? Math.min(readyReplicas, updatedReplicas) : 0} of ${wanted} pods are ready`];
}

/** Of a container that does not run, why; of pods that have ended well, nothing. */
function podMissing(pod: Pod): string[] {
  if (podReady(pod) || pod.status?.phase === 'Succeeded') return [];
  const name = `Pod ${pod.metadata.namespace}/${pod.metadata.name}`;
  if (pod.metadata.deletionTimestamp !== undefined) return [`${name} is ending`];
  const scheduled = pod.status?.conditions?.find((c) => c.type === 'PodScheduled');
  if (scheduled?.status === 'False') return [`${name}: ${scheduled.message}`];
  const reasons = (pod.status?.containerStatuses ?? []).flatMap((c) => {
    const waiting = c.state?.['waiting'] as { reason?: string; message?: string } | undefined;
    return waiting ? [`${c.name}: ${waiting.reason}${waiting.message ? `, ${waiting.message}` : ''}`] : [];
  });
  return [`${name} is not ready${reasons.length > 0 ? ` (${reasons.join('; ')})` : ''}`];
}
