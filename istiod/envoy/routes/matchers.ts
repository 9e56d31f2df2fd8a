/** Matchers of headers, query parameters, claims and callers. */
import type { StringMatch } from '../../../common/kube/kinds/istio/virtual-service.ts';
import type {
  FilterStateMatcher,
  HeaderMatcher,
  MetadataMatcher,
  QueryParameterMatcher,
  StringMatcher,
} from './envoy.ts';

/** undefined: it is enough that there is a value. Istio takes the regex `*`, which is none, for that too. */
export function stringMatcher({ exact, prefix, regex }: StringMatch): StringMatcher | undefined {
  if (exact !== undefined) return { exact };
  if (prefix !== undefined) return { prefix };
  if (regex === undefined || regex === '*') return undefined;
  return { safe_regex: { regex } };
}

export function headerMatcher(name: string, match: StringMatch): HeaderMatcher {
  const string_match = stringMatcher(match);
  return string_match === undefined ? { name, present_match: true } : { name, string_match };
}

/** A header that is not there matches, too: its value is not this one. */
export function withoutHeader(name: string, match: StringMatch): HeaderMatcher {
  const matcher = headerMatcher(name, match);
  const missing = matcher.present_match === true ? {} : { treat_missing_header_as_empty: true };
  return { ...matcher, invert_match: true, ...missing };
}

export function queryMatcher(name: string, match: StringMatch): QueryParameterMatcher {
  const string_match = stringMatcher(match);
  return string_match === undefined ? { name, present_match: true } : { name, string_match };
}

const claimPrefix = '@request.auth.claims';

/** `@request.auth.claims.group.id` or `@request.auth.claims[group][id]`, as a header: the claim's path. */
export function claimPath(header: string): readonly string[] | undefined {
  if (!header.toLowerCase().startsWith(claimPrefix)) return undefined;
  const rest = header.slice(claimPrefix.length);
  if (rest.startsWith('.') && rest.length > 1) return rest.slice(1).split('.');
  if (rest.startsWith('[') && rest.endsWith(']') && rest.length > 2) return rest.slice(1, -1).split('][');
  return undefined;
}

/** Of a token that was verified: the claim is this, or a list that has it. */
export function claimMatcher(path: readonly string[], match: StringMatch, invert: boolean): MetadataMatcher {
  const string_match = stringMatcher(match);
  const one = string_match === undefined ? { present_match: true } : { string_match };
  return {
    filter: 'envoy.filters.http.jwt_authn',
    path: [{ key: 'payload' }, ...path.map((key) => ({ key }))],
    value: { or_match: { value_matchers: [one, { list_match: { one_of: one } }] } },
    ...(invert ? { invert } : {}),
  };
}

/** Filter state in which a waypoint's tunnel passes on who its peer proved to be (ambient-wire 10). */
export const peerPrincipal = 'io.istio.peer_principal';

/** Callers of a namespace, by the identity that they proved. */
export function callersOf(namespace: string) {
  const regex = `spiffe://[^/]+/ns/${quoteRegex(namespace)}/sa/[^/]+`;
  return { key: peerPrincipal, string_match: { safe_regex: { regex } } } satisfies FilterStateMatcher;
}

/** RE2 that matches the text as it is. */
export function quoteRegex(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}
