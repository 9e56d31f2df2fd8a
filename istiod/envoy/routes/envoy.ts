/** The parts of Envoy's route messages that are generated here, with the field names of their .proto files. */

export interface Duration {
  readonly seconds: number;
  readonly nanos?: number;
}
export interface Bool {
  readonly value: boolean;
}
export interface UInt32 {
  readonly value: number;
}
export interface Regex {
  readonly regex: string;
}

/** Of this API's message types, by its URL. */
export interface Extension {
  readonly '@type': string;
  readonly [field: string]: unknown;
}

export type StringMatcher =
  | { readonly exact: string; readonly ignore_case?: boolean }
  | { readonly prefix: string; readonly ignore_case?: boolean }
  | { readonly suffix: string; readonly ignore_case?: boolean }
  | { readonly safe_regex: Regex };

export interface HeaderMatcher {
  readonly name: string;
  readonly present_match?: boolean;
  readonly string_match?: StringMatcher;
  readonly invert_match?: boolean;
  readonly treat_missing_header_as_empty?: boolean;
}

export interface QueryParameterMatcher {
  readonly name: string;
  readonly present_match?: boolean;
  readonly string_match?: StringMatcher;
}

export interface MetadataMatcher {
  readonly filter: string;
  readonly path: readonly { readonly key: string }[];
  readonly value: object;
  readonly invert?: boolean;
}

export interface FilterStateMatcher {
  readonly key: string;
  readonly string_match: StringMatcher;
}

export interface FractionalPercent {
  readonly numerator: number;
  readonly denominator: 'HUNDRED' | 'TEN_THOUSAND' | 'MILLION';
}
export interface RuntimeFraction {
  readonly default_value: FractionalPercent;
}

export interface RouteMatch {
  readonly path?: string;
  readonly prefix?: string;
  readonly path_separated_prefix?: string;
  readonly safe_regex?: Regex;
  /** Default true. */
  readonly case_sensitive?: Bool;
  readonly headers?: readonly HeaderMatcher[];
  readonly query_parameters?: readonly QueryParameterMatcher[];
  readonly dynamic_metadata?: readonly MetadataMatcher[];
  readonly filter_state?: readonly FilterStateMatcher[];
  readonly runtime_fraction?: RuntimeFraction;
}

export interface HeaderValueOption {
  readonly header: { readonly key: string; readonly value: string };
  readonly append_action: 'APPEND_IF_EXISTS_OR_ADD' | 'OVERWRITE_IF_EXISTS_OR_ADD';
}

/** Changes of headers: of a route, and of one of its clusters. */
export interface HeaderChanges {
  readonly request_headers_to_add?: readonly HeaderValueOption[];
  readonly request_headers_to_remove?: readonly string[];
  readonly response_headers_to_add?: readonly HeaderValueOption[];
  readonly response_headers_to_remove?: readonly string[];
}

export interface RegexRewrite {
  readonly pattern: Regex;
  /** With \1 for the first group, \0 for all. */
  readonly substitution: string;
}

/** What filters are told, by their names: by a route, and by one of its clusters. */
export interface PerFilter {
  readonly typed_per_filter_config?: Readonly<Record<string, Extension>>;
}

export interface ClusterWeight extends HeaderChanges, PerFilter {
  readonly name: string;
  readonly weight: UInt32;
  readonly host_rewrite_literal?: string;
}

export interface MirrorPolicy {
  readonly cluster: string;
  readonly runtime_fraction?: RuntimeFraction;
  readonly trace_sampled?: Bool;
}

export interface RetryPolicy {
  readonly retry_on: string;
  readonly num_retries: UInt32;
  readonly per_try_timeout?: Duration;
  readonly retriable_status_codes?: readonly number[];
  readonly retry_back_off?: { readonly base_interval: Duration; readonly max_interval?: Duration };
  readonly retry_host_predicate?: readonly { readonly name: string; readonly typed_config: Extension }[];
  readonly retry_priority?: { readonly name: string; readonly typed_config: Extension };
  readonly host_selection_retry_max_attempts?: number;
}

export type HashPolicy =
  | { readonly header: { readonly header_name: string } }
  | {
      readonly cookie: {
        readonly name: string;
        readonly ttl?: Duration;
        readonly path?: string;
        readonly attributes?: readonly { readonly name: string; readonly value: string }[];
      };
    }
  | { readonly connection_properties: { readonly source_ip: boolean } }
  | { readonly query_parameter: { readonly name: string } };

export interface RouteAction {
  readonly cluster?: string;
  readonly weighted_clusters?: { readonly clusters: readonly ClusterWeight[] };
  readonly cluster_not_found_response_code?: 'SERVICE_UNAVAILABLE' | 'NOT_FOUND' | 'INTERNAL_SERVER_ERROR';
  readonly prefix_rewrite?: string;
  readonly regex_rewrite?: RegexRewrite;
  readonly host_rewrite_literal?: string;
  /** 0: none. */
  readonly timeout: Duration;
  /** Envoy: the longest that a client's grpc-timeout may ask for; 0: as long as it wants. */
  readonly max_grpc_timeout?: Duration;
  /** gRPC: the same. Not for Envoy, to which it takes the place of `timeout`. */
  readonly max_stream_duration?: { readonly grpc_timeout_header_max: Duration };
  readonly retry_policy?: RetryPolicy;
  readonly request_mirror_policies?: readonly MirrorPolicy[];
  readonly hash_policy?: readonly HashPolicy[];
}

export interface RedirectAction {
  readonly host_redirect?: string;
  readonly scheme_redirect?: string;
  readonly port_redirect?: number;
  readonly path_redirect?: string;
  readonly prefix_rewrite?: string;
  readonly regex_rewrite?: RegexRewrite;
  readonly response_code: 'MOVED_PERMANENTLY' | 'FOUND' | 'SEE_OTHER' | 'TEMPORARY_REDIRECT' | 'PERMANENT_REDIRECT';
}

export interface DirectResponse {
  readonly status: number;
  readonly body?: { readonly inline_string: string } | { readonly inline_bytes: Buffer };
}

/** What happens to a request that matches: one of these. */
export type Action =
  | { readonly route: RouteAction }
  | { readonly redirect: RedirectAction }
  | { readonly direct_response: DirectResponse };

export type Route = Action &
  HeaderChanges &
  PerFilter & {
    readonly name: string;
    readonly match: RouteMatch;
    readonly metadata: { readonly filter_metadata: Readonly<Record<string, Struct>> };
    readonly decorator?: { readonly operation: string };
    readonly stat_prefix?: string;
  };

/** google.protobuf.Struct, which protobufjs writes in its own way. */
export interface Struct {
  readonly fields: Readonly<Record<string, { readonly stringValue: string } | { readonly numberValue: number }>>;
}
