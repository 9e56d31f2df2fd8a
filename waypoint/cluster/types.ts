/**
 * What lies between a route's cluster and an upstream host: the words that compilation, balancing, admission, outlier detection
 * and the runtime share. Values only; a cluster that runs is in upstream.ts.
 */

import type { Json, Struct } from '../../common/envoy/fields.ts';
import type { PriorityLoad } from './balance/priority-load.ts';

export type { Json, Struct };

/** [0, 1). The only source of chance in a decision. */
export interface Dice {
  random(): number;
}

/** filter_metadata: by the namespace of the filter that reads it, such as `envoy.lb`. */
export type Metadata = Readonly<Record<string, Struct>>;

export type HostAddress =
  | { readonly kind: 'ip'; readonly ip: string; readonly port: number }
  | { readonly kind: 'pipe'; readonly path: string }
  /** A listener of this process. */
  | { readonly kind: 'internal'; readonly listener: string; readonly endpointId: string };

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

/** Health as the control plane tells it. */
export type EdsHealth = 'unknown' | 'healthy' | 'unhealthy' | 'draining' | 'timeout' | 'degraded';

/** What there is to count at one host; the pool keeps it. */
export interface HostLoad {
  /** Requests (or TCP connections) under way. */
  requests: number;
  connections: number;
}

/**
 * One upstream host. The same object as long as the host is in the cluster, while its weight, health and metadata may change;
 * so it can be a key of maps.
 */
export interface Host {
  /** As Envoy writes the address: `10.0.0.1:80`, `[fd00::1]:80`, `/path`, `envoy://listener/endpoint-id`. */
  readonly key: string;
  readonly address: HostAddress;
  /** Further addresses of the same host (two families): to be tried after `address`. */
  readonly alternatives: readonly HostAddress[];
  /** Empty where the assignment has none; in clusters that ask DNS the name that was asked. */
  readonly hostname: string;
  readonly metadata: Metadata;
  readonly locality: Locality;
  readonly priority: number;
  /** 1 or more. */
  readonly weight: number;
  readonly load: HostLoad;
  /** What the control plane, health checks and outlier detection say of it. */
  readonly told: EdsHealth;
  readonly failedCheck: boolean;
  readonly ejected: boolean;
}

/** A host that a request asks for. */
export interface PreferredHost {
  /** As `Host.key`. */
  readonly key: string;
  /** Where it cannot be had, no other one will do. */
  readonly strict: boolean;
}

export interface PickContext {
  readonly dice: Dice;
  /** Unsigned, 64 bits; undefined: none of the route's hash policies gave one. */
  readonly hash?: bigint | undefined;
  /** The route's metadata_match of `envoy.lb`: chooses the subset. */
  readonly metadataMatch?: Struct | undefined;
  /** Hosts that the balancer shall not choose again while others can be had in `retries` further tries (retry_host_predicate). */
  readonly tried?: { has(host: Host): boolean } | undefined;
  /** host_selection_retry_max_attempts; default 0. */
  readonly retries?: number | undefined;
  /** Load of the priorities, for a further try. */
  readonly adjust?: ((load: PriorityLoad) => PriorityLoad) | undefined;
  /** Before the balancer is asked. */
  readonly preferred?: PreferredHost | undefined;
  /** What an ORIGINAL_DST cluster looks at. */
  readonly original?: OriginalDestination | undefined;
}

export interface OriginalDestination {
  /** The downstream connection's local address where a listener filter restored it: the original destination. */
  readonly restored?: { readonly ip: string; readonly port: number } | undefined;
  /** Filter state, of the request before that of the connection. */
  readonly filterState: (key: string) => string | undefined;
  /** The first value of a request's header (lower-case name); undefined for TCP. */
  readonly header: (name: string) => string | undefined;
  /** Dynamic metadata, of the request before that of the connection. */
  readonly metadata: (namespace: string) => Struct | undefined;
}

/** Why this host: told by `aquifer why` and by the access log. One object for all picks of a source. */
export interface PickReason {
  /** `round robin`, `least request`, `random`, `ring hash`, `maglev`, `original destination`, `session`. */
  readonly policy: string;
  readonly priority: number;
  readonly among: 'healthy' | 'degraded' | 'all, in panic';
  /** Where the balancer chose a locality first. */
  readonly locality?: Locality | undefined;
  /** `version=v1`, `all (fallback)`; undefined without subsets. */
  readonly subset?: string | undefined;
}

export type Pick =
  | { readonly kind: 'host'; readonly host: Host; readonly why: PickReason }
  /** `reason` is for people: `no host in subset version=v1, and no fallback`. Envoy's flag for all of them is UH. */
  | { readonly kind: 'none'; readonly reason: string };

/** Chooses hosts. Made anew when the hosts, their health or weights change. */
export interface Balancer {
  pick(context: PickContext): Pick;
}

/** What circuit breakers count, for each routing priority. */
export type Resource = 'connections' | 'pending' | 'requests' | 'retries';
export type RoutingPriority = 'default' | 'high';

/**
 * The cluster's circuit breakers: a plain account. Pools keep connections, pending and requests; the runtime takes `retries`
 * before it retries, and gives it back when that retry has its response or has failed.
 */
export interface Admission {
  /** false: the breaker is open, nothing was taken. */
  take(resource: Resource, priority: RoutingPriority): boolean;
  /** Once for each `take` that said true. */
  give(resource: Resource, priority: RoutingPriority): void;
  /** How many are taken. */
  taken(resource: Resource, priority: RoutingPriority): number;
}

/** How a request or connection to a host ended, for outlier detection. */
export interface HostEvents {
  /** Status of the response; of gRPC the HTTP status that its grpc-status maps to. */
  responded(host: Host, status: number): void;
  /** The connection came to be. Pools tell it. */
  connected(host: Host): void;
  /** No response: `timeout` is a try that ran out of time, `reset` an end of connection or stream before the response. Pools tell `connect-failed`. */
  failed(host: Host, cause: 'connect-failed' | 'timeout' | 'reset'): void;
}
