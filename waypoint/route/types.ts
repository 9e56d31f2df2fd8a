/** What a route table answers for a request, and the parts of a route, checked: each default is filled in. */
import type { HeaderOps } from '../format/header-ops.ts';
import type { HeaderTest } from '../match/header.ts';
import type { Substitution } from '../match/regex.ts';
import type { PathTemplate } from '../match/template.ts';
import type { CookieAttributes } from '../request/cookies.ts';
import type { Decorator } from '../tracing/request-span.ts';
import type { PathMatch } from './match.ts';
import type { RouteLimits } from './rate-limits.ts';

export type RouteDecision =
  | ({ readonly kind: 'forward' } & Decided & Forward)
  | ({
      readonly kind: 'redirect';
      readonly status: number;
      readonly location: string;
      /** What the path counts for in formats of the response; undefined: as it was. */
      readonly rewritten: string | undefined;
    } & Decided)
  | ({ readonly kind: 'direct'; readonly status: number; readonly body: string } & Decided)
  /** Passes the filters, but there is nothing to forward to: 503 where it reaches the router. */
  | ({ readonly kind: 'non-forwarding' } & Decided)
  /** No virtual host, or none of its routes: 404. */
  | { readonly kind: 'none'; readonly virtualHost: string | undefined };

/** What decided, and what holds whatever is done with the request. */
export interface Decided {
  readonly virtualHost: string;
  /** Empty where the route has no name. */
  readonly routeName: string;
  /** Position among the routes of its virtual host: a name for those that have none. */
  readonly routeIndex: number;
  /** In the order in which they are applied. */
  readonly requestOps: readonly HeaderOps[];
  readonly responseOps: readonly HeaderOps[];
  /** What `typed_per_filter_config` has for a filter, the most specific first; each as its reader made it. */
  perFilter(name: string): readonly PerFilter[];
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
  /** undefined: there are none. */
  readonly limits: RouteLimits | undefined;
  /** What spans of it are called. */
  readonly decorator: Decorator | undefined;
}

/** `disabled`: the filter does not run for this route. `enabled`: it does, also where it runs for no other, as it is configured. */
export type PerFilter =
  | { readonly kind: 'config'; readonly config: unknown }
  | { readonly kind: 'disabled' | 'enabled' };

export interface Forward {
  /** Empty where a cluster_header is missing: answered with `clusterNotFoundStatus`. */
  readonly cluster: string;
  readonly route: ForwardRoute;
  readonly hostRewrite: HostRewrite | undefined;
  /** The host that an entry of weighted_clusters sets, before the route rewrites it. */
  readonly entryHost: string | undefined;
  /** Of that entry: they come first, and see the host as it was. */
  readonly entryOps: HeaderOps | undefined;
  readonly metadataMatch: Readonly<Record<string, unknown>> | undefined;
}

/** The static part of a route that forwards. */
export interface ForwardRoute {
  readonly clusterNotFoundStatus: 503 | 404 | 500;
  readonly timeouts: RouteTimeouts;
  readonly retry: RetryPolicy | undefined;
  readonly hashPolicy: readonly HashStep[];
  readonly mirrors: readonly Mirror[];
  readonly upgrades: readonly Upgrade[];
  readonly pathRewrite: PathRewrite | undefined;
  /** What a rewrite of the prefix replaces. */
  readonly match: PathMatch;
  readonly appendForwardedHost: boolean;
  readonly priority: 'default' | 'high';
  /** x-envoy-attempt-count. */
  readonly attemptCount: { readonly request: boolean; readonly response: boolean };
  /** Bytes of a request that may be held for a retry. */
  readonly bufferLimit: number | undefined;
}

export interface RouteTimeouts {
  /** Milliseconds for the whole response; 0: none. Default 15,000. */
  readonly response: number;
  /** Milliseconds without a byte; undefined: as HttpConnectionManager says. 0: none. */
  readonly idle: number | undefined;
  /** max_stream_duration: takes the place of `response`. */
  readonly stream: StreamDuration | undefined;
  /** max_grpc_timeout and grpc_timeout_offset: the request's grpc-timeout counts, up to `max` (0: without bound). */
  readonly grpc: { readonly max: number; readonly offset: number } | undefined;
}

export interface StreamDuration {
  /** Milliseconds; 0: none; undefined: as HttpConnectionManager says. */
  readonly max: number | undefined;
  readonly grpcHeaderMax: number | undefined;
  readonly grpcHeaderOffset: number | undefined;
}

export interface RetryPolicy {
  readonly on: ReadonlySet<RetryOn>;
  readonly max: number;
  /** Milliseconds; undefined: the response's timeout. */
  readonly perTryTimeout: number | undefined;
  readonly perTryIdleTimeout: number | undefined;
  readonly statusCodes: ReadonlySet<number>;
  readonly responseHeaders: readonly HeaderTest[];
  readonly requestHeaders: readonly HeaderTest[];
  /** Milliseconds. */
  readonly backOff: { readonly base: number; readonly max: number };
  readonly limitedBackOff: LimitedBackOff | undefined;
  /** envoy.retry_host_predicates.previous_hosts. */
  readonly avoidsPreviousHosts: boolean;
  /** How often another host is asked for before a tried one is taken. */
  readonly hostAttempts: number;
  /** envoy.retry_priorities.previous_priorities: priorities that failed are left out after so many tries. */
  readonly previousPriorities: { readonly updateFrequency: number } | undefined;
}

export interface LimitedBackOff {
  readonly headers: readonly { readonly name: string; readonly format: 'seconds' | 'unix-timestamp' }[];
  /** Milliseconds. */
  readonly max: number;
}

export const retryConditions = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'envoy-ratelimited',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'http3-post-connect-failure',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
] as const;

export type RetryOn = (typeof retryConditions)[number];

export type HashStep = HashSource & {
  /** A hash so far is enough when this one has a value. */
  readonly terminal: boolean;
};

export type HashSource =
  | { readonly kind: 'header'; readonly name: string; readonly rewrite: Substitution | undefined }
  | { readonly kind: 'cookie'; readonly name: string; readonly make: CookieAttributes | undefined }
  | { readonly kind: 'source-ip' }
  | { readonly kind: 'query'; readonly name: string }
  | { readonly kind: 'filter-state'; readonly key: string };

/** A cookie that is made where the client has none. */
export interface Mirror {
  readonly cluster: MirrorTarget;
  /** Of 1,000,000. */
  readonly perMillion: number;
  readonly appendsShadowSuffix: boolean;
}

export type MirrorTarget =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'header'; readonly header: string };

export interface Upgrade {
  /** In lower case: `websocket`, `connect`. */
  readonly type: string;
  readonly enabled: boolean;
  /** The CONNECT ends here: its payload goes to the upstream as raw TCP. */
  readonly terminatesConnect: boolean;
}

export type HostRewrite =
  | { readonly kind: 'literal'; readonly host: string }
  /** The upstream host's name, known when one is chosen. */
  | { readonly kind: 'upstream' }
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'path'; readonly substitute: Substitution };

export type PathRewrite =
  /** What the route's match took of the path is replaced. */
  | { readonly kind: 'prefix'; readonly to: string }
  | { readonly kind: 'regex'; readonly substitute: Substitution }
  | { readonly kind: 'template'; readonly from: PathTemplate; readonly to: readonly TemplatePart[] };

export type TemplatePart =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'variable'; readonly name: string };
