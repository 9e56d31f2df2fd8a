/** Every kind that Aquifer serves, in one table. A new kind is one entry here and its type in common/kube/kinds; of custom kinds both are there. */
import { gatewayApiKinds } from '../kinds/gateway-api/all.ts';
import { istioKinds } from '../kinds/istio/all.ts';
import type { Kind } from '../types.ts';
import { appsKinds } from './apps.ts';
import { coreKinds } from './core.ts';
import { discoveryKinds } from './discovery.ts';
import type { CustomKind, KindEntry } from './types.ts';

/** Kinds that API servers learn of by CustomResourceDefinitions. */
export const customKinds: readonly CustomKind[] = [...istioKinds, ...gatewayApiKinds];

export const kindTable: readonly KindEntry[] = [...coreKinds, ...appsKinds, ...discoveryKinds, ...customKinds];

/** `v1` or `apps/v1`. */
export function apiVersionOf(kind: Pick<Kind, 'group' | 'version'>): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

/** `pods.core`, `authorizationpolicies.security.istio.io`: the kind's name in paths and as a map key. */
export function kindName(kind: Pick<Kind, 'group' | 'plural'>): string {
  return `${kind.plural}.${kind.group === '' ? 'core' : kind.group}`;
}

/** Any of the versions that the entry accepts. */
export function findKind(apiVersion: string, kind: string): KindEntry | undefined {
  return kindTable.find(
    (e) =>
      e.kind.kind === kind &&
      e.versions.some((version) => apiVersionOf({ group: e.kind.group, version }) === apiVersion),
  );
}

export function findKindByName(name: string): KindEntry | undefined {
  return kindTable.find((e) => kindName(e.kind) === name);
}
