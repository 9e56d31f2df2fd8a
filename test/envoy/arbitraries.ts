/** Random route tables and requests, from few words, so that they meet. In the codec's form. */
import fc from 'fast-check';
import { clusters, type Request } from './world.ts';

const some = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const value = <T>(of: T) => ({ value: of });
/** An object with each of the fields there or not. */
const fields = (model: Readonly<Record<string, fc.Arbitrary<unknown>>>) =>
  fc.record(model, { requiredKeys: [] }) as fc.Arbitrary<Readonly<Record<string, unknown>>>;

const words = ['a', 'b', 'api', 'v1', 'A', 'a.b', 'x;y', '%2F'];
const path = fc
  .array(some(...words), { maxLength: 3 })
  .chain((parts) => some(`/${parts.join('/')}`, parts.length === 0 ? '/' : `/${parts.join('/')}/`));
const query = some('', '', '?', '?q=1', '?q=2&q=1', '?x=a&q=', '?q', '?p=%20&x=a', '?a/b');
const headerName = some('x-a', 'X-B', 'x-c', 'user-agent', ':path', ':authority', ':method', 'host');
const headerValue = some('a', 'b', 'ab', 'A', '1', '7', '-3', '', 'a,b', '1.5', 'a b');

const stringMatch = fc
  .tuple(
    fc.oneof(
      some('a', 'b', 'A', '', '/a').map((exact) => ({ exact })),
      some('a', '/a', 'A').map((prefix) => ({ prefix })),
      some('b', 'B', '/').map((suffix) => ({ suffix })),
      some('a', 'B', '/').map((contains) => ({ contains })),
      some('a+', '.*b', '(?i)A', '[0-9]+', '/[ab]+/.*', 'a|b').map((regex) => ({ safe_regex: { regex } })),
    ),
    fc.boolean(),
  )
  .map(([match, folds]) => (folds && !('safe_regex' in match) ? { ...match, ignore_case: true } : match));

/** envoy.config.route.v3.HeaderMatcher. */
export const headerMatch = fc
  .tuple(
    headerName,
    fc.oneof(
      fc.constant({}),
      fc.boolean().map((present_match) => ({ present_match })),
      stringMatch.map((string_match) => ({ string_match })),
      stringMatch.map((string_match) => ({ string_match })),
      fc.tuple(some(-5, 0, 1), some(2, 7, 8)).map(([start, end]) => ({ range_match: { start, end } })),
      some('a', 'b', 'a,b', '').map((exact_match) => ({ exact_match })),
      some('a', 'b').map((prefix_match) => ({ prefix_match })),
      some('a', 'b').map((suffix_match) => ({ suffix_match })),
      some('a', 'b').map((contains_match) => ({ contains_match })),
      some('a.*', '[0-9]+').map((regex) => ({ safe_regex_match: { regex } })),
    ),
    fields({ invert_match: fc.boolean(), treat_missing_header_as_empty: fc.boolean() }),
  )
  .map(([name, match, rest]) => ({ name, ...match, ...rest }));

const queryMatch = fc
  .tuple(
    some('q', 'x', 'p'),
    fc.oneof(
      fc.constant({ present_match: true }),
      stringMatch.map((m) => ({ string_match: m })),
    ),
  )
  .map(([name, match]) => ({ name, ...match }));

const template = some('/{v}', '/a/*', '/{v}/**', '/**', '/api/{v=*}/b', '/*/{w}', '/{v}.b').map((path_template) => ({
  name: 'template',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig',
    path_template,
  },
}));

const pathMatch = fc.oneof(
  { weight: 3, arbitrary: path.map((prefix) => ({ prefix })) },
  { weight: 2, arbitrary: path.map((path) => ({ path })) },
  some('/a', '/api', '/a/b', '/A').map((path_separated_prefix) => ({ path_separated_prefix })),
  some('/a.*', '/[ab]+(/.*)?', '/api/v[0-9]', '.*', '/(?i)A', '/a/?').map((regex) => ({ safe_regex: { regex } })),
  template.map((path_match_policy) => ({ path_match_policy })),
);

const fraction = fc.record({
  default_value: some({ numerator: 0 }, { numerator: 100 }, { numerator: 1_000_000, denominator: 'MILLION' }),
});

const routeMatch = fc
  .tuple(
    pathMatch,
    fields({
      case_sensitive: fc.boolean().map(value),
      runtime_fraction: fraction,
      headers: fc.array(headerMatch, { maxLength: 2 }),
      query_parameters: fc.array(queryMatch, { maxLength: 1 }),
    }),
    fc.nat(9),
  )
  .map(([where, rest, roll]) =>
    roll < 4 ? where : roll === 9 ? { ...where, ...rest, grpc: {} } : { ...where, ...rest },
  );

const operators = [
  '%REQ(x-a)%',
  '%REQ(X-Z?x-b)%',
  '%REQ(:path):3%',
  '%%',
  'p-%REQ(x-c)%-s',
  '%PROTOCOL%',
  '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
  'fix',
  '',
  '%REQ(:authority)%',
  '%START_TIME(%Y)%',
  '%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%',
  '%REQUESTED_SERVER_NAME%',
];
const addition = (names: readonly string[]) =>
  fc.record(
    {
      header: fc.record({ key: some(...names), value: some(...operators) }),
      append_action: some(
        'APPEND_IF_EXISTS_OR_ADD',
        'ADD_IF_ABSENT',
        'OVERWRITE_IF_EXISTS_OR_ADD',
        'OVERWRITE_IF_EXISTS',
      ),
      keep_empty_value: fc.boolean(),
    },
    { requiredKeys: ['header'] },
  );
const [requestNames, responseNames] = [
  ['x-a', 'X-New', 'x-c', 'user-agent'],
  ['x-up', 'X-New', 'x-both'],
];
/** Header operations of one level. */
const headerOps = fields({
  request_headers_to_add: fc.array(addition(requestNames), { maxLength: 2 }),
  request_headers_to_remove: fc.array(some('x-a', 'X-B', 'x-c'), { maxLength: 1 }),
  response_headers_to_add: fc.array(addition(responseNames), { maxLength: 2 }),
  response_headers_to_remove: fc.array(some('x-up', 'X-Both'), { maxLength: 1 }),
});

const regexRewrite = fc
  .tuple(some('a', '/([^/]+)/([^/]+)', 'b*', '^/api', '.*'), some('x', '/\\0', '', '/z\\\\'))
  // What does not begin with a slash is refused by the upstream, whoever sends it.
  .map(([regex, to]) => ({ pattern: { regex }, substitution: regex !== 'a' && to === 'x' ? '/x' : to }));

const pathRewrite = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  some('/', '/new', '/new/', '/n?x').map((prefix_rewrite) => ({ prefix_rewrite })),
  regexRewrite.map((regex_rewrite) => ({ regex_rewrite })),
);

const hostRewrite = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  some('other.test', 'o:80').map((host_rewrite_literal) => ({ host_rewrite_literal })),
  some('x-a', 'x-none').map((host_rewrite_header) => ({ host_rewrite_header })),
  fc.constant({ host_rewrite_path_regex: { pattern: { regex: '^/([a-z0-9]+).*' }, substitution: '\\1.test' } }),
);

const weighted = fc
  .array(fc.tuple(some(...clusters), fc.nat(3), headerOps, some('', '', 'w.test')), { minLength: 1, maxLength: 3 })
  .filter((all) => all.some(([, weight]) => weight > 0))
  .map((all) => ({
    header_name: 'x-dice',
    clusters: all.map(([name, weight, ops, host]) => ({
      name,
      weight: value(weight),
      ...ops,
      host_rewrite_literal: host,
    })),
  }));

const destination = fc.oneof(
  { weight: 4, arbitrary: some(...clusters).map((cluster) => ({ cluster })) },
  fc.constant({ cluster_header: 'x-cluster' }),
  weighted.map((weighted_clusters) => ({ weighted_clusters })),
);

const forward = fc
  .tuple(
    destination,
    pathRewrite,
    hostRewrite,
    fields({
      append_x_forwarded_host: fc.boolean(),
      cluster_not_found_response_code: some('SERVICE_UNAVAILABLE', 'NOT_FOUND', 'INTERNAL_SERVER_ERROR'),
      timeout: some({ seconds: 3 }, { seconds: 0 }),
    }),
  )
  .map((parts) => ({ route: Object.assign({}, ...parts) as object }));

const redirect = fc
  .tuple(
    fields({
      response_code: some('FOUND', 'SEE_OTHER', 'TEMPORARY_REDIRECT', 'PERMANENT_REDIRECT'),
      host_redirect: some('r.test', ''),
      port_redirect: some(8080, 443, 80),
      strip_query: fc.boolean(),
    }),
    some({}, {}, { https_redirect: true }, { scheme_redirect: 'https' }, { scheme_redirect: 'http' }),
    fc.oneof(
      fc.constant({}),
      some('/p', '/p?own=1').map((path_redirect) => ({ path_redirect })),
      some('/new', '/').map((prefix_rewrite) => ({ prefix_rewrite })),
      regexRewrite.map((regex_rewrite) => ({ regex_rewrite })),
    ),
  )
  .map((parts) => ({ redirect: Object.assign({}, ...parts) as object }));

const direct = fc
  .record({ status: some(200, 204, 404, 503), body: some({}, { inline_string: 'said' }) })
  .map(({ status, body }) => ({
    direct_response: { status, ...(Object.keys(body).length > 0 && status !== 204 ? { body } : {}) },
  }));

const route = fc
  .tuple(
    routeMatch,
    fc.oneof({ weight: 5, arbitrary: forward }, redirect, direct, fc.constant({ non_forwarding_action: {} })),
    headerOps,
    some('', 'named'),
  )
  .map(([match, action, ops, name]) => ({ match, ...action, ...ops, name }))
  .filter((made) => isPossible(made));

/** What Envoy refuses: the prefix of a template. */
const isPossible = (made: object): boolean => {
  const { match, route, redirect } = made as Readonly<Record<string, object | undefined>>;
  return !('path_match_policy' in (match ?? {})) || !('prefix_rewrite' in (route ?? redirect ?? {}));
};

const domains = ['a.test', '*.a.test', 'b.*', 'b.a.test', 'a.test:80', '*-x.test', 'B.test', '*'];

/** envoy.config.route.v3.RouteConfiguration. */
export const routeTable = fc
  .tuple(
    fc.uniqueArray(some(...domains), { minLength: 1, maxLength: 4 }),
    fc.array(fc.tuple(fc.array(route, { minLength: 1, maxLength: 6 }), headerOps), { minLength: 4, maxLength: 4 }),
    headerOps,
    fields({
      most_specific_header_mutations_wins: fc.boolean(),
      ignore_port_in_host_matching: fc.boolean(),
      ignore_path_parameters_in_path_matching: fc.boolean(),
    }),
  )
  .map(([names, hosts, ops, rest]) => ({
    ...ops,
    ...rest,
    virtual_hosts: names.map((domain, i) => ({
      name: `h${i}`,
      domains: [domain],
      routes: hosts[i]![0],
      ...hosts[i]![1],
    })),
  }));

const authority = some(
  'a.test',
  'A.test',
  'a.test:80',
  'x.a.test',
  'b.a.test',
  'b.test',
  'b.other:81',
  'q-x.test',
  '-x.test',
  'none',
);

export const request: fc.Arbitrary<Request> = fc
  .tuple(
    some('GET', 'GET', 'POST', 'HEAD', 'OPTIONS'),
    authority,
    path,
    query,
    fc.uniqueArray(
      fc.oneof(
        fc.tuple(some('x-a', 'X-B', 'x-c', 'x-a', 'user-agent'), headerValue),
        fc.tuple(fc.constant('x-cluster'), some(...clusters, 'nowhere')),
        fc.tuple(fc.constant('x-dice'), some('0', '1', '2', '18446744073709551615', '77')),
        fc.tuple(
          fc.constant('content-type'),
          some('application/grpc', 'application/grpc+proto', 'application/grpc-web', 'text/plain'),
        ),
        fc.tuple(fc.constant('x-forwarded-for'), some('10.1.2.3', '1.1.1.1, 10.0.0.1')),
      ),
      { maxLength: 5, selector: ([name]) => name },
    ),
    fc.boolean(),
  )
  .map(([method, host, where, asks, headers, twice]) => ({
    method,
    authority: host,
    path: where + asks,
    headers: withDice(twice ? [...headers, ...headers.filter(([name]) => name === 'x-a')] : headers),
  }));

/** Where chance would choose, the request does. */
function withDice(headers: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] {
  return headers.some(([name]) => name === 'x-dice') ? headers : [...headers, ['x-dice', '0']];
}
