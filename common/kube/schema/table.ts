/** Every kind that Aquifer serves, in one table. A new kind is one entry here and its type in common/kube/kinds; of custom kinds both are there. */
import { aquiferKinds } from '../kinds/aquifer/all.ts';
import { gatewayApiKinds } from '../kinds/gateway-api/all.ts';
import { istioKinds } from '../kinds/istio/all.ts';
import { apiVersionOf } from '../names.ts';
import { appsKinds } from './apps.ts';
import { coreKinds } from './core.ts';
import { discoveryKinds } from './discovery.ts';
import type { CustomKind, KindEntry } from './types.ts';

/** Kinds that API servers learn of by CustomResourceDefinitions. */
export const customKinds: readonly CustomKind[] = [...istioKinds, ...gatewayApiKinds, ...aquiferKinds];

export const kindTable: readonly KindEntry[] = [...coreKinds, ...appsKinds, ...discoveryKinds, ...customKinds];

/** Any of the versions that the entry accepts. */
export function findKind(apiVersion: string, kind: string): KindEntry | undefined {
  return kindTable.find(
    (e) =>
      e.kind.kind === kind &&
      e.versions.some((version) => apiVersionOf({ group: e.kind.group, version }) === apiVersion),
  );
}
