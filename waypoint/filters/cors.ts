/** envoy.extensions.filters.http.cors.v3: preflights answered here, origins told in responses. Policies are the routes'. */
import type { Fields } from '../../common/envoy/fields.ts';
import { readString, type StringTest } from '../match/string.ts';
import type { RequestView } from '../request/view.ts';
import { happens, readRuntimeFraction } from '../route/match.ts';
import { type FilterContext, type FilterKind, goOn, type HttpFilter, type Verdict } from './filter.ts';

/** What a level leaves out it leaves to the next, less specific one. */
interface CorsPolicy {
  readonly origins: readonly StringTest[];
  readonly methods: string;
  readonly headers: string;
  readonly exposed: string;
  readonly maxAge: string;
  readonly credentials: boolean | undefined;
  readonly privateNetwork: boolean | undefined;
  readonly forwardsOthers: boolean | undefined;
  /** Of 1,000,000. */
  readonly enabled: number | undefined;
}

export const corsFilter: FilterKind = {
  type: 'type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors',
  read: () => filter,
  perRoute: { type: 'type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy', read: readPolicy },
};

const filter: HttpFilter = {
  onRequest(view, context) {
    // Of redirects and direct responses Envoy's filter takes no notice.
    if (context.cluster === undefined) return goOn;
    const origin = view.headers.first('origin');
    const policy = origin ? policyOf(context) : undefined;
    if (!policy || !origin || !happens(policy.enabled ?? 1_000_000, context.dice.random())) return goOn;
    const isPreflight = view.method === 'OPTIONS' && (view.headers.first('access-control-request-method') ?? '') !== '';
    if (!policy.origins.some((test) => test('*') || test(origin))) {
      context.count('cors.origin_invalid');
      return isPreflight && policy.forwardsOthers === false ? answer(preflight(policy, '', view)) : goOn;
    }
    context.count('cors.origin_valid');
    context.remember({ policy, origin });
    if (isPreflight) return answer(preflight(policy, origin, view));
    return goOn;
  },

  onResponse(_view, response, context) {
    const kept = context.recall() as { readonly policy: CorsPolicy; readonly origin: string } | undefined;
    if (!kept) return;
    const { policy, origin } = kept;
    response.headers.set('access-control-allow-origin', origin);
    if (policy.credentials) response.headers.set('access-control-allow-credentials', 'true');
    if (policy.exposed !== '') response.headers.set('access-control-expose-headers', policy.exposed);
  },
};

function readPolicy(fields: Fields): CorsPolicy {
  fields.harmless('shadow_enabled');
  return {
    origins: fields.readAll('allow_origin_string_match', readString),
    methods: fields.text('allow_methods'),
    headers: fields.text('allow_headers'),
    exposed: fields.text('expose_headers'),
    maxAge: fields.text('max_age'),
    credentials: fields.wrappedFlag('allow_credentials'),
    privateNetwork: fields.wrappedFlag('allow_private_network_access'),
    forwardsOthers: fields.wrappedFlag('forward_not_matching_preflights'),
    enabled: fields.read('filter_enabled', readRuntimeFraction),
  };
}

function policyOf({ perRoute }: FilterContext): CorsPolicy | undefined {
  const levels = perRoute.flatMap((level) => (level.kind === 'config' ? [level.config as CorsPolicy] : []));
  const text = (of: (policy: CorsPolicy) => string) => levels.map(of).find((value) => value !== '') ?? '';
  const said = <T>(of: (policy: CorsPolicy) => T | undefined) => levels.map(of).find((value) => value !== undefined);
  const [first] = levels;
  if (!first) return undefined;
  return {
    origins: levels.map((p) => p.origins).find((origins) => origins.length > 0) ?? [],
    methods: text((p) => p.methods),
    headers: text((p) => p.headers),
    exposed: text((p) => p.exposed),
    maxAge: text((p) => p.maxAge),
    credentials: said((p) => p.credentials),
    privateNetwork: said((p) => p.privateNetwork),
    forwardsOthers: said((p) => p.forwardsOthers),
    // Whether it is on is the most specific level's to say.
    enabled: first.enabled,
  };
}

/**
 * `origin` is empty where it may not: the rest is told all the same, as by Envoy, and a browser heeds none of it. For `*` the answer says
 * what was asked for, since browsers take the star for a name once credentials come along.
 */
function preflight(
  policy: CorsPolicy,
  origin: string,
  { headers }: RequestView,
): readonly (readonly [string, string])[] {
  const given = (name: string, value: string): readonly (readonly [string, string])[] =>
    value === '' ? [] : [[name, value]];
  const asked = (what: 'method' | 'headers') => headers.first(`access-control-request-${what}`) ?? '';
  const allowed = (name: 'methods' | 'headers', value: string, wanted: string) =>
    value === '*' ? [[`access-control-allow-${name}`, wanted] as const] : given(`access-control-allow-${name}`, value);
  const isPrivate = policy.privateNetwork && headers.has('access-control-request-private-network');
  return [
    ...given('access-control-allow-origin', origin),
    ...given('access-control-allow-credentials', policy.credentials ? 'true' : ''),
    ...allowed('methods', policy.methods, asked('method')),
    ...allowed('headers', policy.headers, asked('headers')),
    ...given('access-control-max-age', policy.maxAge),
    ...given('access-control-allow-private-network', isPrivate ? 'true' : ''),
  ];
}

function answer(headers: readonly (readonly [string, string])[]): Verdict {
  return { kind: 'reply', status: 200, headers, body: '', details: 'cors_response' };
}
