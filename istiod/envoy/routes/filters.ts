/** Faults and CORS: what a route says to filters before the router. */
import type { HttpRoute as GatewayHttpRoute } from '../../../common/kube/kinds/gateway-api/http-route.ts';
import type { VirtualService } from '../../../common/kube/kinds/istio/virtual-service.ts';
import type { Extension, StringMatcher } from './envoy.ts';
import { quoteRegex, stringMatcher } from './matchers.ts';
import { durationOf, fractionOf, isZero, runtimeFraction } from './values.ts';

type HttpRoute = NonNullable<VirtualService['spec']['http']>[number];

export const faultFilter = 'envoy.filters.http.fault';
export const corsFilter = 'envoy.filters.http.cors';

/** By the numbers of gRPC. */
const grpcStatuses =
  'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED'.split(
    ' ',
  );

/** undefined: nothing that would ever happen. Without a percentage nothing does. */
export function faultOf({ delay, abort }: NonNullable<HttpRoute['fault']>): Extension | undefined {
  const fixed_delay = durationOf(delay?.fixedDelay);
  const delayed =
    fixed_delay === undefined || isZero(fixed_delay)
      ? {}
      : { delay: { fixed_delay, percentage: fractionOf(delay?.percentage?.value ?? delay?.percent ?? 0) } };
  const status = abortStatus(abort);
  const aborted =
    status === undefined ? {} : { abort: { ...status, percentage: fractionOf(abort?.percentage?.value ?? 0) } };
  if (Object.keys(delayed).length + Object.keys(aborted).length === 0) return undefined;
  return {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault',
    ...delayed,
    ...aborted,
  };
}

function abortStatus(abort: NonNullable<HttpRoute['fault']>['abort']): object | undefined {
  if (abort?.httpStatus !== undefined) return { http_status: abort.httpStatus };
  if (abort?.grpcStatus === undefined) return undefined;
  const number = grpcStatuses.indexOf(abort.grpcStatus);
  return number < 0 ? undefined : { grpc_status: number };
}

interface Cors {
  readonly origins: readonly StringMatcher[];
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly expose: readonly string[];
  readonly maxAge: number | undefined;
  readonly credentials: boolean | undefined;
  /** Questions of other origins go on to the service; otherwise they are answered without a permission. */
  readonly forwardsOthers: boolean;
}

function corsPolicy({ origins, methods, headers, expose, maxAge, credentials, forwardsOthers }: Cors): Extension {
  return {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy',
    allow_origin_string_match: origins,
    ...(methods.length === 0 ? {} : { allow_methods: methods.join() }),
    ...(headers.length === 0 ? {} : { allow_headers: headers.join() }),
    ...(expose.length === 0 ? {} : { expose_headers: expose.join() }),
    ...(maxAge === undefined ? {} : { max_age: String(maxAge) }),
    ...(credentials === undefined ? {} : { allow_credentials: { value: credentials } }),
    filter_enabled: runtimeFraction(100),
    forward_not_matching_preflights: { value: forwardsOthers },
  };
}

export function istioCors(policy: NonNullable<HttpRoute['corsPolicy']>): Extension {
  const { allowOrigins, allowOrigin = [], allowMethods = [], allowHeaders = [], exposeHeaders = [] } = policy;
  const origins =
    allowOrigins === undefined
      ? allowOrigin.map((exact) => ({ exact }))
      : allowOrigins.flatMap((match) => stringMatcher(match) ?? []);
  return corsPolicy({
    origins,
    methods: allowMethods,
    headers: allowHeaders,
    expose: exposeHeaders,
    maxAge: durationOf(policy.maxAge)?.seconds,
    credentials: policy.allowCredentials ?? undefined,
    forwardsOthers: policy.unmatchedPreflights !== 'IGNORE',
  });
}

type GatewayFilter = NonNullable<NonNullable<GatewayHttpRoute['spec']['rules']>[number]['filters']>[number];

export function gatewayCors(cors: NonNullable<GatewayFilter['cors']>): Extension {
  const { allowOrigins = [], allowMethods = [], allowHeaders = [], exposeHeaders = [], allowCredentials } = cors;
  return corsPolicy({
    origins: allowOrigins.map(originMatcher),
    methods: allowMethods,
    headers: allowHeaders,
    expose: exposeHeaders,
    maxAge: cors.maxAge ?? 5,
    credentials: allowCredentials === true ? true : undefined,
    forwardsOthers: false,
  });
}

/** `*` is any scheme, host and port; in front of a host at least one label; in place of a host any host. */
function originMatcher(origin: string): StringMatcher {
  if (origin === '*') return { safe_regex: { regex: '[a-zA-Z][a-zA-Z0-9+.-]*://[^/\\s?#]+' } };
  if (!origin.includes('*')) return { exact: origin };
  return { safe_regex: { regex: quoteRegex(origin).replaceAll('\\*', '[^/\\s?#]+') } };
}
