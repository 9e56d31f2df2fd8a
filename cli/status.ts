/** `aquifer lab status`: programs, pods and Services of a lab as tables. Pure. */
import type { Deployment } from '../common/kube/kinds/apps.ts';
import type { Pod, Service } from '../common/kube/kinds/core.ts';
import { formatAge, formatTable } from './table.ts';

export interface LabStatus {
  readonly name: string;
  /** Process of the lab's daemon; undefined when it is dead. */
  readonly daemon: number | undefined;
  /** Path, for kubectl. */
  readonly kubeconfig: string;
  readonly programs: readonly { readonly name: string; readonly host: string; readonly pid: number | undefined }[];
  readonly pods: readonly Pod[];
  readonly deployments: readonly Deployment[];
  readonly services: readonly Service[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export function formatStatus(s: LabStatus): string {
  const daemon = s.daemon === undefined ? 'its daemon is DEAD: aquifer lab up starts it anew' : `daemon ${s.daemon}`;
  const problems = s.deployments.flatMap((d) => {
    const failure = d.status?.conditions?.find((c) => c.type === 'ReplicaFailure' && c.status === 'True');
    return failure ? [`Deployment ${d.metadata.namespace}/${d.metadata.name}: ${failure.message}`] : [];
  });
  return [
    `lab ${s.name}, ${daemon}; KUBECONFIG=${s.kubeconfig}`,
    ...(s.programs.length > 0 ? [programTable(s)] : []),
    s.pods.length > 0 ? podTable(s) : 'no pods; try: aquifer lab apply -f FILE',
    ...(s.services.length > 0 ? [serviceTable(s)] : []),
    ...(problems.length > 0 ? [`problems:\n${problems.map((p) => `  ${p}`).join('\n')}`] : []),
  ].join('\n\n');
}

function programTable(s: LabStatus): string {
  const rows = s.programs.map((p) => [p.name, p.host, p.pid === undefined ? 'not running' : String(p.pid)]);
  return formatTable(['PROGRAM', 'HOST', 'PID'], rows);
}

function podTable(s: LabStatus): string {
  const rows = [...s.pods]
    .sort((a, b) => (title(a) < title(b) ? -1 : 1))
    .map((pod) => {
      const containers = pod.status?.containerStatuses ?? [];
      const created = Date.parse(pod.metadata.creationTimestamp ?? '');
      return [
        pod.metadata.namespace ?? '',
        pod.metadata.name,
        `${containers.filter((c) => c.ready).length}/${pod.spec.containers.length}`,
        stateOf(pod),
        String(containers.reduce((sum, c) => sum + c.restartCount, 0)),
        Number.isNaN(created) ? '' : formatAge(s.now - created),
        meshOf(pod),
        pod.status?.podIPs?.map((x) => x.ip).join(' ') ?? '',
        pod.spec.nodeName ?? '',
      ];
    });
  return formatTable(['NAMESPACE', 'POD', 'READY', 'STATUS', 'RESTARTS', 'AGE', 'MESH', 'ADDRESSES', 'NODE'], rows);
}

function title(o: Pod | Service): string {
  return `${o.metadata.namespace}/${o.metadata.name}`;
}

/** As kubectl: the reason why a container waits says more than the phase. */
function stateOf(pod: Pod): string {
  if (pod.metadata.deletionTimestamp !== undefined) return 'Terminating';
  const waiting = (pod.status?.containerStatuses ?? []).flatMap((c) => {
    const state = c.state?.['waiting'] as { reason?: string } | undefined;
    return state?.reason ? [state.reason] : [];
  });
  return waiting[0] ?? pod.status?.phase ?? 'Pending';
}

function meshOf(pod: Pod): string {
  if (pod.spec.hostNetwork) return '-';
  const redirection = pod.metadata.annotations?.['ambient.istio.io/redirection'];
  return redirection === 'enabled' ? 'in' : (redirection ?? 'out');
}

function serviceTable(s: LabStatus): string {
  const rows = [...s.services]
    .sort((a, b) => (title(a) < title(b) ? -1 : 1))
    .map((service) => [
      service.metadata.namespace ?? '',
      service.metadata.name,
      service.spec.clusterIPs?.join(' ') ?? service.spec.clusterIP ?? service.spec.externalName ?? '',
      (service.spec.ports ?? []).map((p) => `${p.port}/${p.protocol ?? 'TCP'}`).join(' '),
    ]);
  return formatTable(['NAMESPACE', 'SERVICE', 'ADDRESSES', 'PORTS'], rows);
}
