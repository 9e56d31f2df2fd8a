/** envoy.extensions.filters.http.ratelimit.v3.RateLimit: a service that counts for all is asked (envoy.service.ratelimit.v3). */
import { type Millis, millis } from '../../../common/core/brand.ts';
import { assertNever } from '../../../common/core/errors.ts';
import { encodeEnvoy, typeUrl } from '../../../common/envoy/codec.ts';
import type { Fields } from '../../../common/envoy/fields.ts';
import { applyHeaderOps, type HeaderAddition, readAddition } from '../../format/header-ops.ts';
import { Headers } from '../../request/headers.ts';
import type { RequestView } from '../../request/view.ts';
import { type Descriptor, descriptorsOf } from '../../route/rate-limits.ts';
import type { GrpcAnswer } from '../caller.ts';
import {
  type FilterContext,
  type FilterEnvironment,
  type FilterKind,
  goOn,
  type HttpFilter,
  mostSpecific,
  type Verdict,
} from '../filter.ts';
import { readHttpStatus } from '../http-status.ts';
import { type Answer, readAnswer } from './answer.ts';
import { readStatus } from './status.ts';

const name = 'envoy.filters.http.ratelimit';
const method = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';
/** Bytes of an answer. */
const most = 65_536;

export const globalRateLimitFilter: FilterKind = {
  type: 'type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit',
  read(fields, env) {
    const config = readGlobal(fields);
    const filter: HttpFilter = {
      onRequest: (view, context) => ask(config, view, context, env),
      onResponse: (_view, { headers }, context) => {
        const answer = context.recall() as Answer | undefined;
        if (answer && config.tells) for (const [key, value] of quotaHeaders(answer)) headers.set(key, value);
        if (answer?.code === 'ok') for (const [key, value] of answer.responseHeaders) headers.append(key, value);
      },
    };
    return filter;
  },
  perRoute: {
    type: 'type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute',
    read: (fields): RouteSays => {
      fields.choice('override_option', 'DEFAULT', { DEFAULT: true });
      return { ofHost: readOfHost(fields), domain: fields.text('domain') };
    },
  },
};

interface RouteSays {
  readonly ofHost: 'override' | 'include' | 'ignore';
  /** Empty: the filter's. */
  readonly domain: string;
}

interface GlobalLimit {
  readonly domain: string;
  readonly stage: number;
  readonly asks: 'internal' | 'external' | 'both';
  readonly timeout: Millis;
  readonly failsClosed: boolean;
  readonly cluster: string;
  readonly authority: string;
  readonly tells: boolean;
  readonly marks: boolean;
  readonly status: number;
  readonly statusOnError: number;
  readonly responseHeaders: readonly HeaderAddition[];
  readonly grpcStatus: number | undefined;
  /** Of counters, with a dot at its end. */
  readonly prefix: string;
}

function ask(config: GlobalLimit, view: RequestView, context: FilterContext, env: FilterEnvironment): Verdict {
  const isInternal = view.headers.first('x-envoy-internal') === 'true';
  if (config.asks !== 'both' && (config.asks === 'internal') !== isInternal) return goOn;
  const says = mostSpecific<RouteSays>(context);
  const descriptors = wanted(config, says, view, context);
  if (descriptors.length === 0) return goOn;
  const count = (what: string) => {
    env.counter(`cluster.${context.cluster}.ratelimit.${config.prefix}${what}`).value++;
  };
  const message = encodeEnvoy({
    '@type': typeUrl('envoy.service.ratelimit.v3.RateLimitRequest'),
    domain: says?.domain || config.domain,
    descriptors: descriptors.map((entries) => ({ entries })),
  } as Parameters<typeof encodeEnvoy>[0]);
  const { cluster, authority, timeout } = config;
  const call = { cluster, path: method, authority, metadata: [], message, timeout, most };
  return {
    kind: 'ask',
    ask: (done) => env.caller.grpc(call, (answer) => done(judge(config, answer, view, context, count))),
  };
}

function wanted(
  config: GlobalLimit,
  says: RouteSays | undefined,
  view: RequestView,
  { cluster, limits, format }: FilterContext,
): readonly Descriptor[] {
  if (!limits) return [];
  const request = { view, cluster, routeMetadata: format.facts.routeMetadata };
  const own = descriptorsOf(limits.ofRoute, config.stage, request);
  const ofHost = limits.includesHost ? 'include' : (says?.ofHost ?? 'override');
  const includes = ofHost === 'include' || (ofHost === 'override' && limits.ofRoute.length === 0);
  return includes ? [...own, ...descriptorsOf(limits.ofHost, config.stage, request)] : own;
}

function judge(
  config: GlobalLimit,
  answered: GrpcAnswer,
  view: RequestView,
  context: FilterContext,
  count: (what: string) => void,
): Verdict {
  const answer = answered.kind === 'answered' ? readAnswer(answered.message) : undefined;
  if (!answer) {
    count('error');
    if (!config.failsClosed) {
      count('failure_mode_allowed');
      return goOn;
    }
    return {
      kind: 'reply',
      status: config.statusOnError,
      headers: [],
      body: '',
      details: 'rate_limiter_error',
      flag: 'RLSE',
    };
  }
  context.remember(answer);
  if (answer.metadata) context.setMetadata(name, answer.metadata);
  switch (answer.code) {
    case 'ok':
      count('ok');
      for (const [key, value] of answer.requestHeaders) view.headers.append(key, value);
      return goOn;
    case 'over': {
      count('over_limit');
      const headers = Headers.of(answer.responseHeaders);
      applyHeaderOps({ add: config.responseHeaders, remove: [] }, headers, context.format);
      if (config.marks) headers.set('x-envoy-ratelimited', 'true');
      const { status, grpcStatus } = config;
      return {
        kind: 'reply',
        status,
        headers: [...headers],
        body: answer.body,
        ...(grpcStatus !== undefined && { grpcStatus }),
        details: 'request_rate_limited',
        flag: 'RL',
      };
    }
    default:
      return assertNever(answer.code);
  }
}

/** Of the limit that is nearest to its end (draft-polli-ratelimit-headers-03). */
function quotaHeaders({ limits }: Answer): readonly (readonly [string, string])[] {
  const [first] = limits.toSorted((a, b) => a.left - b.left);
  if (!first) return [];
  const policies = limits.map(({ most: requests, seconds, name: label }) => {
    return `, ${requests};w=${seconds}${label === '' ? '' : `;name="${label}"`}`;
  });
  return [
    ['x-ratelimit-limit', `${first.most}${policies.join('')}`],
    ['x-ratelimit-remaining', String(first.left)],
    ['x-ratelimit-reset', String(first.reset)],
  ];
}

function readGlobal(fields: Fields): GlobalLimit {
  const domain = fields.text('domain');
  if (domain === '') throw fields.refusal('domain', 'is empty');
  const asks = fields.text('request_type') || 'both';
  if (asks !== 'internal' && asks !== 'external' && asks !== 'both') {
    throw fields.refusal('request_type', `${JSON.stringify(asks)} is not internal, external or both`);
  }
  const prefix = fields.text('stat_prefix');
  return {
    domain,
    stage: fields.number('stage', 0, 10),
    asks,
    timeout: fields.duration('timeout', 1) ?? millis(20),
    failsClosed: fields.flag('failure_mode_deny'),
    ...fields.required('rate_limit_service', readService),
    tells: fields.choice('enable_x_ratelimit_headers', 'OFF', { OFF: false, DRAFT_VERSION_03: true }) ?? false,
    marks: !fields.flag('disable_x_envoy_ratelimited_header'),
    status: fields.read('rate_limited_status', readStatus) ?? 429,
    statusOnError: fields.read('status_on_error', readHttpStatus) ?? 500,
    responseHeaders: fields.readAll('response_headers_to_add', readAddition),
    grpcStatus: fields.flag('rate_limited_as_resource_exhausted') ? 8 : undefined,
    prefix: prefix === '' ? '' : `${prefix}.`,
  };
}

function readService(fields: Fields): Pick<GlobalLimit, 'cluster' | 'authority'> {
  fields.choice('transport_api_version', 'AUTO', { V3: true });
  return fields.required('grpc_service', (service) => {
    const which = service.which('envoy_grpc', 'google_grpc');
    if (which === 'google_grpc') throw service.unsupported(which);
    return service.required('envoy_grpc', (f) => {
      const cluster = f.text('cluster_name');
      if (cluster === '') throw f.refusal('cluster_name', 'is empty');
      return { cluster, authority: f.text('authority') || cluster };
    });
  });
}

function readOfHost(fields: Fields): RouteSays['ofHost'] {
  const options = { OVERRIDE: 'override', INCLUDE: 'include', IGNORE: 'ignore' } as const;
  return fields.choice('vh_rate_limits', 'OVERRIDE', options) ?? 'override';
}
