/** A cluster as it was checked: each default is filled in, nothing is left to interpret. Made by compile/cluster.ts. */
import type { Millis } from '../../common/core/brand.ts';
import type { AssignedEndpoint, Assignment } from './assignment.ts';
import type { Transport } from './transport.ts';
import type { Metadata, RoutingPriority, Struct } from './types.ts';

export interface CheckedCluster {
  readonly name: string;
  /** alt_stat_name, or the name. */
  readonly statName: string;
  readonly discovery: Discovery;
  /** Default 5 s. */
  readonly connectTimeout: Millis;
  readonly balancing: Balancing;
  readonly subsets: Subsets | undefined;
  readonly breakers: Readonly<Record<RoutingPriority, Breaker>>;
  /** per_host_thresholds: connections of one host; only of the default priority. */
  readonly hostConnections: number;
  readonly outliers: OutlierDetection | undefined;
  readonly healthChecks: readonly HealthCheck[];
  readonly protocol: UpstreamProtocol;
  readonly transport: Transport;
  /** The first whose `match` is in the host's metadata `envoy.transport_socket_match` wins over `transport`. */
  readonly transportMatches: readonly {
    readonly name: string;
    readonly match: Struct;
    readonly transport: Transport;
  }[];
  readonly keepalive: Keepalive | undefined;
  /** Bytes that may wait in a connection before its peer is held back; undefined: Node's. */
  readonly bufferLimit: number | undefined;
  /** Source address of connections; undefined: the kernel chooses. */
  readonly bind: { readonly ip: string; readonly port: number } | undefined;
  readonly metadata: Metadata;
  /** Connections to a host are cut when it turns unhealthy. */
  readonly closeOnHealthFailure: boolean;
  /** Connections are drained when any host comes or goes. */
  readonly closeOnHostChange: boolean;
  /** A host that discovery removed goes at once, also when its health check says that it is well. */
  readonly ignoreHealthOnRemoval: boolean;
  readonly poolPerDownstreamConnection: boolean;
}

export type Discovery =
  | { readonly kind: 'static'; readonly assignment: Assignment }
  /** By EDS on the ADS stream, under this name. */
  | { readonly kind: 'eds'; readonly serviceName: string; readonly source: 'ads' }
  | {
      readonly kind: 'dns';
      /** `strict`: every address is a host. `logical`: new connections go to the first address, there is one host. */
      readonly mode: 'strict' | 'logical';
      readonly names: readonly DnsName[];
      readonly refresh: Millis;
      readonly failureRefresh: { readonly base: Millis; readonly max: Millis };
      readonly respectTtl: boolean;
      readonly family: DnsFamily;
      /** Without endpoints: those come of `names`. */
      readonly assignment: Assignment;
    }
  | {
      readonly kind: 'original-dst';
      /** Lower-case; undefined: no header is looked at. */
      readonly header: string | undefined;
      readonly metadata: { readonly namespace: string; readonly path: readonly string[] } | undefined;
      readonly port: number | undefined;
      /** A host that no request chose for so long, and has no connection, is forgotten. Default 5 s. */
      readonly cleanup: Millis;
    };

export type DnsFamily = 'auto' | 'v4' | 'v6' | 'v4-preferred' | 'all';

/** An entry of the load assignment whose address is a name. */
export interface DnsName {
  readonly host: string;
  readonly port: number;
  /** What its addresses inherit. */
  readonly endpoint: AssignedEndpoint;
}

export interface Balancing {
  readonly policy: Policy;
  /** New hosts are not used, nor counted, until their first active health check. */
  readonly ignoreNewHosts: boolean;
  /** Percent of healthy hosts below which all hosts are used; 0: never. Default 50. */
  readonly panicThreshold: number;
  readonly locality:
    | { readonly kind: 'none' }
    | { readonly kind: 'weighted' }
    | {
        readonly kind: 'zone-aware';
        /** Percent of requests. */
        readonly enabled: number;
        readonly minClusterSize: number;
        readonly failOnPanic: boolean;
      };
}

export type Policy =
  | { readonly kind: 'round-robin'; readonly slowStart: SlowStart | undefined }
  | {
      readonly kind: 'least-request';
      /** How many are compared; `all` for FULL_SCAN. */
      readonly choices: number | 'all';
      readonly bias: number;
      readonly slowStart: SlowStart | undefined;
    }
  | { readonly kind: 'random' }
  | {
      readonly kind: 'ring-hash';
      readonly minimum: number;
      readonly maximum: number;
      readonly hash: 'xxhash' | 'murmur';
      readonly keys: HashKeys;
    }
  /** `size` is prime. */
  | { readonly kind: 'maglev'; readonly size: number; readonly keys: HashKeys }
  /** ORIGINAL_DST: no choice. */
  | { readonly kind: 'given' };

export interface HashKeys {
  /** Hosts are hashed by name instead of address. */
  readonly useHostname: boolean;
  /** Percent of the mean load that a host may have before others take over; 0: no bound. */
  readonly balanceFactor: number;
}

export interface SlowStart {
  readonly window: Millis;
  readonly aggression: number;
  /** Fraction of 1. */
  readonly minWeight: number;
}

export type SubsetFallback = 'none' | 'any' | 'default';

export interface Subsets {
  readonly fallback: SubsetFallback;
  readonly defaultSubset: Struct;
  readonly selectors: readonly SubsetSelector[];
  /** Whether locality weights count within a subset, and whether they shrink with the hosts that the subset has of a locality. */
  readonly localityWeights: 'ignored' | 'as they are' | 'scaled';
  /** A list in a host's metadata means each of its values. */
  readonly listAsAny: boolean;
  /** The subset that a request asks for has no host, and none is healthy anywhere: any host. */
  readonly panicAny: boolean;
  /** Of a request's match only the keys of the first selector that it covers count. */
  readonly redundantKeys: boolean;
  /** Requests may carry `fallback_list` of further matches. */
  readonly fallbackList: boolean;
}

export interface SubsetSelector {
  /** Sorted. */
  readonly keys: readonly string[];
  readonly singleHost: boolean;
  readonly fallback:
    | { readonly kind: SubsetFallback | 'inherited' }
    | { readonly kind: 'keys'; readonly keys: readonly string[] };
}

export interface Breaker {
  /** Defaults 1,024 each, retries 3. */
  readonly connections: number;
  readonly pending: number;
  readonly requests: number;
  readonly retries: number;
  /** Takes the place of `retries`. */
  readonly retryBudget: { readonly percent: number; readonly minConcurrency: number } | undefined;
}

export interface OutlierDetection {
  readonly interval: Millis;
  readonly baseEjection: Millis;
  readonly maxEjection: Millis;
  readonly ejectionJitter: Millis;
  /** Of all hosts. */
  readonly maxEjectedPercent: number;
  readonly alwaysEjectOne: boolean;
  /** Failures of ours (connect, timeout) are counted apart from those of the host. */
  readonly splitLocalOrigin: boolean;
  /** A passing active health check ends an ejection. */
  readonly healthCheckEnds: boolean;
  readonly consecutive5xx: Consecutive;
  readonly consecutiveGateway: Consecutive;
  readonly consecutiveLocal: Consecutive;
  readonly successRate: {
    readonly enforcing: number;
    readonly enforcingLocal: number;
    readonly minimumHosts: number;
    readonly requestVolume: number;
    /** Thousandths of a standard deviation. */
    readonly stdevFactor: number;
  };
  readonly failurePercentage: {
    readonly threshold: number;
    readonly enforcing: number;
    readonly enforcingLocal: number;
    readonly minimumHosts: number;
    readonly requestVolume: number;
  };
}

export interface Consecutive {
  readonly failures: number;
  /** Percent of the detections that eject. */
  readonly enforcing: number;
}

export interface HealthCheck {
  readonly timeout: Millis;
  readonly interval: Millis;
  readonly initialJitter: Millis;
  readonly intervalJitter: Millis;
  readonly intervalJitterPercent: number;
  readonly noTrafficInterval: Millis;
  readonly noTrafficHealthyInterval: Millis;
  readonly unhealthyInterval: Millis;
  readonly unhealthyEdgeInterval: Millis;
  readonly healthyEdgeInterval: Millis;
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
  /** Another port than the endpoint's. */
  readonly altPort: number | undefined;
  readonly alpn: readonly string[];
  readonly check: HealthProbe;
}

export type HealthProbe =
  | {
      readonly kind: 'http';
      readonly protocol: 'http1' | 'http2';
      readonly method: string;
      /** undefined: the host's name, or the cluster's. */
      readonly host: string | undefined;
      readonly path: string;
      readonly addHeaders: readonly { readonly name: string; readonly value: string; readonly append: boolean }[];
      readonly removeHeaders: readonly string[];
      /** Half-open ranges. */
      readonly expected: readonly (readonly [number, number])[];
      readonly retriable: readonly (readonly [number, number])[];
    }
  | { readonly kind: 'grpc'; readonly service: string; readonly authority: string | undefined }
  /** `receive` must come in this order, anything may be between. Without both a connect is enough. */
  | { readonly kind: 'tcp'; readonly send: Buffer; readonly receive: readonly Buffer[] };

export interface Keepalive {
  /** Seconds until the first probe, and between probes; undefined: the kernel's. */
  readonly idle: number | undefined;
  readonly interval: number | undefined;
  readonly probes: number | undefined;
}

export interface Http1Options {
  /** Names of headers: as they are in Envoy (lower-case), or `Proper-Case`. */
  readonly headerCase: 'lower' | 'proper';
  readonly trailers: boolean;
}

export interface Http2Options {
  /** How many streams we use at most; default 1,024. The peer's SETTINGS bind too. */
  readonly streams: number;
  readonly streamWindow: number;
  readonly connectionWindow: number;
  readonly headerTable: number;
  readonly keepalive: { readonly interval: Millis; readonly timeout: Millis } | undefined;
}

export interface UpstreamProtocol {
  readonly use:
    | { readonly kind: 'http1' }
    | { readonly kind: 'http2' }
    /** By ALPN. */
    | { readonly kind: 'auto' }
    /** As the downstream request. */
    | { readonly kind: 'downstream' };
  readonly http1: Http1Options;
  readonly http2: Http2Options;
  /** A connection without requests is closed after; undefined: never. Default 1 h. */
  readonly idle: Millis | undefined;
  /** A connection takes no more requests after; undefined: no bound. */
  readonly maxAge: Millis | undefined;
  /** undefined: no bound. */
  readonly maxRequests: number | undefined;
  /** A request with its response is cut after; undefined: no bound of the cluster's. */
  readonly maxStream: Millis | undefined;
  /** How many response headers are taken; default 100. */
  readonly maxHeaders: number;
  /** Bytes of response headers; default 60 KiB. */
  readonly maxHeaderBytes: number;
  /** SNI is the request's authority, or the header named. */
  readonly autoSni: { readonly header: string } | undefined;
  /** The name sent as SNI must be among the peer's SANs. */
  readonly autoSanValidation: boolean;
}
