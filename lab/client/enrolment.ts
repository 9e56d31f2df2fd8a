/** Which pods should be in the mesh, by Istio's rule (ambient-wire 6.3), and which say that they are. Pure. */
import type { Namespace, Pod } from '../../common/kube/kinds/core.ts';

const modeLabel = 'istio.io/dataplane-mode';
const redirection = 'ambient.istio.io/redirection';

export function wantsMesh(pod: Pod, namespace: Namespace | undefined): boolean {
  if (pod.spec.hostNetwork || pod.metadata.annotations?.['sidecar.istio.io/status'] !== undefined) return false;
  const own = pod.metadata.labels?.[modeLabel];
  if (own === 'ambient') return true;
  return namespace?.metadata.labels?.[modeLabel] === 'ambient' && own !== 'none';
}

/** Names of running pods whose annotation is not what it should be. */
export function notAsWanted(pods: readonly Pod[], namespaces: ReadonlyMap<string, Namespace>): string[] {
  const running = pods.filter((p) => p.status?.phase === 'Running' && p.metadata.deletionTimestamp === undefined);
  return running.flatMap((pod) => {
    const wants = wantsMesh(pod, namespaces.get(pod.metadata.namespace ?? 'default'));
    const annotation = pod.metadata.annotations?.[redirection];
    const isIn = annotation === 'enabled';
    if (wants === isIn && (wants || annotation === undefined)) return [];
    const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
    return [`${name} ${wants ? 'is not enrolled' : 'is still enrolled'} (${redirection}: ${annotation ?? 'absent'})`];
  });
}
