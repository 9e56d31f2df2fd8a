/** Objects of Kubernetes as node proxies know them: by the code of istiod, and the store of the proxy. Pure. */
import { addressTypeUrl, decodeAddress, decodeAuthorization } from '../../common/api/index.ts';
import type { Compat } from '../../common/core/compat.ts';
import { keyOf } from '../../common/kube/informer.ts';
import { configMapKind } from '../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { type MeshReader, MeshStore } from '../../common/mesh/store.ts';
import type { AuthorizationPolicy, MeshAddress } from '../../common/mesh/types.ts';
import type { Conditions } from '../../istiod/model/ambient/context.ts';
import { meshKindOf, tableOf } from '../../istiod/model/ambient/inputs.ts';
import { AmbientIndex } from '../../istiod/model/ambient-index.ts';
import type { EnvoyMesh } from '../../istiod/model/envoy/mesh-view.ts';
import { defaultMeshConfig, parseMeshConfig } from '../../istiod/model/mesh-config.ts';
import type { ObjectName, ObjectRef } from '../../istiod/model/resource.ts';
import { defaultSettings } from '../../istiod/model/settings.ts';
import { faultOf } from '../../istiod/validation/fault.ts';

export interface WhyMesh {
  readonly store: MeshReader;
  /** What waypoints are told. */
  readonly envoy: EnvoyMesh;
  /** Objects that a workload (by uid), a service or a policy (`namespace/name`) was made of. */
  inputsOf(name: string): readonly ObjectRef[];
  /** What istiod would say of it in its status, but for routes and what Envoys are made of. */
  conditionsOf(name: ObjectName): Conditions;
  /** Objects that istiod would leave out, and why. */
  readonly leftOut: readonly string[];
}

/** `compat`: AQUIFER_COMPAT of istiod. */
export function meshOf(objects: readonly KubeObject[], systemNamespace: string, compat: Compat): WhyMesh {
  const config = configOf(objects, systemNamespace);
  const leftOut: string[] = [];
  const index = new AmbientIndex({
    settings: {
      ...defaultSettings,
      ...config.settings,
      systemNamespace,
      compat,
      trustDomain: config.trustDomain ?? defaultSettings.trustDomain,
      rootNamespace: config.rootNamespace ?? systemNamespace,
    },
    onFailure: ({ what, key }) => leftOut.push(`${what} ${key}: computing it failed`),
  });
  for (const object of objects) {
    const { kind, metadata } = object;
    const mesh = meshKindOf(object);
    if (mesh === undefined) continue;
    const fault = mesh.isCustom ? faultOf(object) : undefined;
    if (fault !== undefined) leftOut.push(`${kind} ${keyOf(metadata)}: ${fault}`);
    else tableOf(index.inputs, mesh).set(keyOf(metadata), object);
  }
  index.flush();
  const store = new MeshStore();
  const addresses: MeshAddress[] = [];
  for (const { bytes } of index.addresses.values()) {
    const decoded = decodeAddress(bytes);
    if (decoded.kind === 'ok') addresses.push(decoded.value);
  }
  const policies: AuthorizationPolicy[] = [];
  for (const { bytes } of index.authorizations.values()) {
    const decoded = decodeAuthorization(bytes);
    if (decoded.kind === 'ok') policies.push(decoded.value);
  }
  store.apply({ addresses, policies });
  const inputsOf = (name: string) =>
    (index.catalog.resources(addressTypeUrl).get(name) ?? index.authorizations.get(name))?.inputs ?? [];
  const conditionsOf = (name: ObjectName) => index.conditions(name) ?? new Map();
  return { store, envoy: index.envoy, inputsOf, conditionsOf, leftOut };
}

/** The ConfigMap `istio` of istiod's namespace; one that cannot be read counts as absent, as istiod keeps the last good one. */
function configOf(objects: readonly KubeObject[], namespace: string) {
  const map = objects.find(
    (o) => o.kind === configMapKind.kind && o.metadata.namespace === namespace && o.metadata.name === 'istio',
  );
  const text = (map?.['data'] as Readonly<Record<string, string>> | undefined)?.['mesh'];
  const parsed = text === undefined ? undefined : parseMeshConfig([text]);
  return parsed?.kind === 'ok' ? parsed.config : defaultMeshConfig;
}
