/**
 * What generators of Envoy's configuration see of the mesh. Plain values and lookups: generators are functions of a `MeshView`, and
 * whoever calls them notes what they looked up, so that a change makes only those resources anew that had looked at what changed.
 */
import type { Ip } from '../../common/core/net.ts';
import type { RateLimitPolicy } from '../../common/kube/kinds/aquifer/rate-limit-policy.ts';
import type { XBackendTrafficPolicy } from '../../common/kube/kinds/gateway-api/experimental.ts';
import type { Gateway } from '../../common/kube/kinds/gateway-api/gateway.ts';
import type { GrpcRoute } from '../../common/kube/kinds/gateway-api/grpc-route.ts';
import type { HttpRoute } from '../../common/kube/kinds/gateway-api/http-route.ts';
import type { ReferenceGrant } from '../../common/kube/kinds/gateway-api/reference-grant.ts';
import type { StreamRoute, TlsRoute } from '../../common/kube/kinds/gateway-api/stream-routes.ts';
import type { DestinationRule } from '../../common/kube/kinds/istio/destination-rule.ts';
import type { Sidecar } from '../../common/kube/kinds/istio/sidecar.ts';
import type { Telemetry } from '../../common/kube/kinds/istio/telemetry.ts';
import type { ConsistentHash } from '../../common/kube/kinds/istio/traffic-policy.ts';
import type { VirtualService } from '../../common/kube/kinds/istio/virtual-service.ts';
import type { AuthorizationPolicy, RequestAuthentication } from '../../common/kube/kinds/security.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { LoadBalancing, Locality, NetworkAddress, PortProtocol } from '../../common/mesh/types.ts';
import type { FoundKeys, KeySource } from '../jwks/resolver.ts';
import type { Extension } from '../modules/extensions.ts';
import type { FoundModule, ModuleSource } from '../modules/resolver.ts';

/** A port of a service. */
export interface MeshPort {
  /** That clients connect to. */
  readonly number: number;
  readonly name: string;
  /** undefined: a proxy has to find out by the first bytes. */
  readonly protocol: PortProtocol | undefined;
}

/**
 * How endpoints are found. `endpoints`: istiod knows them. `dns` and `dns-round-robin`: proxies look up the names that stand for
 * addresses. `original`: the connection goes where the client wanted. `dynamic-dns`: the name that the client gave is looked up.
 */
export type Resolution = 'endpoints' | 'dns' | 'dns-round-robin' | 'original' | 'dynamic-dns';

/** A Service, or one host of a ServiceEntry. */
export interface MeshService {
  /** `namespace/hostname`, unique. */
  readonly key: string;
  readonly kind: 'Service' | 'ServiceEntry';
  /** Of the object. */
  readonly name: string;
  readonly namespace: string;
  /** In full, lower case; of a ServiceEntry perhaps with a wildcard in front. */
  readonly hostname: string;
  /** Virtual addresses; none for headless ones. */
  readonly addresses: readonly NetworkAddress[];
  readonly ports: readonly MeshPort[];
  readonly resolution: Resolution;
  /** Its endpoints are outside of the mesh. */
  readonly isExternal: boolean;
  readonly subjectAltNames: readonly string[];
  readonly balancing: LoadBalancing | undefined;
  /** `namespace/name` of the Gateway that it is behind. */
  readonly waypoint: string | undefined;
  readonly object: KubeObject;
}

/** Endpoints that a gateway stands for, as subsets tell them apart. */
export interface EndpointSet {
  readonly labels: Readonly<Record<string, string>>;
  /** Sum of theirs. */
  readonly weight: number;
}

/** One that serves a service. */
export interface MeshEndpoint {
  /** Unique, and the same while it lives. */
  readonly uid: string;
  /** An IP address, a DNS name where the service is of names, or a gateway. */
  readonly address:
    | { readonly kind: 'ip'; readonly ip: Ip }
    | { readonly kind: 'name'; readonly name: string }
    /** All that another network has of the service, behind a gateway with HBONE at that port of each address. */
    | {
        readonly kind: 'gateway';
        readonly ips: readonly Ip[];
        readonly port: number;
        readonly members: readonly EndpointSet[];
      };
  /** Port of the service -> port at the endpoint; a port that is missing is not served. */
  readonly ports: ReadonlyMap<number, number>;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: Locality;
  readonly node: string;
  readonly network: string;
  readonly cluster: string;
  /** 0: never. Default 1. */
  readonly weight: number;
  readonly isHealthy: boolean;
  /** It takes HBONE at port 15008. */
  readonly isHbone: boolean;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly trustDomain: string;
  readonly workload: string;
  /** What metrics name it by. */
  readonly canonical: { readonly name: string; readonly revision: string };
}

/** One of MeshConfig's extensionProviders, which telemetry and policies name. `unserved`: of a type that waypoints do not send to. */
export type ExtensionProvider =
  | { readonly kind: 'prometheus' | 'unserved'; readonly name: string }
  | FileLogProvider
  | LogCollector
  | TracingProvider
  | AuthzProvider
  | UnusableProvider;

/** One that decides about requests, but for what its fields say. */
export interface UnusableProvider {
  readonly kind: 'unusable';
  readonly name: string;
  readonly reason: string;
}

/** It decides about requests: Envoy's ext_authz. */
export interface AuthzProvider extends CollectorService {
  readonly kind: 'authz';
  readonly name: string;
  /** Go's form. Default `600s`, as Istio's. */
  readonly timeout: string | undefined;
  /** Requests go on when it cannot be asked. Default false. */
  readonly failsOpen: boolean;
  readonly clearsRoute: boolean;
  /** Default 403. */
  readonly statusOnError: number | undefined;
  /** How much of a request's body it sees, in bytes; undefined: nothing. */
  readonly body: { readonly most: number; readonly partial: boolean; readonly asBytes: boolean } | undefined;
  /** Names of headers are exact, `a*` or `*a`. */
  readonly by:
    | { readonly kind: 'grpc' }
    | {
        readonly kind: 'http';
        readonly pathPrefix: string;
        readonly requestHeaders: readonly string[];
        readonly addedHeaders: readonly HttpHeader[];
        readonly toUpstream: readonly string[];
        readonly toClientOnDeny: readonly string[];
        readonly toClientOnAllow: readonly string[];
      };
}

/** envoyFileAccessLog. */
export interface FileLogProvider {
  readonly kind: 'file';
  readonly name: string;
  readonly path: string;
  /** undefined: MeshConfig's of the provider `envoy`, else Istio's. */
  readonly format: { readonly text: string } | { readonly labels: Readonly<Record<string, string>> } | undefined;
  readonly omitsEmpty: boolean;
}

/** A service that takes access logs. */
export type LogCollector = CollectorService & {
  readonly name: string;
  /** undefined: Istio's name for the type. */
  readonly logName: string | undefined;
} & (
    | {
        /** envoyOtelAls. */
        readonly kind: 'otlp-logs';
        /** Of the body; undefined: Istio's line. */
        readonly text: string | undefined;
        /** Attributes by name. */
        readonly labels: Readonly<Record<string, string>>;
      }
    | {
        /** envoyHttpAls. */
        readonly kind: 'http-als';
        readonly states: readonly string[];
        readonly requestHeaders: readonly string[];
        readonly responseHeaders: readonly string[];
        readonly responseTrailers: readonly string[];
      }
    | {
        /** envoyTcpAls. */
        readonly kind: 'tcp-als';
        readonly states: readonly string[];
      }
  );

/** A service of the mesh that is sent to. */
export interface CollectorService {
  /** `hostname`, or `namespace/hostname`. */
  readonly service: string;
  readonly port: number;
}

export interface HttpHeader {
  readonly name: string;
  readonly value: string;
}

export type TracingProvider = CollectorService & {
  readonly name: string;
  readonly maxTagLength: number | undefined;
} & (
    | {
        readonly kind: 'opentelemetry';
        /** `timeout` in Go's form. */
        readonly by:
          | { readonly kind: 'grpc'; readonly timeout: string | undefined; readonly metadata: readonly HttpHeader[] }
          | {
              readonly kind: 'http';
              readonly path: string;
              readonly timeout: string | undefined;
              readonly headers: readonly HttpHeader[];
            };
        /** OTEL_RESOURCE_ATTRIBUTES of the proxy counts. */
        readonly detectsEnvironment: boolean;
      }
    | {
        readonly kind: 'zipkin';
        readonly path: string;
        readonly hasLongIds: boolean;
        readonly withW3c: boolean;
        readonly timeout: string | undefined;
        readonly headers: readonly HttpHeader[];
      }
  );

/** A tag of spans: the same forms in MeshConfig and in Telemetry. */
export interface TracingTag {
  readonly literal?: { readonly value: string };
  readonly environment?: { readonly name: string; readonly defaultValue?: string };
  readonly header?: { readonly name: string; readonly defaultValue?: string };
  readonly formatter?: { readonly value: string };
}

/** enableTracing and defaultConfig.tracing. */
export interface MeshTracing {
  /** Requests are marked as traced where no Telemetry and no default provider say anything. */
  readonly isEnabled: boolean;
  /** Percent, default 1. */
  readonly sampling: number;
  readonly tags: Readonly<Record<string, TracingTag>>;
  readonly maxTagLength: number | undefined;
  readonly hasIstioTags: boolean;
}

/** What of MeshConfig and istiod's settings counts for Envoys. */
export interface MeshFacts {
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  /** Suffix of service hostnames, default `cluster.local`. */
  readonly domain: string;
  readonly rootNamespace: string;
  readonly clusterId: string;
  /** The cluster's own. */
  readonly network: string;
  /** Services have endpoints in other networks. Default false. */
  readonly multiNetwork: boolean;
  /** Go's form of a duration, as Istio takes it. Default `10s`. */
  readonly connectTimeout: string;
  /** Of tunnels without streams. Default `1h`. */
  readonly hboneIdleTimeout: string;
  /** What Envoys that take their listeners from istiod do with destinations that nobody knows. Default ALLOW_ANY. */
  readonly outboundTrafficPolicy: 'ALLOW_ANY' | 'REGISTRY_ONLY';
  /** Default BASE, as Istio's DEFAULT. */
  readonly pathNormalization: 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';
  /** exportTo of objects that say nothing. Default `*`. */
  readonly virtualServiceExportTo: readonly string[];
  readonly destinationRuleExportTo: readonly string[];
  /** File of the access log; undefined: none. Default none. */
  readonly accessLogFile: string | undefined;
  readonly accessLogFormat: string | undefined;
  readonly accessLogEncoding: 'TEXT' | 'JSON';
  readonly extensionProviders: readonly ExtensionProvider[];
  /** Names of them that count where no Telemetry says any. Default of metrics: prometheus, as in Istio's charts. */
  readonly defaultProviders: {
    readonly metrics: readonly string[];
    readonly accessLogging: readonly string[];
    readonly tracing: readonly string[];
  };
  readonly tracing: MeshTracing;
  /** HTTPRetry as in a VirtualService; undefined: Istio's two retries. */
  readonly defaultRetries: object | undefined;
  /** LocalityLoadBalancerSetting for services whose DestinationRule says none. */
  readonly localityLb: object | undefined;
}

/** Routes of the Gateway API by what their parentRefs may name. */
export type RouteParent =
  | `Service/${string}/${string}`
  | `ServiceEntry/${string}/${string}`
  | `Gateway/${string}/${string}`;

/** What targetRefs of policies may name; HTTPRoutes those of RateLimitPolicies alone. */
export type PolicyTarget = RouteParent | `GatewayClass/${string}` | `HTTPRoute/${string}/${string}`;

/** A waypoint that istiod makes. */
export interface MeshWaypoint {
  readonly gateway: Gateway;
  /** Service account of its pods. */
  readonly account: string;
}

/** Lists are in the order in which objects count: oldest first, then by name. */
export interface MeshView {
  readonly facts: MeshFacts;
  /** By `namespace/hostname`. */
  service(key: string): MeshService | undefined;
  /** All services of that host name, of whichever namespace; a Service before ServiceEntries. */
  named(hostname: string): readonly MeshService[];
  /**
   * What a host name means to an object or client of that namespace: its own namespace's service first, else the one that counts for
   * the mesh. A short name is completed with namespace and domain, as in VirtualService and DestinationRule. Also finds the
   * ServiceEntry with the longest wildcard that matches.
   */
  resolve(host: string, namespace: string): MeshService | undefined;
  /** By Kubernetes' name of a Service, or of a ServiceEntry (its first host). */
  ofObject(kind: 'Service' | 'ServiceEntry', namespace: string, name: string): MeshService | undefined;
  /** Keys of all services that a namespace sees, of each host name the one that counts there, oldest first. */
  visible(namespace: string): readonly string[];
  /** Services behind the waypoint `namespace/name`, by key. */
  behind(waypoint: string): readonly MeshService[];
  endpoints(service: MeshService): readonly MeshEndpoint[];
  /** Addresses of workloads that the waypoint `namespace/name` stands before themselves. */
  workloadsBehind(waypoint: string): readonly Ip[];
  /** Those with a host that is this one, or a wildcard that matches it; whether they are seen and bound is not looked at. */
  virtualServices(hostname: string): readonly VirtualService[];
  /** By `namespace/name`, for delegates. */
  virtualService(key: string): VirtualService | undefined;
  /** Those whose host is this one, or a wildcard that matches it. */
  destinationRules(hostname: string): readonly DestinationRule[];
  httpRoutes(parent: RouteParent): readonly HttpRoute[];
  grpcRoutes(parent: RouteParent): readonly GrpcRoute[];
  tcpRoutes(parent: RouteParent): readonly StreamRoute[];
  tlsRoutes(parent: RouteParent): readonly TlsRoute[];
  /** Of the namespace that is referred to. */
  referenceGrants(namespace: string): readonly ReferenceGrant[];
  policies(target: PolicyTarget): readonly AuthorizationPolicy[];
  telemetries(namespace: string): readonly Telemetry[];
  authentications(target: PolicyTarget): readonly RequestAuthentication[];
  rateLimits(target: PolicyTarget): readonly RateLimitPolicy[];
  /** All that name an HTTPRoute: while there is none, nobody who only looks for them has to be made anew when a route changes. */
  rateLimitsOfRoutes(): readonly RateLimitPolicy[];
  /** Those that name the service's object. */
  trafficPolicies(service: MeshService): readonly XBackendTrafficPolicy[];
  extensions(target: PolicyTarget): readonly Extension[];
  /** A filter of a user's. Throws `Pending` while it is fetched for the first time. */
  filterModule(source: ModuleSource): FoundModule;
  /** Of an issuer of tokens. Throws `Pending` while they are fetched for the first time. */
  issuerKeys(source: KeySource): FoundKeys;
  /** What counts for a client with these labels: its namespace's Sidecar that selects it, else the one for all there, else the root namespace's. */
  sidecar(namespace: string, labels: Readonly<Record<string, string>>): Sidecar | undefined;
  /** The Gateway `namespace/name`, if it is one of a waypoint. */
  waypoint(key: string): MeshWaypoint | undefined;
  /** Data of a Secret by its keys; undefined: there is none. Throws `Pending` (credentials.ts) while it is looked up. */
  secret(namespace: string, name: string): ReadonlyMap<string, Buffer> | undefined;
  /** Whether the service account may list the Secrets of its own namespace. Throws `Pending`, too. */
  readsSecrets(namespace: string, account: string): boolean;
  /** undefined: there is no such namespace. */
  namespaceLabels(namespace: string): Readonly<Record<string, string>> | undefined;
}

/** What a route sends to. */
export interface RouteTarget {
  readonly service: MeshService;
  /** Of the service. */
  readonly port: number;
  /** Of its DestinationRule; empty: the whole service. */
  readonly subset: string;
}

/**
 * What routes (istiod/envoy/routes) are made for: one port of one service, as a waypoint before it sees it (`gateway` set), or as a
 * client of it sees it (plain Envoy, gRPC without a proxy).
 */
export interface RouteContext {
  readonly view: MeshView;
  readonly service: MeshService;
  readonly port: MeshPort;
  /** `namespace/name` of the waypoint. */
  readonly gateway: string | undefined;
  /** Of the waypoint, or of the client. */
  readonly namespace: string;
  /** Labels of a client; a waypoint stands for clients of all sorts and has none. */
  readonly clientLabels: Readonly<Record<string, string>> | undefined;
  /** Whose: a gRPC program that reads xDS itself has timeouts of its own. */
  readonly dialect: 'envoy' | 'grpc';
  /** Name of the cluster that leads there. What is asked for becomes a cluster of this proxy. */
  readonly cluster: (target: RouteTarget) => string;
  /** By what its DestinationRule keeps requests at one endpoint; undefined: it does not. */
  readonly hash: (target: RouteTarget) => ConsistentHash | undefined;
}
