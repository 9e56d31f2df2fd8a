/** How kinds are written. */
import type { Kind } from './types.ts';

/** `v1` or `apps/v1`. */
export function apiVersionOf(kind: Pick<Kind, 'group' | 'version'>): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

/** `pods.core`, `authorizationpolicies.security.istio.io`: the kind's name in paths and as a map key. */
export function kindName(kind: Pick<Kind, 'group' | 'plural'>): string {
  return `${kind.plural}.${kind.group === '' ? 'core' : kind.group}`;
}
