/** envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit: limits that this process counts by itself. */
import type { Fields } from '../../../common/envoy/fields.ts';
import { applyHeaderOps, type HeaderAddition, readAddition } from '../../format/header-ops.ts';
import { Headers } from '../../request/headers.ts';
import type { RequestView } from '../../request/view.ts';
import { happens, readRuntimeFraction } from '../../route/match.ts';
import { type Descriptor, descriptorsOf, type RateLimit, readRateLimit } from '../../route/rate-limits.ts';
import {
  type FilterContext,
  type FilterEnvironment,
  type FilterKind,
  goOn,
  type HttpFilter,
  mostSpecific,
  type Verdict,
} from '../filter.ts';
import { type BucketSize, TokenBucket } from './bucket.ts';
import { KeyedBuckets } from './keyed-buckets.ts';
import { readStatus } from './status.ts';

const type = 'type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit';

export const localRateLimitFilter: FilterKind = {
  type,
  read(fields, env) {
    const config = readLocal(fields);
    const filter: HttpFilter = {
      onRequest: (view, context) => judge(mostSpecific<LocalLimit>(context) ?? config, view, context, env),
      onResponse: (_view, response, context) => {
        const { config: limit, bucket } = (context.recall() as Judged | undefined) ?? {};
        if (!limit?.tells || !bucket) return;
        const now = env.clock.now();
        response.headers.set('x-ratelimit-limit', String(bucket.size.max));
        response.headers.set('x-ratelimit-remaining', String(bucket.left(now)));
        response.headers.set('x-ratelimit-reset', String(Math.ceil(bucket.wait(now) / 1_000)));
      },
    };
    return filter;
  },
  perRoute: {
    type,
    read: (fields) => {
      if (!fields.has('token_bucket')) throw fields.refusal('token_bucket', 'is missing, which a route must have');
      return readLocal(fields);
    },
  },
};

interface LocalLimit {
  /** Counters: `x.http_local_rate_limit.ok`. */
  readonly prefix: string;
  readonly status: number;
  /** Of 1,000,000. */
  readonly enabled: number;
  readonly enforced: number;
  readonly whenNotEnforced: readonly HeaderAddition[];
  readonly responseHeaders: readonly HeaderAddition[];
  /** undefined: what no descriptor matches is not limited. */
  readonly bucket: (now: number) => TokenBucket | undefined;
  readonly exact: ReadonlyMap<string, (now: number) => TokenBucket>;
  readonly wildcards: readonly Wildcard[];
  readonly stage: number;
  /** Own ones: routes are not asked for theirs. */
  readonly limits: readonly RateLimit[];
  readonly ofHost: 'override' | 'include' | 'ignore';
  readonly alwaysTakesDefault: boolean;
  readonly tells: boolean;
  readonly tellsRetryAfter: boolean;
  readonly grpcStatus: number | undefined;
}

/** Entries without a value stand for any: each combination of values has a bucket. */
interface Wildcard {
  readonly entries: Descriptor;
  readonly buckets: KeyedBuckets;
}

interface Judged {
  readonly config: LocalLimit;
  readonly bucket: TokenBucket | undefined;
}

function judge(config: LocalLimit, view: RequestView, context: FilterContext, env: FilterEnvironment): Verdict {
  const { prefix } = config;
  if (!happens(config.enabled, context.dice.random())) return goOn;
  const count = (name: string) => {
    env.counter(`${prefix}.http_local_rate_limit.${name}`).value++;
  };
  count('enabled');
  const now = env.clock.now();
  const { allowed, bucket } = take(config, descriptors(config, view, context), now, count);
  context.remember({ config, bucket } satisfies Judged);
  if (allowed) {
    count('ok');
    return goOn;
  }
  count('rate_limited');
  if (!happens(config.enforced, context.dice.random())) {
    applyHeaderOps({ add: config.whenNotEnforced, remove: [] }, view.headers, context.format);
    return goOn;
  }
  count('enforced');
  const headers = new Headers([]);
  applyHeaderOps({ add: config.responseHeaders, remove: [] }, headers, context.format);
  if (config.tellsRetryAfter && bucket) headers.set('retry-after', String(Math.ceil(bucket.wait(now) / 1_000)));
  return {
    kind: 'reply',
    status: config.status,
    headers: [...headers],
    body: 'local_rate_limited',
    ...(config.grpcStatus !== undefined && { grpcStatus: config.grpcStatus }),
    details: 'local_rate_limited',
    flag: 'RL',
  };
}

function descriptors(config: LocalLimit, view: RequestView, context: FilterContext): readonly Descriptor[] {
  if (config.exact.size === 0 && config.wildcards.length === 0) return [];
  const { cluster, limits } = context;
  const request = { view, cluster, routeMetadata: context.format.facts.routeMetadata };
  if (config.limits.length > 0) return descriptorsOf(config.limits, config.stage, request);
  if (!limits) return [];
  const own = descriptorsOf(limits.ofRoute, config.stage, request);
  const includes =
    limits.includesHost || config.ofHost === 'include' || (config.ofHost === 'override' && limits.ofRoute.length === 0);
  return includes ? [...own, ...descriptorsOf(limits.ofHost, config.stage, request)] : own;
}

/** `bucket`: the one that refused, or of the first that matched. */
function take(
  config: LocalLimit,
  asked: readonly Descriptor[],
  now: number,
  count: (name: string) => void,
): { readonly allowed: boolean; readonly bucket: TokenBucket | undefined } {
  const matched = asked.flatMap((descriptor) => bucketOf(config, descriptor, now, count) ?? []);
  // The slowest first, as in Envoy: who is refused by it takes none of the others.
  matched.sort((a, b) => a.size.rate - b.size.rate);
  for (const bucket of matched) if (!bucket.take(now)) return { allowed: false, bucket };
  const fallback = matched.length === 0 || config.alwaysTakesDefault ? config.bucket(now) : undefined;
  if (fallback && !fallback.take(now)) return { allowed: false, bucket: fallback };
  return { allowed: true, bucket: matched[0] ?? fallback };
}

function bucketOf(
  { exact, wildcards }: LocalLimit,
  descriptor: Descriptor,
  now: number,
  count: (name: string) => void,
): TokenBucket | undefined {
  const key = keyOf(descriptor);
  const known = exact.get(key);
  if (known) return known(now);
  const wildcard = wildcards.find(({ entries }) => matches(entries, descriptor));
  const found = wildcard?.buckets.of(key, now);
  if (found?.isShared) count('shared');
  return found?.bucket;
}

function matches(wanted: Descriptor, descriptor: Descriptor): boolean {
  return (
    wanted.length === descriptor.length &&
    wanted.every(({ key, value }, i) => key === descriptor[i]!.key && (value === '' || value === descriptor[i]!.value))
  );
}

function keyOf(descriptor: Descriptor): string {
  return JSON.stringify(descriptor.map(({ key, value }) => [key, value]));
}

/** As Envoy's. */
const defaultMostKeys = 20;
const leastInterval = 50;

function readLocal(fields: Fields): LocalLimit {
  if (fields.text('stat_prefix') === '') throw fields.refusal('stat_prefix', 'is empty');
  const mostKeys = fields.wrapped('max_dynamic_descriptors', 1) ?? defaultMostKeys;
  const exact = new Map<string, (now: number) => TokenBucket>();
  const wildcards: Wildcard[] = [];
  fields.readAll('descriptors', (f) => {
    const entries = f.readAll('entries', (entry) => ({ key: entry.text('key'), value: entry.text('value') }));
    if (entries.length === 0) throw f.refusal('entries', 'is empty');
    const size = f.required('token_bucket', readBucket);
    if (entries.some(({ value }) => value === '')) {
      wildcards.push({ entries, buckets: new KeyedBuckets(size, mostKeys) });
      return;
    }
    const key = keyOf(entries);
    if (exact.has(key)) throw f.refusal('entries', `duplicate descriptor ${key}`);
    exact.set(key, lazily(size));
  });
  const size = fields.read('token_bucket', readBucket);
  return {
    prefix: fields.text('stat_prefix'),
    status: fields.read('status', readStatus) ?? 429,
    enabled: fields.read('filter_enabled', readRuntimeFraction) ?? 0,
    enforced: fields.read('filter_enforced', readRuntimeFraction) ?? 0,
    whenNotEnforced: fields.readAll('request_headers_to_add_when_not_enforced', readAddition),
    responseHeaders: fields.readAll('response_headers_to_add', readAddition),
    bucket: size ? lazily(size) : () => undefined,
    exact,
    wildcards,
    stage: fields.number('stage', 0, 10),
    limits: fields.readAll('rate_limits', readRateLimit),
    ofHost:
      fields.choice('vh_rate_limits', 'OVERRIDE', {
        OVERRIDE: 'override',
        INCLUDE: 'include',
        IGNORE: 'ignore',
      } as const) ?? 'override',
    alwaysTakesDefault: fields.wrappedFlag('always_consume_default_token_bucket') ?? true,
    tells: fields.choice('enable_x_ratelimit_headers', 'OFF', { OFF: false, DRAFT_VERSION_03: true }) ?? false,
    tellsRetryAfter: fields.flag('enable_retry_after_header'),
    grpcStatus: fields.flag('rate_limited_as_resource_exhausted') ? 8 : undefined,
  };
}

function readBucket(fields: Fields): BucketSize {
  const interval = fields.duration('fill_interval', leastInterval);
  if (interval === undefined) throw fields.refusal('fill_interval', 'is missing');
  const max = fields.number('max_tokens');
  if (max < 1) throw fields.refusal('max_tokens', 'is not above 0');
  return { max, rate: (fields.wrapped('tokens_per_fill', 1) ?? 1) / interval };
}

/** Full when it is first asked. */
function lazily(size: BucketSize): (now: number) => TokenBucket {
  let bucket: TokenBucket | undefined;
  return (now) => {
    bucket ??= new TokenBucket(size, now);
    return bucket;
  };
}
