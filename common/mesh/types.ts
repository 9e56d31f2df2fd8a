/**
 * What the mesh looks like, as decided over: the domain form of `istio.workload` and `istio.security`
 * (ambient-wire 3.2, 3.3). Wire forms live in common/api and are turned into these by common/api/codec.ts only.
 */
import type { Cidr, Ip, Port } from '../core/net.ts';

/** `<trust domain>/ns/<namespace>/sa/<service account>` as an object; text form in common/identity/spiffe.ts. */
export interface Identity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Key `network/ip`; the default network is the empty string. */
export interface NetworkAddress {
  readonly network: string;
  readonly ip: Ip;
  /** Prefix length of a CIDR VIP; absent when it is one address. */
  readonly length?: number;
}

export interface NamespacedHostname {
  readonly namespace: string;
  readonly hostname: string;
}

export interface GatewayAddress {
  readonly destination:
    | ({ readonly kind: 'hostname' } & NamespacedHostname)
    | ({ readonly kind: 'address' } & NetworkAddress);
  readonly hboneMtlsPort: Port;
}

export interface WeightedWaypoint {
  readonly waypoint: GatewayAddress;
  readonly weight: number;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** targetPort 0 means: look at the endpoint's own mapping (a named port). */
export interface PortMapping {
  readonly servicePort: number;
  readonly targetPort: number;
  /** Of a service's port; absent where it is not known. */
  readonly appProtocol?: AppProtocol;
}

export type AppProtocol = 'HTTP11' | 'HTTP2' | 'GRPC' | 'TCP' | 'TLS';

/** With what the workload API does not know: gRPC-Web, of which waypoints make gRPC. */
export type PortProtocol = AppProtocol | 'GRPC_WEB';

export type TunnelProtocol = 'NONE' | 'HBONE';
export type WorkloadType = 'deployment' | 'cronjob' | 'pod' | 'job';

export interface ApplicationTunnel {
  readonly protocol: 'NONE' | 'PROXY';
  /** 0: the resolved port. */
  readonly port: number;
}

export interface Workload {
  readonly kind: 'workload';
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly Ip[];
  readonly hostname: string;
  readonly network: string;
  readonly tunnelProtocol: TunnelProtocol;
  readonly trustDomain: string;
  readonly serviceAccount: string;
  readonly waypoint?: GatewayAddress;
  readonly networkGateway?: GatewayAddress;
  readonly node: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly workloadType: WorkloadType;
  readonly workloadName: string;
  readonly nativeTunnel: boolean;
  readonly applicationTunnel?: ApplicationTunnel;
  /** Key `namespace/hostname` of the service -> its ports as this endpoint serves them. */
  readonly services: ReadonlyMap<string, readonly PortMapping[]>;
  readonly authorizationPolicies: readonly string[];
  readonly status: 'HEALTHY' | 'UNHEALTHY';
  readonly clusterId: string;
  readonly locality: Locality;
  readonly networkMode: 'STANDARD' | 'HOST_NETWORK';
  /** Weight in load balancing; 0 = never. Default 1. */
  readonly capacity: number;
}

export type LbScope = 'REGION' | 'ZONE' | 'SUBZONE' | 'NODE' | 'CLUSTER' | 'NETWORK';

export interface LoadBalancing {
  readonly routingPreference: readonly LbScope[];
  readonly mode: 'UNSPECIFIED_MODE' | 'STRICT' | 'FAILOVER' | 'PASSTHROUGH';
  readonly healthPolicy: 'ONLY_HEALTHY' | 'ALLOW_ALL';
}

export interface Service {
  readonly kind: 'service';
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly addresses: readonly NetworkAddress[];
  readonly ports: readonly PortMapping[];
  readonly subjectAltNames: readonly string[];
  readonly waypoint?: GatewayAddress;
  readonly weightedWaypoints: readonly WeightedWaypoint[];
  readonly loadBalancing?: LoadBalancing;
  readonly ipFamilies: 'AUTOMATIC' | 'IPV4_ONLY' | 'IPV6_ONLY' | 'DUAL';
  readonly canonical: boolean;
  readonly visibility: 'PUBLIC' | 'NAMESPACE';
  /** Gateways at the edge of the mesh send through its waypoint, too. Default false. */
  readonly ingressUseWaypoint?: boolean;
}

export type MeshAddress = Workload | Service;

export type StringMatch =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'suffix'; readonly value: string }
  | { readonly kind: 'presence' };

export interface ServiceAccountMatch {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** A match holds when every non-empty positive list has a hit and no `not` list has one; all empty never holds. */
export interface PolicyMatch {
  readonly namespaces: readonly StringMatch[];
  readonly notNamespaces: readonly StringMatch[];
  readonly principals: readonly StringMatch[];
  readonly notPrincipals: readonly StringMatch[];
  readonly sourceIps: readonly Cidr[];
  readonly notSourceIps: readonly Cidr[];
  readonly destinationIps: readonly Cidr[];
  readonly notDestinationIps: readonly Cidr[];
  readonly destinationPorts: readonly number[];
  readonly notDestinationPorts: readonly number[];
  readonly serviceAccounts: readonly ServiceAccountMatch[];
  readonly notServiceAccounts: readonly ServiceAccountMatch[];
}

/** Any group, all rules of it, any match of each (ambient-wire 5.2). */
export interface PolicyRule {
  readonly matches: readonly PolicyMatch[];
}
export interface PolicyGroup {
  readonly rules: readonly PolicyRule[];
}

export interface AuthorizationPolicy {
  readonly name: string;
  readonly namespace: string;
  readonly scope: 'GLOBAL' | 'NAMESPACE' | 'WORKLOAD_SELECTOR';
  readonly action: 'ALLOW' | 'DENY';
  readonly groups: readonly PolicyGroup[];
  readonly dryRun: boolean;
}
