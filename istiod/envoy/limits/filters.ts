/** The filter that limits how often requests come, of RateLimitPolicies at a service's port. */
import type { Limit, LimitKey } from '../../../common/kube/kinds/aquifer/rate-limit-policy.ts';
import type { MeshService } from '../inputs.ts';
import { type Duration, extension, type Message, typed } from '../values.ts';
import { type Attached, keyOf, mark, markedBy } from './attached.ts';

/** Values of keys that are counted one by one; our waypoint counts further ones together, Envoy forgets the oldest. */
const mostKeys = 10_000;
const always = { default_value: { numerator: 100 } };

/** One filter for all: it asks the slowest limit first, and tells of the one that refused. */
export function limitFilters(attached: readonly Attached[], service: MeshService): readonly Message[] {
  const limits = attached.filter(({ policy }) => policy.spec.counter === undefined).flatMap(namedLimits);
  if (limits.length === 0) return [];
  return [
    extension('envoy.filters.http.local_ratelimit', 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit', {
      stat_prefix: `rate_limit.${service.namespace}.${service.name}`,
      filter_enabled: always,
      filter_enforced: always,
      rate_limits: limits.map((named) => ({ actions: actionsOf(named) })),
      descriptors: limits.flatMap(descriptorsOf),
      max_dynamic_descriptors: { value: mostKeys },
      always_consume_default_token_bucket: { value: false },
      enable_x_ratelimit_headers: 'DRAFT_VERSION_03',
      enable_retry_after_header: true,
      rate_limited_as_resource_exhausted: true,
    }),
  ];
}

export interface NamedLimit {
  readonly limit: Limit;
  /** `namespace/policy/limit`. */
  readonly id: string;
  /** `namespace/policy` where only routes count that are marked by it. */
  readonly marked: string | undefined;
}

export function namedLimits({ policy, ofRoutes }: Attached): readonly NamedLimit[] {
  const of = keyOf(policy);
  const marked = ofRoutes ? of : undefined;
  return policy.spec.limits.map((limit) => ({ limit, id: `${of}/${limit.name}`, marked }));
}

/** Of entries by which a limit is found. */
const matches = { key: 'match', value: 'yes' };

/** HeaderMatchers of the requests that a limit means; none: all. */
export function headersOf({ match }: Limit): readonly Message[] {
  return [
    ...(match?.methods ? [{ name: ':method', ...fullMatch(match.methods.map(escaped).join('|')) }] : []),
    ...(match?.paths ? [{ name: ':path', ...fullMatch(`(?:${match.paths.map(pathPattern).join('|')})`) }] : []),
  ];
}

const routeKey = 'route';

export function actionsOf({ limit, id, marked }: NamedLimit, more: readonly Message[] = []): readonly Message[] {
  const { by = [] } = limit;
  const headers = headersOf(limit);
  const { key: descriptor_key, value: descriptor_value } = matches;
  return [
    { generic_key: { descriptor_key: 'limit', descriptor_value: id } },
    ...more,
    ...(marked === undefined ? [] : [markOf(marked)]),
    ...(headers.length > 0 ? [{ header_value_match: { descriptor_key, descriptor_value, headers } }] : []),
    ...by.map(actionOf),
  ];
}

/** Nothing is counted where the route has no such mark. */
function markOf(marked: string): Message {
  const metadata_key = { key: markedBy, path: [{ key: marked }] };
  return { metadata: { descriptor_key: routeKey, metadata_key, source: 'ROUTE_ENTRY' } };
}

function fullMatch(regex: string): Message {
  return { string_match: { safe_regex: { regex } } };
}

/** With or without a query. */
function pathPattern(path: string): string {
  return path.endsWith('*') ? `${escaped(path.slice(0, -1))}.*` : `${escaped(path)}(?:\\?.*)?`;
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.|?*+()[\]{}]/g, '\\$&');
}

const filterState = 'envoy.extensions.matching.common_inputs.network.v3.FilterStateInput';
/** Stands for a claim that is not there: no word that an issuer would choose, and one bucket for all. */
const noClaim = '-';

function actionOf({ type, name = '' }: LimitKey): Message {
  switch (type) {
    case 'Header':
      return {
        request_headers: { header_name: name.toLowerCase(), descriptor_key: headerKey(name), skip_if_absent: true },
      };
    case 'Claim': {
      const path = ['payload', ...name.split('.')].map((key) => ({ key }));
      return {
        metadata: {
          descriptor_key: `claim:${name}`,
          metadata_key: { key: 'envoy.filters.http.jwt_authn', path },
          default_value: noClaim,
        },
      };
    }
    case 'Identity':
      // Everybody who comes through a tunnel has one.
      return { extension: { name: 'identity', typed_config: typed(filterState, { key: 'io.istio.peer_principal' }) } };
    case 'Address':
      return { remote_address: {} };
  }
}

function headerKey(name: string): string {
  return `header:${name.toLowerCase()}`;
}

const keys: Readonly<Record<LimitKey['type'], (name: string) => string>> = {
  Header: headerKey,
  Claim: (name) => `claim:${name}`,
  Identity: () => 'identity',
  Address: () => 'remote_address',
};

/** One for each choice of headers that may be absent: without those a request is counted with all others that lack them. */
function descriptorsOf({ limit, id, marked }: NamedLimit): readonly Message[] {
  const { match, by = [], requests, unit, burst = requests } = limit;
  const fixed = [
    { key: 'limit', value: id },
    ...(marked === undefined ? [] : [{ key: routeKey, value: mark }]),
    ...(match?.methods || match?.paths ? [matches] : []),
  ];
  let choices: readonly (readonly Message[])[] = [[]];
  for (const { type, name = '' } of by) {
    const having = choices.map((entries) => [...entries, { key: keys[type](name), value: '' }]);
    choices = type === 'Header' ? [...having, ...choices] : having;
  }
  const token_bucket = { max_tokens: burst, tokens_per_fill: { value: requests }, fill_interval: units[unit] };
  return choices.map((entries) => ({ entries: [...fixed, ...entries], token_bucket }));
}

const units: Readonly<Record<Limit['unit'], Duration>> = {
  Second: { seconds: 1 },
  Minute: { seconds: 60 },
  Hour: { seconds: 3_600 },
  Day: { seconds: 86_400 },
  // The longest ones: only counters get them.
  Month: { seconds: 2_678_400 },
  Year: { seconds: 31_622_400 },
};
