/** envoy.config.route.v3.RetryPolicy. What a failure means for it is the router's to ask: `isRetriable`. */
import type { Fields } from '../../common/envoy/fields.ts';
import { type HeaderSource, readHeader } from '../match/header.ts';
import type { Headers } from '../request/headers.ts';
import type { RequestView, ResponseView } from '../request/view.ts';
import { type LimitedBackOff, type RetryOn, type RetryPolicy, retryConditions } from './types.ts';

const previousHosts = 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate';
const previousPriorities =
  'type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig';
const defaultBase = 25;

export function readRetry(fields: Fields): RetryPolicy {
  const on = new Set(conditionsOf(fields.text('retry_on')));
  const predicates = fields.readAll('retry_host_predicate', (f) => {
    f.harmless('name');
    return f.required('typed_config', (c) => {
      if (c.type !== previousHosts) throw c.refusal('@type', `${c.type} is not supported`);
      return true;
    });
  });
  const backOff = fields.read('retry_back_off', (f) => {
    const base = f.duration('base_interval') ?? 0;
    if (base < 1) throw f.refusal('base_interval', 'must be 1 ms at least');
    const max = f.duration('max_interval') ?? base * 10;
    if (max < base) throw f.refusal('max_interval', 'is below base_interval');
    return { base, max };
  });
  return {
    on,
    max: fields.wrapped('num_retries') ?? 1,
    perTryTimeout: fields.duration('per_try_timeout') || undefined,
    perTryIdleTimeout: fields.duration('per_try_idle_timeout') || undefined,
    statusCodes: new Set(fields.numbers('retriable_status_codes')),
    responseHeaders: fields.readAll('retriable_headers', readHeader),
    requestHeaders: fields.readAll('retriable_request_headers', readHeader),
    backOff: backOff ?? { base: defaultBase, max: defaultBase * 10 },
    limitedBackOff: fields.read('rate_limited_retry_back_off', readLimited),
    avoidsPreviousHosts: predicates.length > 0,
    hostAttempts: fields.number('host_selection_retry_max_attempts') || 1,
    previousPriorities: fields.read('retry_priority', (f) => {
      f.harmless('name');
      return f.required('typed_config', (c) => {
        if (c.type !== previousPriorities) throw c.refusal('@type', `${c.type} is not supported`);
        return { updateFrequency: c.number('update_frequency') };
      });
    }),
  };
}

function readLimited(fields: Fields): LimitedBackOff {
  const headers = fields.readAll('reset_headers', (f) => ({
    name: f.text('name').toLowerCase(),
    format:
      f.choice('format', 'SECONDS', { SECONDS: 'seconds', UNIX_TIMESTAMP: 'unix-timestamp' } as const) ?? 'seconds',
  }));
  return { headers, max: fields.duration('max_interval') ?? 300_000 };
}

const readsNothing: RetryPolicy = {
  on: new Set(),
  max: 1,
  perTryTimeout: undefined,
  perTryIdleTimeout: undefined,
  statusCodes: new Set(),
  responseHeaders: [],
  requestHeaders: [],
  backOff: { base: defaultBase, max: defaultBase * 10 },
  limitedBackOff: undefined,
  avoidsPreviousHosts: false,
  hostAttempts: 1,
  previousPriorities: undefined,
};

/**
 * The policy of one request: what its headers ask for is added to its route's (Envoy's router documents them: x-envoy-retry-on and
 * the others). undefined: it is never tried again.
 */
export function retryOf(policy: RetryPolicy | undefined, view: RequestView): RetryPolicy | undefined {
  const { headers } = view;
  const [asked, askedOfGrpc] = [headers.first('x-envoy-retry-on'), headers.first('x-envoy-retry-grpc-on')];
  if (asked === undefined && askedOfGrpc === undefined && (policy === undefined || policy.on.size === 0))
    return undefined;
  const base = policy ?? readsNothing;
  if (base.requestHeaders.length > 0) {
    const read = (name: string) =>
      name === ':method' ? view.method : name === ':path' ? view.path : headers.get(name);
    if (!base.requestHeaders.some((test) => test.matches(read))) return undefined;
  }
  const [max, codes, names] = [
    headers.first('x-envoy-max-retries'),
    headers.first('x-envoy-retriable-status-codes'),
    headers.first('x-envoy-retriable-header-names'),
  ];
  if ([asked, askedOfGrpc, max, codes, names].every((text) => text === undefined)) return base;
  const on = [
    ...conditionsOf(asked).filter((c) => !grpcConditions.has(c)),
    ...conditionsOf(askedOfGrpc).filter((c) => grpcConditions.has(c)),
  ];
  const present = wordsOf(names).map((name) => ({
    name: name.toLowerCase(),
    matches: (read: HeaderSource) => read(name.toLowerCase()) !== undefined,
  }));
  return {
    ...base,
    on: new Set([...base.on, ...on]),
    max: isCount(max) ? Number(max) : base.max,
    statusCodes: new Set([...base.statusCodes, ...wordsOf(codes).filter(isCount).map(Number)]),
    responseHeaders: [...base.responseHeaders, ...present],
  };
}

function isCount(text: string | undefined): boolean {
  return text !== undefined && /^\d{1,10}$/.test(text);
}

function wordsOf(text: string | undefined): readonly string[] {
  return (text ?? '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}

/** Envoy takes no notice of words that it does not know; Istio passes status codes as well. */
function conditionsOf(text: string | undefined): readonly RetryOn[] {
  return wordsOf(text).flatMap((word) => retryConditions.find((c) => c === word) ?? []);
}

/** How a try ended. */
export type TryOutcome =
  | { readonly kind: 'response'; readonly response: ResponseView }
  /** `beforeRequest`: no byte of the request had been sent. */
  | { readonly kind: 'reset'; readonly beforeRequest: boolean }
  | { readonly kind: 'refused-stream' }
  | { readonly kind: 'connect-failure' }
  | { readonly kind: 'per-try-timeout' };

/** gRPC statuses of retry_on. */
const grpcStatus: ReadonlyMap<string, RetryOn> = new Map([
  ['1', 'cancelled'],
  ['4', 'deadline-exceeded'],
  ['8', 'resource-exhausted'],
  ['13', 'internal'],
  ['14', 'unavailable'],
]);
const grpcConditions = new Set(grpcStatus.values());

/** The condition by which a try may be repeated; undefined: it may not. Number of tries and budgets are not asked here. */
export function isRetriable(policy: RetryPolicy, outcome: TryOutcome): RetryOn | undefined {
  const { on } = policy;
  const has = (...names: readonly RetryOn[]) => names.find((name) => on.has(name));
  switch (outcome.kind) {
    case 'refused-stream':
      return has('refused-stream', '5xx', 'gateway-error', 'reset');
    case 'connect-failure':
      return has('connect-failure', '5xx', 'gateway-error', 'reset');
    case 'per-try-timeout':
      return has('5xx', 'gateway-error', 'reset');
    case 'reset':
      return has('5xx', 'gateway-error', 'reset') ?? (outcome.beforeRequest ? has('reset-before-request') : undefined);
    case 'response':
      return byResponse(policy, outcome.response);
  }
}

function byResponse(
  { on, statusCodes, responseHeaders }: RetryPolicy,
  { status, headers }: ResponseView,
): RetryOn | undefined {
  if (headers.has('x-envoy-ratelimited')) return on.has('envoy-ratelimited') ? 'envoy-ratelimited' : undefined;
  if (on.has('5xx') && status >= 500 && status < 600) return '5xx';
  if (on.has('gateway-error') && [502, 503, 504].includes(status)) return 'gateway-error';
  if (on.has('retriable-4xx') && status === 409) return 'retriable-4xx';
  if (on.has('retriable-status-codes') && statusCodes.has(status)) return 'retriable-status-codes';
  const read = (name: string) => (name === ':status' ? String(status) : headers.get(name));
  if (on.has('retriable-headers') && responseHeaders.some((test) => test.matches(read))) return 'retriable-headers';
  const condition = grpcStatus.get(headers.first('grpc-status') ?? '');
  return condition !== undefined && on.has(condition) ? condition : undefined;
}

/** Milliseconds until the next try, fully jittered; `attempt` from 1. `random`: from 0 to below 1. */
export function backOffBefore({ backOff }: RetryPolicy, attempt: number, random: number): number {
  const window = Math.min(backOff.base * (2 ** Math.min(attempt, 30) - 1), backOff.max);
  return Math.floor(random * window);
}

/**
 * Milliseconds until the next try as the answer asks for (retry-after and the like), with jitter on top; undefined: it asks for nothing,
 * or for longer than the policy allows. `wall`: ms since 1970.
 */
export function limitedBackOff(
  { limitedBackOff: limited }: RetryPolicy,
  headers: Headers,
  wall: number,
  random: number,
): number | undefined {
  for (const { name, format } of limited?.headers ?? []) {
    const text = headers.first(name);
    if (text === undefined || !/^\d{1,15}$/.test(text)) continue;
    const asked = Number(text) * 1_000 - (format === 'seconds' ? 0 : Math.floor(wall / 1_000) * 1_000);
    if (asked > 1 && asked <= limited!.max) return asked + Math.floor(random * Math.floor(asked / 2));
  }
  return undefined;
}
