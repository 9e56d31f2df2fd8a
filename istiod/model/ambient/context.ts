/** What the parts of the ambient model share. */
import type { Namespace, Node, Pod, Service } from '../../../common/kube/kinds/core.ts';
import type { EndpointSlice } from '../../../common/kube/kinds/discovery.ts';
import type { Gateway } from '../../../common/kube/kinds/gateway-api/gateway.ts';
import type { GatewayClass } from '../../../common/kube/kinds/gateway-api/gateway-class.ts';
import type { GrpcRoute } from '../../../common/kube/kinds/gateway-api/grpc-route.ts';
import type { HttpRoute } from '../../../common/kube/kinds/gateway-api/http-route.ts';
import type { ReferenceGrant } from '../../../common/kube/kinds/gateway-api/reference-grant.ts';
import type { StreamRoute, TlsRoute } from '../../../common/kube/kinds/gateway-api/stream-routes.ts';
import type { DestinationRule } from '../../../common/kube/kinds/istio/destination-rule.ts';
import type { ServiceEntry } from '../../../common/kube/kinds/istio/service-entry.ts';
import type { VirtualService } from '../../../common/kube/kinds/istio/virtual-service.ts';
import type { WorkloadEntry } from '../../../common/kube/kinds/istio/workload-entry.ts';
import type { AuthorizationPolicy, PeerAuthentication } from '../../../common/kube/kinds/security.ts';
import type { KubeObject } from '../../../common/kube/types.ts';
import type { WantedCondition } from '../condition.ts';
import type { Graph } from '../graph/graph.ts';
import { Labelled } from '../graph/labelled.ts';
import { Table } from '../graph/table.ts';
import type { FarEndpoint } from '../network.ts';
import type { Resource } from '../resource.ts';
import type { MeshSettings } from '../settings.ts';
import { labelsOfEntry } from '../workload-entry.ts';

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
  readonly gateways = new Table<Gateway>();
  readonly gatewayClasses = new Table<GatewayClass>();
  readonly virtualServices = new Table<VirtualService>();
  readonly destinationRules = new Table<DestinationRule>();
  readonly httpRoutes = new Table<HttpRoute>();
  readonly grpcRoutes = new Table<GrpcRoute>();
  readonly tcpRoutes = new Table<StreamRoute>();
  readonly tlsRoutes = new Table<TlsRoute>();
  readonly referenceGrants = new Table<ReferenceGrant>();
}

export interface Context {
  readonly graph: Graph;
  readonly inputs: MeshInputs;
  /** At this moment; when they change, everything is computed anew. */
  readonly settings: () => MeshSettings;
  readonly pods: Labelled<Pod>;
  readonly services: Labelled<Service>;
  readonly serviceEntries: Labelled<ServiceEntry>;
  readonly workloadEntries: Labelled<WorkloadEntry>;
}

export function createContext(graph: Graph, inputs: MeshInputs, settings: () => MeshSettings): Context {
  return {
    graph,
    inputs,
    settings,
    pods: new Labelled(inputs.pods, placeOf),
    services: new Labelled(inputs.services, placeOf),
    serviceEntries: new Labelled(inputs.serviceEntries, placeOf),
    workloadEntries: new Labelled(inputs.workloadEntries, (e) => ({
      namespace: namespaceOf(e),
      labels: labelsOfEntry(e),
    })),
  };
}

export function placeOf(object: KubeObject) {
  return { namespace: namespaceOf(object), labels: object.metadata.labels ?? {} };
}

export function namespaceOf(object: KubeObject): string {
  return object.metadata.namespace ?? 'default';
}

/** Conditions by type that an object shall have, and undefined for those of ours that it shall not. */
export type Conditions = ReadonlyMap<string, WantedCondition | undefined>;

/** What one object comes to. */
export interface Output {
  readonly resources: readonly Resource[];
  /** Those of its workloads that are in other networks. */
  readonly far: readonly FarEndpoint[];
  readonly conditions?: Conditions;
}
