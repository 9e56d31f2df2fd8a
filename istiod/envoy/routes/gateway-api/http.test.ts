import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Route } from '../envoy.ts';
import { httpRoutesOf } from '../http.ts';
import type { HttpRoutes } from '../results.ts';
import { clientContext, objects, service, serviceOf, viewOf, waypointContext } from '../testing/view.ts';

const external = serviceOf({
  kind: 'ServiceEntry',
  name: 'api',
  namespace: 'shop',
  hostname: 'api.example.com',
  ports: [{ number: 443, name: 'http', protocol: 'HTTP11' }],
});
const services = [
  service('shop/web:http=80,http-admin=8080'),
  service('shop/v2:http=80'),
  service('pay/api:grpc=9000'),
  external,
];
const web = services[0]!;

function routesOf(yaml: string, port = 80): HttpRoutes {
  return httpRoutesOf(waypointContext(viewOf(services, objects(yaml)), web, port));
}

function route(rules: string, { kind = 'HTTPRoute', name = 'r', namespace = 'shop', parent = '' } = {}): string {
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  parentRefs: [{ group: '', kind: Service, name: web, namespace: shop${parent} }]
  rules: [${rules}]
---`;
}

const there = 'backendRefs: [{ name: web, port: 80 }]';
const cluster = 'inbound-vip|80|http|web.shop.svc.cluster.local';
const other = 'inbound-vip|80|http|v2.shop.svc.cluster.local';

function only(yaml: string): Route {
  const { routes, problems } = routesOf(yaml);
  assert.deepEqual(problems, []);
  assert.equal(routes.length, 1);
  return routes[0]!;
}
const action = (r: Route) => ('route' in r ? r.route : assert.fail('forwards nothing'));
const actionName = (r: Route) =>
  'route' in r ? (r.route.cluster ?? 'weighted') : 'redirect' in r ? 'redirect' : r.direct_response.status;
const overwrite = (key: string, value: string) => ({
  header: { key, value },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
});
const append = (key: string, value: string) => ({ header: { key, value }, append_action: 'APPEND_IF_EXISTS_OR_ADD' });

describe('matches of HTTPRoutes', () => {
  const cases: readonly (readonly [string, string, object])[] = [
    ['exact path', '{ path: { type: Exact, value: /a } }', { path: '/a' }],
    ['whole parts of the path', '{ path: { type: PathPrefix, value: /a/ } }', { path_separated_prefix: '/a' }],
    ['every path', '{ path: { type: PathPrefix, value: / } }', { prefix: '/' }],
    ['regular expression', "{ path: { type: RegularExpression, value: '/a.*' } }", { safe_regex: { regex: '/a.*' } }],
    [
      'headers, of one name the first, and method',
      "{ headers: [{ name: X, value: a }, { name: x, value: b }, { name: z, type: RegularExpression, value: 'c+' }], method: GET }",
      {
        prefix: '/',
        headers: [
          { name: 'x', string_match: { exact: 'a' } },
          { name: 'z', string_match: { safe_regex: { regex: 'c+' } } },
          { name: ':method', string_match: { exact: 'GET' } },
        ],
      },
    ],
    [
      'query parameters',
      "{ queryParams: [{ name: q, value: a }, { name: r, type: RegularExpression, value: 'b+' }] }",
      {
        prefix: '/',
        query_parameters: [
          { name: 'q', string_match: { exact: 'a' } },
          { name: 'r', string_match: { safe_regex: { regex: 'b+' } } },
        ],
      },
    ],
  ];
  for (const [name, match, expected] of cases) {
    test(name, () => assert.deepEqual(only(route(`{ matches: [${match}], ${there} }`)).match, expected));
  }

  test('the most specific decides, whichever route has it', () => {
    const m = (text: string) => `{ matches: [${text}], ${there} }`;
    const yaml =
      route(
        [
          m('{ path: { type: RegularExpression, value: "/aaaaaaa" } }'),
          m('{ path: { value: /a } }'),
          m('{ path: { value: /a/b } }'),
        ].join(),
        {
          name: 'old',
        },
      ) +
      route(
        [
          m('{ path: { type: Exact, value: /a } }'),
          m('{ path: { value: /a }, method: GET }'),
          m('{ path: { value: /a }, headers: [{ name: x, value: x }] }'),
          m('{ path: { value: /a }, queryParams: [{ name: x, value: x }] }'),
          m('{ path: { value: /a } }'),
        ].join(),
        { name: 'new' },
      );
    assert.deepEqual(
      routesOf(yaml).routes.map((r) => r.name),
      ['shop.new.0', 'shop.old.2', 'shop.new.1', 'shop.new.2', 'shop.new.3', 'shop.old.1', 'shop.new.4', 'shop.old.0'],
    );
  });

  test('of the same age: by name', () => {
    const rule = `{ matches: [{ path: { value: /a } }], ${there} }`;
    const yaml = (route(rule, { name: 'b' }) + route(rule, { name: 'a' })).replaceAll(
      'metadata: {',
      "metadata: { creationTimestamp: '2026-01-01T00:00:00Z',",
    );
    assert.deepEqual(
      routesOf(yaml).routes.map((r) => r.name),
      ['shop.a.0', 'shop.b.0'],
    );
  });

  test('each of several is a route; the rule says its name', () => {
    const { routes } = routesOf(
      route(`{ name: first, matches: [{ path: { value: /a } }, { path: { value: /b } }], ${there} }`),
    );
    assert.deepEqual(
      routes.map((r) => [r.name, r.metadata.filter_metadata['aquifer']!.fields['rule']]),
      [
        ['first', { stringValue: 'spec.rules[0].matches[0]' }],
        ['first', { stringValue: 'spec.rules[0].matches[1]' }],
      ],
    );
    assert.deepEqual(routes[0]!.metadata.filter_metadata['istio']!.fields['config'], {
      stringValue: '/apis/gateway.networking.k8s.io/v1/namespaces/shop/http-route/r',
    });
  });

  test('the parent names a port, by number or name, or all', () => {
    const names = (parent: string, port: number) =>
      routesOf(route(`{ ${there} }`, { parent }), port).routes.map((r) => r.name);
    assert.deepEqual(names(', port: 80', 80), ['shop.r.0']);
    assert.deepEqual(names(', port: 80', 8080), ['default']);
    assert.deepEqual(names(', sectionName: http-admin', 8080), ['shop.r.0']);
    assert.deepEqual(names(', sectionName: http-admin', 80), ['default']);
    assert.deepEqual(names('', 8080), ['shop.r.0']);
  });
});

describe('filters', () => {
  const filtered = (filters: string, match = '{ path: { value: /a } }') =>
    only(route(`{ matches: [${match}], filters: [${filters}], ${there} }`));

  test('change headers; a per cent sign is one', () => {
    const {
      match: _m,
      route: _r,
      metadata: _o,
      decorator: _d,
      name: _n,
      ...changes
    } = {
      route: undefined,
      ...filtered(
        "{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: a, value: '100%' }, { name: A, value: x }], add: [{ name: b, value: '2' }], remove: [c] } }, { type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: d, value: '3' }], remove: [e] } }",
      ),
    };
    assert.deepEqual(changes, {
      request_headers_to_add: [overwrite('a', '100%%'), append('b', '2')],
      request_headers_to_remove: ['c'],
      response_headers_to_add: [overwrite('d', '3')],
      response_headers_to_remove: ['e'],
    });
  });

  const rewrites: readonly (readonly [string, string, string, object])[] = [
    ['a prefix', '/a', '/b', { prefix_rewrite: '/b' }],
    ['a prefix, without the slash behind', '/a', '/b/', { prefix_rewrite: '/b' }],
    ['the root', '/', '/b', { prefix_rewrite: '/b/' }],
    ['the root by itself', '/', '/', { prefix_rewrite: '/' }],
    ['a prefix away', '/a.b', '/', { regex_rewrite: { pattern: { regex: '^/a\\.b/?(.*)$' }, substitution: '/\\1' } }],
  ];
  for (const [name, prefix, replacement, expected] of rewrites) {
    test(`rewrite ${name}`, () => {
      const filter = `{ type: URLRewrite, urlRewrite: { hostname: h, path: { type: ReplacePrefixMatch, replacePrefixMatch: '${replacement}' } } }`;
      const made = action(filtered(filter, `{ path: { value: ${prefix} } }`));
      const { prefix_rewrite, regex_rewrite, host_rewrite_literal } = made;
      assert.deepEqual(JSON.parse(JSON.stringify({ prefix_rewrite, regex_rewrite, host_rewrite_literal })), {
        ...expected,
        host_rewrite_literal: 'h',
      });
    });
  }

  test('rewrite the whole path, literally', () => {
    const filter = "{ type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, replaceFullPath: '/b\\1' } } }";
    assert.deepEqual(action(filtered(filter)).regex_rewrite, {
      pattern: { regex: '^/.*$' },
      substitution: '/b\\\\1',
    });
  });

  const redirects: readonly (readonly [string, string, object])[] = [
    ['to a host', '{ hostname: h }', { host_redirect: 'h', response_code: 'FOUND' }],
    [
      'to a scheme',
      '{ scheme: https, statusCode: 301 }',
      { scheme_redirect: 'https', response_code: 'MOVED_PERMANENTLY' },
    ],
    ['to a port', '{ port: 8083, statusCode: 303 }', { port_redirect: 8083, response_code: 'SEE_OTHER' }],
    [
      'to a prefix',
      '{ path: { type: ReplacePrefixMatch, replacePrefixMatch: /b }, statusCode: 307 }',
      { prefix_rewrite: '/b', response_code: 'TEMPORARY_REDIRECT' },
    ],
    [
      'to a path',
      '{ path: { type: ReplaceFullPath, replaceFullPath: /b }, statusCode: 308 }',
      { path_redirect: '/b', response_code: 'PERMANENT_REDIRECT' },
    ],
  ];
  for (const [name, redirect, expected] of redirects) {
    test(`redirect ${name}`, () => {
      const made = only(
        route(
          `{ matches: [{ path: { value: /a } }], filters: [{ type: RequestRedirect, requestRedirect: ${redirect} }] }`,
        ),
      );
      assert.deepEqual('redirect' in made && made.redirect, expected);
    });
  }

  test('redirect to the port that was asked, which is not the usual one', () => {
    const { routes } = routesOf(
      route('{ filters: [{ type: RequestRedirect, requestRedirect: { hostname: h } }] }'),
      8080,
    );
    assert.deepEqual('redirect' in routes[0]! && routes[0].redirect.port_redirect, 8080);
  });

  test('mirror a share', () => {
    const mirror = (share: string) => {
      const filter = `{ type: RequestMirror, requestMirror: { backendRef: { name: v2, port: 80 }${share} } }`;
      return action(filtered(filter)).request_mirror_policies?.map((m) => [
        m.cluster,
        m.runtime_fraction?.default_value,
      ]);
    };
    assert.deepEqual(mirror(''), [[other, { numerator: 100, denominator: 'HUNDRED' }]]);
    assert.deepEqual(mirror(', percent: 7'), [[other, { numerator: 7, denominator: 'HUNDRED' }]]);
    assert.deepEqual(mirror(', fraction: { numerator: 1, denominator: 1000 }'), [
      [other, { numerator: 1000, denominator: 'MILLION' }],
    ]);
    assert.equal(mirror(', percent: 0'), undefined);
  });

  test('tell browsers which pages may read', () => {
    const filter =
      "{ type: CORS, cors: { allowOrigins: ['https://*.a.com', 'http://b'], allowMethods: [GET], allowHeaders: ['*'], exposeHeaders: [x], allowCredentials: true, maxAge: 7 } }";
    assert.deepEqual(filtered(filter).typed_per_filter_config, {
      'envoy.filters.http.cors': {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy',
        allow_origin_string_match: [{ safe_regex: { regex: 'https://[^/\\s?#]+\\.a\\.com' } }, { exact: 'http://b' }],
        allow_methods: 'GET',
        allow_headers: '*',
        expose_headers: 'x',
        max_age: '7',
        allow_credentials: { value: true },
        filter_enabled: { default_value: { numerator: 100, denominator: 'HUNDRED' } },
        forward_not_matching_preflights: { value: false },
      },
    });
  });

  test('that are not known refuse the requests of the rule, and only those', () => {
    const { routes, problems } = routesOf(
      route(
        `{ matches: [{ path: { value: /a } }], filters: [{ type: ExtensionRef, extensionRef: { group: g, kind: K, name: n } }], ${there} }, { ${there} }`,
      ),
    );
    assert.deepEqual(routes.map(actionName), [500, cluster]);
    assert.deepEqual(
      problems.map((p) => [p.kind, p.field]),
      [['refused', 'spec.rules[0].filters[0]']],
    );
  });
});

describe('timeouts and retries', () => {
  const timed = (rest: string) => {
    const { timeout, retry_policy } = action(only(route(`{ ${rest}, ${there} }`)));
    return { timeout, perTry: retry_policy?.per_try_timeout, retries: retry_policy };
  };
  test('of the request and of each try', () => {
    const both = timed('timeouts: { request: 2s, backendRequest: 500ms }');
    assert.deepEqual([both.timeout, both.perTry], [{ seconds: 2 }, { seconds: 0, nanos: 500_000_000 }]);
    const none = timed('timeouts: { request: 0s, backendRequest: 0s }');
    assert.deepEqual([none.timeout, none.perTry], [{ seconds: 0 }, undefined]);
  });

  test('a try is the request where nothing is tried again', () => {
    const view = viewOf(services, objects(route(`{ timeouts: { request: 2s, backendRequest: 500ms }, ${there} }`)), {
      defaultRetries: { attempts: 0 },
    });
    const made = action(httpRoutesOf(waypointContext(view, web, 80)).routes[0]!);
    assert.deepEqual([made.timeout, made.retry_policy], [{ seconds: 0, nanos: 500_000_000 }, undefined]);
  });

  test('retries by codes, and of connections that fail', () => {
    const { retries } = timed('retry: { codes: [500, 503], attempts: 4, backoff: 100ms }');
    assert.deepEqual(
      [retries?.retry_on, retries?.retriable_status_codes, retries?.num_retries.value, retries?.retry_back_off],
      [
        'connect-failure,refused-stream,reset,unavailable,cancelled,retriable-status-codes',
        [500, 503],
        4,
        { base_interval: { seconds: 0, nanos: 100_000_000 } },
      ],
    );
    assert.equal(timed('retry: {}').retries?.num_retries.value, 2);
  });

  describe('sessions', () => {
    const sessionOf = (session: string, backends = there) => {
      const { routes, problems } = routesOf(route(`{ sessionPersistence: { ${session} }, ${backends} }`));
      const config = routes[0]!.typed_per_filter_config?.['envoy.filters.http.stateful_session'] as
        | { readonly stateful_session: { readonly session_state: { readonly typed_config: object } } }
        | undefined;
      const { '@type': type, ...state } = { '@type': '', ...config?.stateful_session.session_state.typed_config };
      return { type: type.split('.').at(-1), state, problems: problems.map((p) => [p.kind, p.field]) };
    };

    test('are in a cookie, which ends with the browser or at a time', () => {
      assert.deepEqual(sessionOf('type: Cookie, cookie: { name: c, path: /a }'), {
        type: 'CookieBasedSessionState',
        state: { cookie: { name: 'c', path: '/a' } },
        problems: [],
      });
      const permanent = sessionOf('type: Cookie, cookie: { name: c, lifetimeType: Permanent }, absoluteTimeout: 90s');
      assert.deepEqual(permanent.state, { cookie: { name: 'c', path: '/', ttl: { seconds: 90 } } });
    });

    test('have names of their own where none is given, and are in a header if asked for', () => {
      const { cookie } = sessionOf('type: Cookie, cookie: {}').state as { readonly cookie: { readonly name: string } };
      assert.match(cookie.name, /^session-[0-9a-f]{8}$/);
      assert.deepEqual(sessionOf('type: Header, header: { name: x-session }'), {
        type: 'HeaderBasedSessionState',
        state: { name: 'x-session' },
        problems: [],
      });
    });

    test('are not for gRPC programs without a proxy, which is said', () => {
      const yaml = route(`{ sessionPersistence: { type: Header, header: { name: x } }, ${there} }`);
      const { routes, problems } = httpRoutesOf(
        waypointContext(viewOf(services, objects(yaml)), web, 80, { dialect: 'grpc' }),
      );
      assert.equal(routes[0]!.typed_per_filter_config, undefined);
      assert.deepEqual(
        problems.map((p) => p.field),
        ['spec.rules[0].sessionPersistence'],
      );
    });

    test('that cannot end in time, or are of several backends, are said to', () => {
      assert.deepEqual(sessionOf('type: Cookie, cookie: { name: c }, absoluteTimeout: 90s').problems, [
        ['ineffective', 'spec.rules[0].sessionPersistence.absoluteTimeout'],
      ]);
      const several = 'backendRefs: [{ name: web, port: 80 }, { name: web, port: 80, weight: 2 }]';
      assert.deepEqual(sessionOf('type: Cookie, cookie: { name: c }', several).problems, [
        ['ineffective', 'spec.rules[0].sessionPersistence'],
      ]);
    });
  });
});

describe('backends', () => {
  const unresolved = (rules: string, kind = 'HTTPRoute') => {
    const { routes, problems } = routesOf(route(rules, { kind }));
    return {
      actions: routes.map(actionName),
      routes,
      problems: problems.map((p) => [p.kind === 'unresolved' ? p.reason : p.kind, p.field]),
    };
  };

  test('by weights; in any namespace, without a ReferenceGrant', () => {
    const made = action(
      only(
        route(
          '{ backendRefs: [{ name: web, port: 80, weight: 9 }, { name: api, namespace: pay, port: 9000 }, { name: v2, port: 80, weight: 0 }] }',
        ),
      ),
    );
    assert.deepEqual(made.weighted_clusters?.clusters, [
      { name: cluster, weight: { value: 9 } },
      { name: 'inbound-vip|9000|http|api.pay.svc.cluster.local', weight: { value: 1 } },
    ]);
    assert.equal(made.cluster_not_found_response_code, 'INTERNAL_SERVER_ERROR');
  });

  test('names of ServiceEntries', () => {
    for (const ref of [
      '{ group: networking.istio.io, kind: Hostname, name: api.example.com, port: 443 }',
      '{ group: networking.istio.io, kind: ServiceEntry, name: api, port: 443 }',
    ])
      assert.equal(action(only(route(`{ backendRefs: [${ref}] }`))).cluster, 'inbound-vip|443|http|api.example.com');
  });

  test('none, or none with a weight: 500', () => {
    assert.deepEqual(unresolved('{ }').actions, [500]);
    assert.deepEqual(unresolved('{ backendRefs: [{ name: web, port: 80, weight: 0 }] }').actions, [500]);
  });

  test('that are not there: 500, or that share of the requests', () => {
    const all = unresolved(
      '{ backendRefs: [{ name: gone, port: 80 }, { name: web, port: 81 }, { kind: Secret, name: x }] }',
    );
    assert.deepEqual(all.actions, [500]);
    assert.deepEqual(all.problems, [
      ['BackendNotFound', 'spec.rules[0].backendRefs[0].name'],
      ['BackendNotFound', 'spec.rules[0].backendRefs[1].port'],
      ['InvalidKind', 'spec.rules[0].backendRefs[2].kind'],
    ]);
    const some = unresolved('{ backendRefs: [{ name: gone, port: 80 }, { name: web, port: 80 }] }');
    assert.deepEqual(
      action(some.routes[0]!).weighted_clusters?.clusters.map((c) => c.name),
      ['UnknownService', cluster],
    );
    const mirror = unresolved(
      `{ filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: gone, port: 80 } } }], ${there} }`,
    );
    assert.deepEqual(
      [mirror.actions, mirror.problems],
      [[cluster], [['BackendNotFound', 'spec.rules[0].filters[0].requestMirror.backendRef.name']]],
    );
  });

  test('have header filters of their own', () => {
    const header = (value: string) =>
      `filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x, value: '${value}' }] } }]`;
    const one = only(route(`{ backendRefs: [{ name: web, port: 80, ${header('1')} }] }`));
    assert.deepEqual(one.request_headers_to_add, [overwrite('x', '1')]);
    const two = only(
      route(`{ backendRefs: [{ name: web, port: 80, ${header('1')} }, { name: v2, port: 80, ${header('2')} }] }`),
    );
    assert.deepEqual(
      action(two).weighted_clusters?.clusters.map((c) => c.request_headers_to_add),
      [[overwrite('x', '1')], [overwrite('x', '2')]],
    );
  });

  test('have filters that only routes know: a route each, by shares of one throw of the dice', () => {
    const rewrite = (path: string) =>
      `filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, replaceFullPath: ${path} } } }]`;
    const redirect = 'filters: [{ type: RequestRedirect, requestRedirect: { hostname: h } }]';
    const { routes } = routesOf(
      route(
        `{ matches: [{ path: { value: /a } }], backendRefs: [{ name: web, port: 80, weight: 2, ${rewrite('/1')} }, { name: v2, port: 80, ${redirect} }, { name: gone, port: 80 }] }`,
      ),
    );
    assert.deepEqual(
      routes.map((r) => [actionName(r), r.match.runtime_fraction?.default_value.numerator]),
      [
        [cluster, 500_000],
        ['redirect', 750_000],
        ['UnknownService', undefined],
      ],
    );
  });

  test('with a filter that is not known are refused', () => {
    const { routes, problems } = routesOf(
      route(
        '{ backendRefs: [{ name: web, port: 80, filters: [{ type: ExtensionRef, extensionRef: { group: g, kind: K, name: n } }] }, { name: v2, port: 80 }] }',
      ),
    );
    assert.deepEqual(
      action(routes[0]!).weighted_clusters?.clusters.map((c) => c.name),
      ['UnknownService', other],
    );
    assert.deepEqual(
      problems.map((p) => p.field),
      ['spec.rules[0].backendRefs[0].filters[0]'],
    );
  });

  test('of GRPCRoutes that are not there: 503, which is UNAVAILABLE', () => {
    assert.deepEqual(unresolved('{ backendRefs: [{ name: gone, port: 80 }] }', 'GRPCRoute').actions, [503]);
  });
});

describe('matches of GRPCRoutes', () => {
  const cases: readonly (readonly [string, string, object])[] = [
    ['all', '{}', { prefix: '/' }],
    ['service and method', '{ method: { service: a.B, method: C } }', { path: '/a.B/C' }],
    ['service', '{ method: { service: a.B } }', { prefix: '/a.B/' }],
    ['method', '{ method: { method: C.D } }', { safe_regex: { regex: '/[^/]+/C\\.D' } }],
    [
      'regular expressions',
      "{ method: { type: RegularExpression, service: 'a|b' } }",
      { safe_regex: { regex: '/(?:a|b)/[^/]+' } },
    ],
    [
      'headers',
      '{ headers: [{ name: X, value: a }] }',
      { prefix: '/', headers: [{ name: 'x', string_match: { exact: 'a' } }] },
    ],
  ];
  for (const [name, match, expected] of cases) {
    test(name, () => {
      assert.deepEqual(only(route(`{ matches: [${match}], ${there} }`, { kind: 'GRPCRoute' })).match, expected);
    });
  }

  test('rank by service, method, headers', () => {
    const m = (text: string) => `{ matches: [${text}], ${there} }`;
    const { routes } = routesOf(
      route(
        [
          m('{}'),
          m('{ method: { service: a } }'),
          m('{ method: { service: a, method: b } }'),
          m('{ method: { service: a, method: b }, headers: [{ name: x, value: a }] }'),
          m('{ method: { service: aa } }'),
        ].join(),
        { kind: 'GRPCRoute' },
      ),
    );
    assert.deepEqual(
      routes.map((r) => r.name),
      ['shop.r.4', 'shop.r.3', 'shop.r.2', 'shop.r.1', 'shop.r.0'],
    );
  });

  test('put HTTPRoutes aside', () => {
    const { routes, problems } = routesOf(
      route(`{ ${there} }`, { name: 'h' }) + route(`{ ${there} }`, { name: 'g', kind: 'GRPCRoute' }),
    );
    assert.deepEqual(
      routes.map((r) => r.name),
      ['shop.g.0'],
    );
    assert.deepEqual(
      problems.map((p) => [p.kind, p.object.name]),
      [['shadowed', 'h']],
    );
  });
});

describe('whose routes count', () => {
  const mine = route(`{ ${there} }`, { name: 'producer' });
  const theirs = route(`{ matches: [{ path: { value: /a } }], ${there} }`, { name: 'consumer', namespace: 'pay' });

  test("at a waypoint, another namespace's for its own requests, which see no others", () => {
    const { routes } = routesOf(mine + theirs.replace('name: web, port', 'name: web, namespace: shop, port'));
    const key = 'io.istio.peer_principal';
    const pay = [{ key, string_match: { safe_regex: { regex: 'spiffe://[^/]+/ns/pay/sa/[^/]+' } } }];
    assert.deepEqual(
      routes.map((r) => [r.name, actionName(r), r.match]),
      [
        ['pay.consumer.0', cluster, { path_separated_prefix: '/a', filter_state: pay }],
        ['pay.none', 404, { prefix: '/', filter_state: pay }],
        ['shop.producer.0', cluster, { prefix: '/' }],
      ],
    );
  });

  test("at a client, its own namespace's, or else the service's", () => {
    const view = viewOf(services, objects(mine + theirs));
    const names = (namespace: string) =>
      httpRoutesOf(clientContext(view, web, 80, namespace, {})).routes.map((r) => r.name);
    assert.deepEqual(names('pay'), ['pay.consumer.0']);
    assert.deepEqual(names('elsewhere'), ['shop.producer.0']);
  });

  test('VirtualServices beside them by age', () => {
    const vs = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: vs }
spec: { hosts: [web], http: [{ match: [{ uri: { prefix: /v } }], route: [{ destination: { host: web } }] }] }
---`;
    const names = (yaml: string) => routesOf(yaml).routes.map((r) => r.name);
    const specific = route(`{ matches: [{ path: { value: /a } }], ${there} }`);
    assert.deepEqual(names(vs + specific), ['shop.vs.0', 'shop.r.0']);
    assert.deepEqual(names(specific + vs), ['shop.r.0', 'shop.vs.0']);
    assert.deepEqual(names(mine + vs), ['shop.vs.0', 'shop.producer.0']);
  });
});
