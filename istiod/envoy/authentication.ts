/** The filter that reads tokens, of RequestAuthentications at a service's port. */
import type { RequestAuthentication } from '../../common/kube/kinds/security.ts';
import { impossibleKeys, usableKeys } from '../jwks/key-set.ts';
import { type FoundKeys, type KeySource, lookupOf } from '../jwks/resolver.ts';
import type { MeshService, MeshView } from './inputs.ts';
import type { WaypointProxy } from './proxy.ts';
import { waypointClass } from './rbac/filters.ts';
import { durationOf, extension, type Message } from './values.ts';

export type JwtRule = NonNullable<NonNullable<RequestAuthentication['spec']>['jwtRules']>[number];

/** RequestAuthentications with the service, its waypoint or the class of waypoints as target. */
export function authenticationsFor(
  view: MeshView,
  { gateway }: WaypointProxy,
  service: MeshService,
): readonly RequestAuthentication[] {
  const ofClass = view
    .authentications(`GatewayClass/${waypointClass}`)
    .filter((a) => a.metadata.namespace === view.facts.rootNamespace);
  return [
    ...new Set([
      ...ofClass,
      ...view.authentications(`Gateway/${gateway as `${string}/${string}`}`),
      ...view.authentications(`${service.kind}/${service.namespace}/${service.name}`),
    ]),
  ];
}

/** Claims that are lists of words whatever a rule says. */
const wordLists = ['permission', 'scope'];
const allowMissing = { allow_missing: {} };

/** A token of any of the rules has to be good; without one a request goes on, but where a rule says REQUIRED. */
export function tokenFilters(
  authentications: readonly RequestAuthentication[],
  keysOf: (source: KeySource) => FoundKeys,
): readonly Message[] {
  const rules = authentications
    .flatMap((a) => a.spec?.jwtRules ?? [])
    .map((rule, i) => ({ rule, i }))
    .sort((a, b) => order(a.rule.issuer ?? '', b.rule.issuer ?? '') || a.i - b.i)
    .map(({ rule }) => rule);
  if (rules.length === 0) return [];
  const named = rules.map((rule, i) => ({ rule, name: `origins-${i}` }));
  const each = named.map(({ rule, name }) =>
    rule.presence === 'REQUIRED' ? { provider_name: name } : any([{ provider_name: name }, allowMissing]),
  );
  // Several may look at one place: there a token is of one of them.
  const requires =
    each.length === 1
      ? each[0]!
      : any([...named.map(({ name }) => ({ provider_name: name })), { requires_all: { requirements: each } }]);
  return [
    extension('envoy.filters.http.jwt_authn', 'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication', {
      providers: Object.fromEntries(named.map(({ rule, name }) => [name, provider(rule, keysOf)])),
      rules: [{ match: { prefix: '/' }, requires }],
      bypass_cors_preflight: true,
    }),
  ];
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function any(requirements: readonly Message[]): Message {
  return { requires_any: { requirements } };
}

function provider(rule: JwtRule, keysOf: (source: KeySource) => FoundKeys): Message {
  const { issuer = '', audiences = [], fromHeaders = [], fromParams = [], fromCookies = [] } = rule;
  const words = [...new Set([...(rule.spaceDelimitedClaims ?? []), ...wordLists])].sort();
  return {
    issuer,
    audiences,
    forward: rule.forwardOriginalToken ?? false,
    forward_payload_header: rule.outputPayloadToHeader ?? '',
    claim_to_headers: (rule.outputClaimToHeaders ?? []).map(({ header, claim }) => ({
      header_name: header,
      claim_name: claim,
    })),
    from_headers: fromHeaders.map(({ name, prefix = '' }) => ({ name, value_prefix: prefix })),
    from_params: fromParams,
    from_cookies: fromCookies,
    payload_in_metadata: 'payload',
    normalize_payload_in_metadata: { space_delimited_claims: words },
    // Routes may ask for claims.
    clear_route_cache: true,
    local_jwks: { inline_string: keysText(rule, keysOf).keys ?? impossibleKeys },
  };
}

/** Names of lookups of keys that an object has to have fetched. */
export function keyLookups(object: RequestAuthentication): readonly string[] {
  const lookups: string[] = [];
  keyProblems(object, (source) => {
    lookups.push(lookupOf(source));
    return { keys: undefined, problem: undefined };
  });
  return lookups;
}

/** Why tokens of which issuers are refused, or judged by old keys. */
export function keyProblems(
  object: RequestAuthentication,
  keysOf: (source: KeySource) => FoundKeys,
): readonly string[] {
  return (object.spec?.jwtRules ?? []).flatMap((rule, i) => {
    const { keys, problem } = keysText(rule, keysOf);
    if (problem === undefined) return [];
    const effect = keys === undefined ? 'its tokens are refused' : 'the keys that were there before hold';
    return [`jwtRules[${i}] (${rule.issuer ?? 'any issuer'}): ${problem}: ${effect}`];
  });
}

/** Of the rule itself, or of where it says. */
function keysText(rule: JwtRule, keysOf: (source: KeySource) => FoundKeys): FoundKeys {
  const { issuer = '', jwks = '' } = rule;
  if (jwks !== '') {
    const keys = usableKeys(jwks, true);
    return { keys, problem: keys === undefined ? 'jwks has no key that can be used' : undefined };
  }
  const uri = rule.jwksUri ?? rule.jwks_uri ?? '';
  const timeout = rule.timeout === undefined ? undefined : durationOf(rule.timeout);
  return keysOf({
    issuer,
    uri,
    timeout: timeout ? timeout.seconds * 1_000 + (timeout.nanos ?? 0) / 1_000_000 : defaultTimeout,
  });
}

/** Ms, as Istio's. */
const defaultTimeout = 5_000;
