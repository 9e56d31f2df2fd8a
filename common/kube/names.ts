/** How kinds and objects are called. */
import type { Kind, KubeObject } from './types.ts';

/** `v1` or `apps/v1`. */
export function apiVersionOf(kind: Pick<Kind, 'group' | 'version'>): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

/** Of an object of a namespaced kind, which in files may say none. */
export function namespaceOf({ metadata }: Pick<KubeObject, 'metadata'>): string {
  return metadata.namespace ?? 'default';
}

/** `pods.core`, `authorizationpolicies.security.istio.io`: the kind's name in paths and as a map key. */
export function kindName(kind: Pick<Kind, 'group' | 'plural'>): string {
  return `${kind.plural}.${kind.group === '' ? 'core' : kind.group}`;
}
