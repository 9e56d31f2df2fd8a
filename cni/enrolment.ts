/** Which pods belong to the mesh (ambient-wire 6.3). Pure. */
import type { Namespace, Pod } from '../common/kube/kinds/core.ts';

export const dataplaneModeLabel = 'istio.io/dataplane-mode';
const sidecarAnnotation = 'sidecar.istio.io/status';

export type Enrolment = { readonly kind: 'enrol' } | { readonly kind: 'leave-alone'; readonly reason: string };

/** `namespace` is undefined while it has not been seen; its label then counts as absent. */
export function decideEnrolment(
  pod: Pod,
  namespace: Namespace | undefined,
  excludedNamespaces: ReadonlySet<string>,
): Enrolment {
  const no = (reason: string): Enrolment => ({ kind: 'leave-alone', reason });
  if (excludedNamespaces.has(pod.metadata.namespace ?? '')) return no('its namespace is excluded');
  if (pod.spec.hostNetwork === true) return no('it uses the network of its node');
  if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return no('it has ended');
  if (pod.metadata.annotations?.[sidecarAnnotation] !== undefined) return no('it has a sidecar');
  const own = pod.metadata.labels?.[dataplaneModeLabel];
  if (own === 'ambient') return { kind: 'enrol' };
  if (own === 'none') return no(`its label ${dataplaneModeLabel} is none`);
  if (namespace?.metadata.labels?.[dataplaneModeLabel] === 'ambient') return { kind: 'enrol' };
  return no(`neither it nor its namespace has the label ${dataplaneModeLabel}=ambient`);
}
