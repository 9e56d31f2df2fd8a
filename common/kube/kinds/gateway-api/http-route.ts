/** gateway.networking.k8s.io HTTPRoute. */
import { about, integer, object, oneOf, string, type TypeOf, where, withDefault } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { age, atomic, duration, gatewayApiKind, keyed, setOf } from './common.ts';
import { headerValue, httpFilters } from './filters.ts';
import {
  backendFields,
  boundedMatches,
  headerName,
  routeHostnames,
  routeParents,
  routeStatus,
  ruleName,
  servicesHavePorts,
  sessionPersistence,
  uniqueRuleNames,
} from './route.ts';

const literal = "self.type == 'RegularExpression'";
const path = [
  ["self.type in ['Exact', 'PathPrefix', 'RegularExpression']", 'expected type Exact, PathPrefix or RegularExpression'],
  [`${literal} || self.value.startsWith('/')`, 'a path begins with "/"'],
  [
    `${literal} || !(${['//', '/./', '/../', '%2f', '%2F', '#'].map((part) => `self.value.contains('${part}')`).join(' || ')})`,
    'a path to match has no "//", "/./", "/../", "%2f" and "#": requests with them never get there',
  ],
  [
    `${literal} || !(self.value.endsWith('/..') || self.value.endsWith('/.'))`,
    'a path to match does not end in "/.." or "/."',
  ],
  [
    `${literal} || self.value.matches(r"""^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$""")`,
    'a path has letters, digits, signs of URLs, and others as % and two digits',
  ],
].reduce(
  (schema, [rule, message]) => where(schema, rule!, message!),
  object({
    type: withDefault(oneOf('Exact', 'PathPrefix', 'RegularExpression'), 'PathPrefix'),
    value: withDefault(string({ maxLength: 1024 }), '/'),
  }),
);
const matchType = withDefault(oneOf('Exact', 'RegularExpression'), 'Exact');
const everyPath = { type: 'PathPrefix', value: '/' };

const match = object({
  path: about('Path. Default: all.', withDefault(path, everyPath)),
  headers: about(
    'All of these headers.',
    keyed(object({ type: matchType, 'name!': headerName, 'value!': headerValue }), 'name', { maxItems: 16 }),
  ),
  queryParams: about(
    'All of these query parameters.',
    keyed(
      object({ type: matchType, 'name!': headerName, 'value!': string({ minLength: 1, maxLength: 1024 }) }),
      'name',
      { maxItems: 16 },
    ),
  ),
  method: oneOf('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'),
});

const backendRef = where(
  object({ ...backendFields, filters: about('For requests that go there.', httpFilters) }),
  ...servicesHavePorts,
);

const replacesPrefix = (filter: string) =>
  `f, has(f.${filter}) && has(f.${filter}.path) && f.${filter}.path.type == 'ReplacePrefixMatch' && has(f.${filter}.path.replacePrefixMatch)`;
const onePrefix =
  "(self.matches.size() == 1 && has(self.matches[0].path) && self.matches[0].path.type == 'PathPrefix')";
const prefixIsKnown = 'replacePrefixMatch needs to know the prefix: the rule has to have one match, of type PathPrefix';

const rule = [
  [
    '!has(self.backendRefs) || self.backendRefs.size() == 0 || !has(self.filters) || self.filters.all(f, !has(f.requestRedirect))',
    'a rule that redirects has no backends',
  ],
  ...['requestRedirect', 'urlRewrite'].flatMap((filter) => [
    [`!has(self.filters) || !self.filters.exists_one(${replacesPrefix(filter)}) || ${onePrefix}`, prefixIsKnown],
    [
      `!has(self.backendRefs) || !self.backendRefs.exists_one(b, has(b.filters) && b.filters.exists_one(${replacesPrefix(filter)})) || ${onePrefix}`,
      prefixIsKnown,
    ],
  ]),
].reduce(
  (schema, [expression, message]) => where(schema, expression!, message!),
  object({
    name: ruleName,
    matches: about(
      'One of these has to match. Default: everything does.',
      withDefault(atomic(match, { maxItems: 64 }), [{ path: everyPath }]),
    ),
    filters: about('What happens to requests on their way.', httpFilters),
    backendRefs: about(
      'Where requests go, by weights. Without any the answer is 500.',
      atomic(backendRef, { maxItems: 16 }),
    ),
    timeouts: where(
      object({
        request: about('How long the answer may take, with all tries.', duration),
        backendRequest: about('How long each try may take.', duration),
      }),
      "!has(self.request) || !has(self.backendRequest) || duration(self.request) == duration('0s') || duration(self.backendRequest) <= duration(self.request)",
      'a try cannot take longer than the request: backendRequest is at most request',
    ),
    retry: about(
      'Try again.',
      object({
        codes: about('Status codes of answers after which to try again.', setOf(integer(400, 599))),
        attempts: about('How often.', integer(1)),
        backoff: about('Time until the first retry; it grows.', duration),
      }),
    ),
    sessionPersistence: about('Requests of a session go to the same endpoint.', sessionPersistence),
  }),
);

const spec = object({
  ...routeParents,
  hostnames: routeHostnames,
  rules: about(
    'The most specific match decides.',
    where(
      where(
        withDefault(atomic(rule, { minItems: 1, maxItems: 16 }), [{ matches: [{ path: everyPath }] }]),
        ...boundedMatches,
      ),
      ...uniqueRuleNames,
    ),
  ),
});

export interface HttpRoute extends KubeObject {
  readonly spec: TypeOf<typeof spec>;
  readonly status?: TypeOf<typeof routeStatus>;
}

export const httpRouteKind: Kind<HttpRoute> = {
  group: 'gateway.networking.k8s.io',
  version: 'v1',
  kind: 'HTTPRoute',
  plural: 'httproutes',
  namespaced: true,
};

export const httpRoute = gatewayApiKind(httpRouteKind, {
  description: 'Where HTTP requests go.',
  versions: ['v1', 'v1beta1'],
  columns: [{ name: 'Hostnames', type: 'string', jsonPath: '.spec.hostnames' }, age],
  spec,
  status: routeStatus,
});
