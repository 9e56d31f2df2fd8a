/** The objects that the model is made of: each kind with its table, and what is read of it. */

import { type RateLimitPolicy, rateLimitPolicyKind } from '../../../common/kube/kinds/aquifer/rate-limit-policy.ts';
import {
  type Namespace,
  type Node,
  namespaceKind,
  nodeKind,
  type Pod,
  podKind,
  type Service,
  serviceKind,
} from '../../../common/kube/kinds/core.ts';
import { type EndpointSlice, endpointSliceKind } from '../../../common/kube/kinds/discovery.ts';
import {
  type XBackendTrafficPolicy,
  xBackendTrafficPolicyKind,
} from '../../../common/kube/kinds/gateway-api/experimental.ts';
import { type Gateway, gatewayKind } from '../../../common/kube/kinds/gateway-api/gateway.ts';
import { type GatewayClass, gatewayClassKind } from '../../../common/kube/kinds/gateway-api/gateway-class.ts';
import { type GrpcRoute, grpcRouteKind } from '../../../common/kube/kinds/gateway-api/grpc-route.ts';
import { type HttpRoute, httpRouteKind } from '../../../common/kube/kinds/gateway-api/http-route.ts';
import { type ReferenceGrant, referenceGrantKind } from '../../../common/kube/kinds/gateway-api/reference-grant.ts';
import {
  type StreamRoute,
  type TlsRoute,
  tcpRouteKind,
  tlsRouteKind,
} from '../../../common/kube/kinds/gateway-api/stream-routes.ts';
import { type DestinationRule, destinationRuleKind } from '../../../common/kube/kinds/istio/destination-rule.ts';
import { envoyFilterKind } from '../../../common/kube/kinds/istio/envoy-filter.ts';
import {
  type TrafficExtension,
  trafficExtensionKind,
  type WasmPlugin,
  wasmPluginKind,
} from '../../../common/kube/kinds/istio/extensions.ts';
import { type ServiceEntry, serviceEntryKind } from '../../../common/kube/kinds/istio/service-entry.ts';
import { type Sidecar, sidecarKind } from '../../../common/kube/kinds/istio/sidecar.ts';
import { type Telemetry, telemetryKind } from '../../../common/kube/kinds/istio/telemetry.ts';
import { type VirtualService, virtualServiceKind } from '../../../common/kube/kinds/istio/virtual-service.ts';
import { type WorkloadEntry, workloadEntryKind } from '../../../common/kube/kinds/istio/workload-entry.ts';
import {
  type AuthorizationPolicy,
  authorizationPolicyKind,
  type PeerAuthentication,
  peerAuthenticationKind,
  type RequestAuthentication,
  requestAuthenticationKind,
} from '../../../common/kube/kinds/security.ts';
import type { Kind, KubeObject } from '../../../common/kube/types.ts';
import type { FoundKeys } from '../../jwks/resolver.ts';
import { Table } from '../graph/table.ts';
import { trimNode, trimObject, trimPod, trimService, trimSlice } from '../trim.ts';
import type { Output } from './context.ts';

/** What the model reads, by `namespace/name` or `name`. */
export class MeshInputs {
  readonly namespaces = new Table<Namespace>();
  readonly nodes = new Table<Node>();
  readonly pods = new Table<Pod>();
  readonly services = new Table<Service>();
  readonly slices = new Table<EndpointSlice>();
  readonly serviceEntries = new Table<ServiceEntry>();
  readonly workloadEntries = new Table<WorkloadEntry>();
  readonly policies = new Table<AuthorizationPolicy>();
  readonly peers = new Table<PeerAuthentication>();
  readonly requestAuthentications = new Table<RequestAuthentication>();
  /** What was fetched of issuers, by the name of the lookup. */
  readonly issuerKeys = new Table<FoundKeys>();
  readonly gateways = new Table<Gateway>();
  /** East-west gateways of other clusters, by `cluster namespace/name`. */
  readonly remoteGateways = new Table<Gateway>();
  /** What objects of other clusters come to, by cluster, kind and `namespace/name`; see `RemoteIndex`. */
  readonly remote = new Table<Output>();
  readonly gatewayClasses = new Table<GatewayClass>();
  readonly virtualServices = new Table<VirtualService>();
  readonly destinationRules = new Table<DestinationRule>();
  readonly httpRoutes = new Table<HttpRoute>();
  readonly grpcRoutes = new Table<GrpcRoute>();
  readonly tcpRoutes = new Table<StreamRoute>();
  readonly tlsRoutes = new Table<TlsRoute>();
  readonly referenceGrants = new Table<ReferenceGrant>();
  readonly sidecars = new Table<Sidecar>();
  /** Of which nothing is made but what their status says. */
  readonly envoyFilters = new Table<KubeObject>();
  readonly wasmPlugins = new Table<WasmPlugin>();
  readonly trafficExtensions = new Table<TrafficExtension>();
  readonly telemetries = new Table<Telemetry>();
  readonly rateLimits = new Table<RateLimitPolicy>();
  readonly trafficPolicies = new Table<XBackendTrafficPolicy>();
}

export interface MeshKind {
  readonly kind: Kind<KubeObject>;
  readonly input: keyof MeshInputs;
  /** What is read of an object. */
  readonly trim: (object: KubeObject) => KubeObject;
  /** API servers know it by a definition only, which may be missing or old. */
  readonly isCustom: boolean;
  /** With the label istio.io/rev it is for istiods of that revision alone. On other kinds that label is about injection. */
  readonly isRevisioned: boolean;
  /** What is in its status counts: a change of that alone is one. */
  readonly readsStatus: boolean;
}

function builtIn<T extends KubeObject>(kind: Kind<T>, input: keyof MeshInputs, trim: (object: T) => T): MeshKind {
  const own = { trim: trim as unknown as MeshKind['trim'], isCustom: false, isRevisioned: false, readsStatus: true };
  return { kind, input, ...own };
}

function custom(kind: Kind<KubeObject>, input: keyof MeshInputs): MeshKind {
  return { kind, input, trim: trimObject, isCustom: true, isRevisioned: true, readsStatus: false };
}

export const meshKinds: readonly MeshKind[] = [
  builtIn(podKind, 'pods', trimPod),
  builtIn(namespaceKind, 'namespaces', trimObject),
  builtIn(nodeKind, 'nodes', trimNode),
  builtIn(serviceKind, 'services', trimService),
  builtIn(endpointSliceKind, 'slices', trimSlice),
  // Their addresses, and health that VMs report.
  { ...custom(serviceEntryKind, 'serviceEntries'), readsStatus: true },
  { ...custom(workloadEntryKind, 'workloadEntries'), readsStatus: true },
  custom(authorizationPolicyKind, 'policies'),
  custom(peerAuthenticationKind, 'peers'),
  custom(requestAuthenticationKind, 'requestAuthentications'),
  // What is behind a waypoint of another revision is behind it all the same.
  { ...custom(gatewayKind, 'gateways'), isRevisioned: false, readsStatus: true },
  { ...custom(gatewayClassKind, 'gatewayClasses'), isRevisioned: false },
  custom(virtualServiceKind, 'virtualServices'),
  custom(destinationRuleKind, 'destinationRules'),
  custom(httpRouteKind, 'httpRoutes'),
  custom(grpcRouteKind, 'grpcRoutes'),
  custom(tcpRouteKind, 'tcpRoutes'),
  custom(tlsRouteKind, 'tlsRoutes'),
  custom(referenceGrantKind, 'referenceGrants'),
  custom(sidecarKind, 'sidecars'),
  custom(envoyFilterKind, 'envoyFilters'),
  custom(wasmPluginKind, 'wasmPlugins'),
  custom(trafficExtensionKind, 'trafficExtensions'),
  custom(telemetryKind, 'telemetries'),
  custom(rateLimitPolicyKind, 'rateLimits'),
  custom(xBackendTrafficPolicyKind, 'trafficPolicies'),
];

/** undefined for kinds that the model does not read; two groups have a Gateway. */
export function meshKindOf({ kind, apiVersion }: Pick<KubeObject, 'kind' | 'apiVersion'>): MeshKind | undefined {
  return meshKinds.find((k) => k.kind.kind === kind && apiVersion.startsWith(k.kind.group));
}

export function tableOf(inputs: MeshInputs, { input }: MeshKind): Table<KubeObject> {
  return inputs[input] as unknown as Table<KubeObject>;
}
