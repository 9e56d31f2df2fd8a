/** GRPCRoute: its matches, and how they rank. A method is the path of an HTTP/2 request. */
import type { GrpcRoute } from '../../../../common/kube/kinds/gateway-api/grpc-route.ts';
import type { RouteMatch } from '../envoy.ts';
import { quoteRegex } from '../matchers.ts';
import { stringMatch, uniqueByName } from './http-route.ts';
import type { RankedMatch, Rule, RuleKind } from './rules.ts';

type GrpcRule = NonNullable<GrpcRoute['spec']['rules']>[number];
type Match = NonNullable<GrpcRule['matches']>[number];

/** 503 is what gRPC's clients read as UNAVAILABLE. */
export const grpcRules: RuleKind<GrpcRoute> = {
  refusal: 503,
  rulesOf: ({ spec }) => (spec.rules ?? []).map(ruleOf),
};

function ruleOf(rule: GrpcRule): Rule {
  const { matches = [] } = rule;
  return {
    name: rule.name,
    matches: (matches.length === 0 ? [{}] : matches).map(matchOf),
    filters: rule.filters,
    backendRefs: rule.backendRefs ?? [],
    timeouts: undefined,
    retry: undefined,
    session: rule.sessionPersistence,
  };
}

/** Longer names of services first, then of methods; then headers. */
function matchOf({ method, headers = [] }: Match): RankedMatch {
  const named = uniqueByName(headers, (h) => h.name.toLowerCase()).map((h) => ({
    name: h.name.toLowerCase(),
    ...stringMatch(h),
  }));
  return {
    match: { ...methodMatch(method), ...(named.length === 0 ? {} : { headers: named }) },
    rank: [method?.service?.length ?? 0, method?.method?.length ?? 0, named.length],
  };
}

/** Any name. */
const anything = '[^/]+';

function methodMatch(given: Match['method']): RouteMatch {
  const { type = 'Exact', service = '', method = '' } = given ?? {};
  if (service === '' && method === '') return { prefix: '/' };
  if (type === 'RegularExpression') {
    const part = (regex: string) => (regex === '' ? anything : `(?:${regex})`);
    return { safe_regex: { regex: `/${part(service)}/${part(method)}` } };
  }
  if (service !== '' && method !== '') return { path: `/${service}/${method}` };
  if (service !== '') return { prefix: `/${service}/` };
  return { safe_regex: { regex: `/${anything}/${quoteRegex(method)}` } };
}
