/** HTTPRoute: its matches, and how they rank. */
import type { HttpRoute } from '../../../../common/kube/kinds/gateway-api/http-route.ts';
import type { HeaderMatcher, RouteMatch } from '../envoy.ts';
import type { Retries } from '../retries.ts';
import type { RankedMatch, Rule, RuleKind } from './rules.ts';

type HttpRule = NonNullable<HttpRoute['spec']['rules']>[number];
type Match = NonNullable<HttpRule['matches']>[number];

export const httpRules: RuleKind<HttpRoute> = {
  refusal: 500,
  rulesOf: ({ spec }) => (spec.rules ?? [{}]).map(ruleOf),
};

function ruleOf(rule: HttpRule): Rule {
  const { matches = [] } = rule;
  return {
    name: rule.name,
    matches: (matches.length === 0 ? [{}] : matches).map(matchOf),
    filters: rule.filters,
    backendRefs: rule.backendRefs ?? [],
    timeouts: rule.timeouts,
    retry: rule.retry === undefined ? undefined : retriesOf(rule.retry),
    session: rule.sessionPersistence,
  };
}

/** Whoever asks for retries gets them for connections that fail, too, and for tries that take too long. */
const failures = ['connect-failure', 'refused-stream', 'reset', 'unavailable', 'cancelled'];

function retriesOf({ attempts, backoff, codes = [] }: NonNullable<HttpRule['retry']>): Retries {
  return {
    attempts: attempts ?? 2,
    retryOn: [...failures, ...codes.map(String)].join(),
    ...(backoff === undefined ? {} : { backoff }),
  };
}

const ranks = { Exact: 3, PathPrefix: 2, RegularExpression: 1 } as const;

/** Exact paths before prefixes before regular expressions, longer ones first; then methods, headers, query parameters. */
function matchOf({ path, headers = [], queryParams = [], method }: Match): RankedMatch {
  const { type = 'PathPrefix', value = '/' } = path ?? {};
  const named: readonly HeaderMatcher[] = uniqueByName(headers, (h) => h.name.toLowerCase()).map((h) => ({
    name: h.name.toLowerCase(),
    ...stringMatch(h),
  }));
  const query = uniqueByName(queryParams, (q) => q.name).map((q) => ({ name: q.name, ...stringMatch(q) }));
  const all = [...named, ...(method === undefined ? [] : [{ name: ':method', string_match: { exact: method } }])];
  return {
    match: {
      ...pathMatch(type, value),
      ...(all.length === 0 ? {} : { headers: all }),
      ...(query.length === 0 ? {} : { query_parameters: query }),
    },
    rank: [ranks[type], value.length, method === undefined ? 0 : 1, named.length, query.length],
  };
}

function pathMatch(type: keyof typeof ranks, value: string): RouteMatch {
  if (type === 'Exact') return { path: value };
  if (type === 'RegularExpression') return { safe_regex: { regex: value } };
  const prefix = value.replace(/\/+$/, '');
  return prefix === '' ? { prefix: '/' } : { path_separated_prefix: prefix };
}

interface Value {
  readonly type?: 'Exact' | 'RegularExpression';
  readonly value: string;
}

export function stringMatch({ type = 'Exact', value }: Value) {
  return { string_match: type === 'Exact' ? { exact: value } : { safe_regex: { regex: value } } } as const;
}

/** Of several with one name the first one counts. */
export function uniqueByName<T>(list: readonly T[], name: (item: T) => string): readonly T[] {
  return list.filter((item, i) => list.findIndex((other) => name(other) === name(item)) === i);
}
