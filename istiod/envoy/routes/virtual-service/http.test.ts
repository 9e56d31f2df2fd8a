import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Route } from '../envoy.ts';
import { httpRoutesOf } from '../http.ts';
import type { HttpRoutes } from '../results.ts';
import { clientContext, objects, service, viewOf, waypointContext } from '../testing/view.ts';

const services = [
  service('shop/web:http=80'),
  service('shop/web2:http=80,http-admin=8080'),
  service('pay/api:grpc=9000'),
];
const web = services[0]!;

function routesOf(yaml: string): HttpRoutes {
  return httpRoutesOf(waypointContext(viewOf(services, objects(yaml)), web, 80));
}

function vs(http: string, rest = ''): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web }
spec:
  hosts: [web]${rest}
  http:
${http
  .trim()
  .split('\n')
  .map((line) => `  ${line}`)
  .join('\n')}`;
}

const there = 'route: [{ destination: { host: web } }]';

function only(yaml: string): Route {
  const { routes, problems } = routesOf(yaml);
  assert.deepEqual(problems, []);
  assert.equal(routes.length, 1);
  return routes[0]!;
}

const cluster = 'inbound-vip|80|http|web.shop.svc.cluster.local';

describe('matches', () => {
  const cases: readonly (readonly [string, string, object])[] = [
    ['exact path', '{ uri: { exact: /a } }', { path: '/a' }],
    ['prefix', '{ uri: { prefix: /a } }', { prefix: '/a' }],
    ['regex', "{ uri: { regex: '/a.*' } }", { safe_regex: { regex: '/a.*' } }],
    ['case', '{ uri: { prefix: /a }, ignoreUriCase: true }', { prefix: '/a', case_sensitive: { value: false } }],
    [
      'method, host and scheme',
      '{ method: { exact: GET }, authority: { prefix: web }, scheme: { exact: http } }',
      {
        prefix: '/',
        headers: [
          { name: ':method', string_match: { exact: 'GET' } },
          { name: ':authority', string_match: { prefix: 'web' } },
          { name: ':scheme', string_match: { exact: 'http' } },
        ],
      },
    ],
    [
      'headers by name, however they are written',
      "{ headers: { X-B: { exact: b }, x-a: { regex: 'a+' }, x-c: {} } }",
      {
        prefix: '/',
        headers: [
          { name: 'x-b', string_match: { exact: 'b' } },
          { name: 'x-a', string_match: { safe_regex: { regex: 'a+' } } },
          { name: 'x-c', present_match: true },
        ],
      },
    ],
    [
      'headers that are not to be there',
      '{ withoutHeaders: { a: { exact: x }, b: {} } }',
      {
        prefix: '/',
        headers: [
          { name: 'a', string_match: { exact: 'x' }, invert_match: true, treat_missing_header_as_empty: true },
          { name: 'b', present_match: true, invert_match: true },
        ],
      },
    ],
    [
      'query parameters',
      "{ queryParams: { q: { exact: x }, r: { regex: '*' } } }",
      {
        prefix: '/',
        query_parameters: [
          { name: 'q', string_match: { exact: 'x' } },
          { name: 'r', present_match: true },
        ],
      },
    ],
    [
      'claims of a token',
      "{ headers: { '@request.auth.claims.group.id': { exact: x } }, withoutHeaders: { '@request.auth.claims[a.b]': { prefix: w } } }",
      {
        prefix: '/',
        dynamic_metadata: [
          {
            filter: 'envoy.filters.http.jwt_authn',
            path: [{ key: 'payload' }, { key: 'group' }, { key: 'id' }],
            value: {
              or_match: {
                value_matchers: [
                  { string_match: { exact: 'x' } },
                  { list_match: { one_of: { string_match: { exact: 'x' } } } },
                ],
              },
            },
          },
          {
            filter: 'envoy.filters.http.jwt_authn',
            path: [{ key: 'payload' }, { key: 'a.b' }],
            value: {
              or_match: {
                value_matchers: [
                  { string_match: { prefix: 'w' } },
                  { list_match: { one_of: { string_match: { prefix: 'w' } } } },
                ],
              },
            },
            invert: true,
          },
        ],
      },
    ],
    ['this port', '{ port: 80 }', { prefix: '/' }],
    ['the mesh', '{ gateways: [mesh, shop/edge] }', { prefix: '/' }],
    [
      "the caller's namespace, by its identity",
      '{ sourceNamespace: pay }',
      {
        prefix: '/',
        filter_state: [
          {
            key: 'io.istio.peer_principal',
            string_match: { safe_regex: { regex: 'spiffe://[^/]+/ns/pay/sa/[^/]+' } },
          },
        ],
      },
    ],
  ];
  for (const [name, match, expected] of cases) {
    test(name, () => {
      assert.deepEqual(only(vs(`- match: [${match}]\n  ${there}`)).match, expected);
    });
  }

  test('of other ports and gateways are left out; what is left without a route goes to the service', () => {
    const { routes } = routesOf(vs(`- match: [{ port: 81 }, { gateways: [shop/edge] }]\n  ${there}`));
    assert.deepEqual(
      routes.map((r) => r.name),
      ['default'],
    );
  });

  test('by labels of the caller match nothing at a waypoint, which is said; at a client they do', () => {
    const yaml = vs(`- match: [{ sourceLabels: { app: a } }]\n  ${there}\n- ${there}`);
    const { routes, problems } = routesOf(yaml);
    assert.deepEqual(
      routes.map((r) => r.name),
      ['shop.web.1'],
    );
    assert.deepEqual(
      problems.map((p) => [p.kind, p.field]),
      [['ineffective', 'spec.http[0].match[0].sourceLabels']],
    );
    const view = viewOf(services, objects(yaml));
    const names = (labels: Record<string, string>) =>
      httpRoutesOf(clientContext(view, web, 80, 'shop', labels)).routes.map((r) => r.name);
    assert.deepEqual(names({ app: 'a' }), ['shop.web.0']);
    assert.deepEqual(names({ app: 'b' }), ['shop.web.1']);
  });

  test("a client's namespace is its own", () => {
    const view = viewOf(services, objects(vs(`- match: [{ sourceNamespace: pay }]\n  ${there}`)));
    const names = (ns: string) => httpRoutesOf(clientContext(view, web, 80, ns, {})).routes.map((r) => r.name);
    assert.deepEqual(names('pay'), ['shop.web.0']);
    assert.deepEqual(names('shop'), ['default']);
  });

  test('name, prefix of statistics, object and rule go along', () => {
    const { routes } = routesOf(
      vs(
        `- name: first\n  match: [{ uri: { prefix: /a }, name: m, statPrefix: s }, { uri: { prefix: /b } }]\n  ${there}`,
      ),
    );
    assert.deepEqual(
      routes.map((r) => [r.name, r.stat_prefix]),
      [
        ['first.m', 's'],
        ['first', undefined],
      ],
    );
    assert.deepEqual(routes[1]!.metadata.filter_metadata, {
      istio: {
        fields: { config: { stringValue: '/apis/networking.istio.io/v1/namespaces/shop/virtual-service/web' } },
      },
      aquifer: {
        fields: { rule: { stringValue: 'spec.http[0].match[1]' }, generation: { numberValue: 1 } },
      },
    });
    assert.deepEqual(routes[0]!.decorator, { operation: 'web.shop.svc.cluster.local:80/a*' });
  });

  test('what comes after a match of everything is left out', () => {
    assert.equal(routesOf(vs(`- ${there}\n- match: [{ uri: { prefix: /a } }]\n  ${there}`)).routes.length, 1);
  });
});

/** What all forwarding routes have. */
const usual = {
  timeout: { seconds: 0 },
  max_grpc_timeout: { seconds: 0 },
};
const previousHosts = {
  name: 'envoy.retry_host_predicates.previous_hosts',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
  },
};
const twice = {
  retry_on: 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes',
  num_retries: { value: 2 },
  retry_host_predicate: [previousHosts],
  host_selection_retry_max_attempts: 5,
};
const actionOf = (route: Route) => ('route' in route ? route.route : assert.fail('forwards nothing'));

describe('what a route does', () => {
  const cases: readonly (readonly [string, string, object])[] = [
    ['goes to a service', there, { cluster, ...usual, retry_policy: twice }],
    [
      'goes to another port, a subset, another namespace',
      'route: [{ destination: { host: web2, port: { number: 8080 }, subset: v1 } }]',
      { cluster: 'inbound-vip|8080|http/v1|web2.shop.svc.cluster.local', ...usual, retry_policy: twice },
    ],
    [
      'takes the only port of the destination',
      'route: [{ destination: { host: api.pay.svc.cluster.local } }]',
      { cluster: 'inbound-vip|9000|http|api.pay.svc.cluster.local', ...usual, retry_policy: twice },
    ],
    [
      'divides by weights, none for a weight of 0',
      'route: [{ destination: { host: web }, weight: 90 }, { destination: { host: web2 }, weight: 10, headers: { request: { set: { host: x, a: b } } } }, { destination: { host: web }, weight: 0 }]',
      {
        weighted_clusters: {
          clusters: [
            { name: cluster, weight: { value: 90 } },
            {
              name: 'inbound-vip|80|http|web2.shop.svc.cluster.local',
              weight: { value: 10 },
              request_headers_to_add: [
                { header: { key: 'a', value: 'b' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
              ],
              host_rewrite_literal: 'x',
            },
          ],
        },
        ...usual,
        retry_policy: twice,
      },
    ],
    [
      'has a timeout, which bounds grpc-timeout',
      `timeout: 1.5s\n  ${there}`,
      {
        cluster,
        timeout: { seconds: 1, nanos: 500_000_000 },
        max_grpc_timeout: { seconds: 1, nanos: 500_000_000 },
        retry_policy: twice,
      },
    ],
    [
      'rewrites prefix and host',
      `rewrite: { uri: /b, authority: other }\n  ${there}`,
      { cluster, ...usual, prefix_rewrite: '/b', host_rewrite_literal: 'other', retry_policy: twice },
    ],
    [
      'rewrites by a regular expression',
      `rewrite: { uriRegexRewrite: { match: '/a/(.*)', rewrite: '/\\1' } }\n  ${there}`,
      {
        cluster,
        ...usual,
        regex_rewrite: { pattern: { regex: '/a/(.*)' }, substitution: '/\\1' },
        retry_policy: twice,
      },
    ],
    ['never tries again', `retries: { attempts: 0 }\n  ${there}`, { cluster, ...usual }],
    [
      'tries again as it says',
      `retries: { attempts: 3, perTryTimeout: 250ms, retryOn: '5xx, 429', backoff: 10ms, retryRemoteLocalities: true, retryIgnorePreviousHosts: false }\n  ${there}`,
      {
        cluster,
        ...usual,
        retry_policy: {
          retry_on: '5xx,retriable-status-codes',
          num_retries: { value: 3 },
          per_try_timeout: { seconds: 0, nanos: 250_000_000 },
          retriable_status_codes: [429],
          retry_back_off: { base_interval: { seconds: 0, nanos: 10_000_000 } },
          retry_priority: {
            name: 'envoy.retry_priorities.previous_priorities',
            typed_config: {
              '@type':
                'type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig',
              update_frequency: 2,
            },
          },
          host_selection_retry_max_attempts: 5,
        },
      },
    ],
    [
      'mirrors a share, and to several',
      `mirrors: [{ destination: { host: web2 }, percentage: { value: 0.5 } }, { destination: { host: api.pay.svc.cluster.local } }, { destination: { host: web2 }, percentage: { value: 0 } }]\n  ${there}`,
      {
        cluster,
        ...usual,
        retry_policy: twice,
        request_mirror_policies: [
          {
            cluster: 'inbound-vip|80|http|web2.shop.svc.cluster.local',
            runtime_fraction: { default_value: { numerator: 5000, denominator: 'MILLION' } },
            trace_sampled: { value: false },
          },
          {
            cluster: 'inbound-vip|9000|http|api.pay.svc.cluster.local',
            runtime_fraction: { default_value: { numerator: 100, denominator: 'HUNDRED' } },
            trace_sampled: { value: false },
          },
        ],
      },
    ],
    ...(['mirrorPercent', 'mirror_percent'] as const).map(
      (field) =>
        [
          `mirrors by the older ${field}`,
          `mirror: { host: web2 }\n  ${field}: 7\n  ${there}`,
          {
            cluster,
            ...usual,
            retry_policy: twice,
            request_mirror_policies: [
              {
                cluster: 'inbound-vip|80|http|web2.shop.svc.cluster.local',
                runtime_fraction: { default_value: { numerator: 7, denominator: 'HUNDRED' } },
                trace_sampled: { value: false },
              },
            ],
          },
        ] as const,
    ),
  ];
  for (const [name, http, expected] of cases) {
    test(name, () => assert.deepEqual(actionOf(only(vs(`- ${http}`))), expected));
  }

  test("has it in gRPC's words for a program that reads xDS itself", () => {
    const view = viewOf(services, objects(vs(`- timeout: 1s\n  ${there}`)));
    const { routes } = httpRoutesOf({ ...clientContext(view, web, 80, 'shop', {}), dialect: 'grpc' });
    const { max_grpc_timeout, max_stream_duration } = actionOf(routes[0]!);
    assert.deepEqual([max_grpc_timeout, max_stream_duration], [undefined, { grpc_timeout_header_max: { seconds: 1 } }]);
  });

  test('mirrors nothing where the share is 0', () => {
    const route = only(vs(`- mirror: { host: web2 }\n  mirrorPercentage: { value: 0 }\n  ${there}`));
    assert.equal(actionOf(route).request_mirror_policies, undefined);
  });

  test('changes headers, the host in its own way; those of its only destination come after', () => {
    const {
      match: _match,
      metadata: _metadata,
      decorator: _decorator,
      ...route
    } = only(
      vs(`- headers:
    request: { set: { b: '1', a: '%REQ(x)%', Host: h }, add: { c: '2' }, remove: [d, ':path'] }
    response: { set: { e: '3' }, add: { f: '4' }, remove: [g] }
  route: [{ destination: { host: web }, headers: { request: { add: { z: '5' } }, response: { remove: [w] } } }]`),
    );
    const set = (key: string, value: string) => ({
      header: { key, value },
      append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
    });
    const add = (key: string, value: string) => ({ header: { key, value }, append_action: 'APPEND_IF_EXISTS_OR_ADD' });
    assert.deepEqual(route, {
      name: 'shop.web.0',
      route: { cluster, ...usual, host_rewrite_literal: 'h', retry_policy: twice },
      request_headers_to_add: [set('a', '%REQ(x)%'), set('b', '1'), add('c', '2'), add('z', '5')],
      request_headers_to_remove: ['d'],
      response_headers_to_add: [set('e', '3'), add('f', '4')],
      response_headers_to_remove: ['g', 'w'],
    });
  });

  test('keeps requests at an endpoint by a hash, also when it tries again', () => {
    const context = waypointContext(viewOf(services, objects(vs(`- ${there}`))), web, 80, {
      hash: () => ({
        httpCookie: { name: 'c', ttl: '1h', path: '/', attributes: [{ name: 'SameSite', value: 'Lax' }] },
      }),
    });
    const route = actionOf(httpRoutesOf(context).routes[0]!);
    assert.deepEqual(route.hash_policy, [
      {
        cookie: { name: 'c', ttl: { seconds: 3600 }, path: '/', attributes: [{ name: 'SameSite', value: 'Lax' }] },
      },
    ]);
    assert.equal(route.retry_policy?.retry_host_predicate, undefined);
  });

  for (const [name, hash, expected] of [
    ['header', { httpHeaderName: 'x' }, { header: { header_name: 'x' } }],
    ['address', { useSourceIp: true }, { connection_properties: { source_ip: true } }],
    ['query parameter', { httpQueryParameterName: 'q' }, { query_parameter: { name: 'q' } }],
  ] as const) {
    test(`hashes by ${name}, where nothing says where to go, too`, () => {
      const { routes } = httpRoutesOf(waypointContext(viewOf(services, []), web, 80, { hash: () => hash }));
      assert.deepEqual(actionOf(routes[0]!).hash_policy, [expected]);
    });
  }

  const redirects: readonly (readonly [string, string, object])[] = [
    ['a path', '{ uri: /b }', { path_redirect: '/b', response_code: 'MOVED_PERMANENTLY' }],
    [
      'a prefix, host, scheme and status',
      '{ prefixRewrite: /b, authority: h, scheme: https, redirectCode: 307 }',
      { host_redirect: 'h', prefix_rewrite: '/b', scheme_redirect: 'https', response_code: 'TEMPORARY_REDIRECT' },
    ],
    [
      'a port',
      '{ authority: h, port: 8080, redirectCode: 302 }',
      { host_redirect: 'h', port_redirect: 8080, response_code: 'FOUND' },
    ],
    [
      'the usual port',
      '{ scheme: https, port: 443, redirectCode: 308 }',
      { scheme_redirect: 'https', response_code: 'PERMANENT_REDIRECT' },
    ],
    [
      'the port of the request',
      '{ authority: h, scheme: https, derivePort: FROM_REQUEST_PORT, redirectCode: 303 }',
      { host_redirect: 'h', scheme_redirect: 'https', port_redirect: 80, response_code: 'SEE_OTHER' },
    ],
    [
      'the port of the scheme',
      '{ authority: h, derivePort: FROM_PROTOCOL_DEFAULT }',
      { host_redirect: 'h', response_code: 'MOVED_PERMANENTLY' },
    ],
  ];
  for (const [name, redirect, expected] of redirects) {
    test(`redirects to ${name}`, () => {
      const route = only(vs(`- match: [{ uri: { prefix: /a } }]\n  redirect: ${redirect}`));
      assert.deepEqual('redirect' in route && route.redirect, expected);
    });
  }

  test('answers at once', () => {
    const direct = (text: string) => {
      const route = only(vs(`- directResponse: ${text}`));
      return 'direct_response' in route ? route.direct_response : undefined;
    };
    assert.deepEqual(direct('{ status: 503 }'), { status: 503 });
    assert.deepEqual(direct('{ status: 200, body: { string: hi } }'), { status: 200, body: { inline_string: 'hi' } });
    assert.deepEqual(direct('{ status: 200, body: { bytes: AAE= } }'), {
      status: 200,
      body: { inline_bytes: Buffer.from([0, 1]) },
    });
  });

  test('fails and delays on purpose, by the share it says and never without one', () => {
    const fault = (text: string) =>
      only(vs(`- fault: ${text}\n  ${there}`)).typed_per_filter_config?.['envoy.filters.http.fault'];
    const type = { '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault' };
    const percent = (numerator: number) => ({ numerator, denominator: 'HUNDRED' });
    assert.deepEqual(
      fault(
        '{ delay: { fixedDelay: 5s, percentage: { value: 0.1 } }, abort: { httpStatus: 418, percentage: { value: 50 } } }',
      ),
      {
        ...type,
        delay: { fixed_delay: { seconds: 5 }, percentage: { numerator: 1000, denominator: 'MILLION' } },
        abort: { http_status: 418, percentage: percent(50) },
      },
    );
    assert.deepEqual(fault('{ delay: { fixedDelay: 5s, percent: 3 } }'), {
      ...type,
      delay: { fixed_delay: { seconds: 5 }, percentage: percent(3) },
    });
    assert.deepEqual(fault('{ abort: { grpcStatus: UNAVAILABLE } }'), {
      ...type,
      abort: { grpc_status: 14, percentage: percent(0) },
    });
  });

  test('tells browsers which pages may read', () => {
    const cors = (text: string) =>
      only(vs(`- corsPolicy: ${text}\n  ${there}`)).typed_per_filter_config?.['envoy.filters.http.cors'];
    const enabled = { filter_enabled: { default_value: { numerator: 100, denominator: 'HUNDRED' } } };
    const type = { '@type': 'type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy' };
    assert.deepEqual(
      cors(
        "{ allowOrigins: [{ exact: a }, { prefix: b }, { regex: 'c.*' }], allowMethods: [GET, PUT], allowHeaders: [x, w], exposeHeaders: [z], maxAge: 1h, allowCredentials: true, unmatchedPreflights: IGNORE }",
      ),
      {
        ...type,
        allow_origin_string_match: [{ exact: 'a' }, { prefix: 'b' }, { safe_regex: { regex: 'c.*' } }],
        allow_methods: 'GET,PUT',
        allow_headers: 'x,w',
        expose_headers: 'z',
        max_age: '3600',
        allow_credentials: { value: true },
        ...enabled,
        forward_not_matching_preflights: { value: false },
      },
    );
    assert.deepEqual(cors('{ allowOrigin: [a] }'), {
      ...type,
      allow_origin_string_match: [{ exact: 'a' }],
      ...enabled,
      forward_not_matching_preflights: { value: true },
    });
  });

  test('names what is missing, and sends there nevertheless: nobody answers', () => {
    const { routes, problems } = routesOf(
      vs(`- match: [{ uri: { exact: /x } }]
  route: [{ destination: { host: gone } }]
- route: [{ destination: { host: web, port: { number: 81 } } }]`),
    );
    assert.equal(actionOf(routes[0]!).cluster, 'outbound|80||gone.shop.svc.cluster.local');
    assert.deepEqual(
      problems.map((p) => [p.kind, p.field, p.message]),
      [
        ['unresolved', 'spec.http[0].route[0].destination.host', 'no service of the mesh has the name gone'],
        ['unresolved', 'spec.http[1].route[0].destination.port.number', 'web.shop.svc.cluster.local has no port 81'],
      ],
    );
  });

  test("the mesh's own retries hold where a route says none", () => {
    const view = viewOf(services, objects(vs(`- ${there}`)), { defaultRetries: { attempts: 5, retryOn: '5xx' } });
    const { retry_policy } = actionOf(httpRoutesOf(waypointContext(view, web, 80)).routes[0]!);
    assert.deepEqual([retry_policy?.num_retries.value, retry_policy?.retry_on], [5, '5xx']);
  });
});

describe('which VirtualServices count', () => {
  const named = (name: string, spec: string, namespace = 'shop') => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: ${namespace} }
spec: ${spec}
---`;
  const to = (prefix: string) => `http: [{ match: [{ uri: { prefix: ${prefix} } }], ${there} }]`;
  const names = (yaml: string, context = waypointContext) =>
    httpRoutesOf(context(viewOf(services, objects(yaml)), web, 80)).routes.map((r) => r.name);

  test('several on one host: oldest first, and last what takes every request', () => {
    const yaml =
      named('old', `{ hosts: [web], http: [{ ${there} }] }`) +
      named('new', `{ hosts: [web], ${to('/a')} }`) +
      named('any', `{ hosts: ['*.shop.svc.cluster.local'], ${to('/b')} }`);
    assert.deepEqual(names(yaml), ['shop.new.0', 'shop.any.0', 'shop.old.0']);
  });

  test('of the service and of the waypoint, not of others', () => {
    const yaml = named('other', `{ hosts: [web.shop.svc.cluster.local], ${to('/a')} }`, 'pay');
    assert.deepEqual(names(yaml), ['default']);
    assert.deepEqual(
      names(yaml, (view, of, port) => waypointContext(view, of, port, { namespace: 'pay' })),
      ['pay.other.0'],
    );
    assert.deepEqual(
      names(yaml, (view, of, port) => clientContext(view, of, port, 'shop', {})),
      ['pay.other.0'],
    );
  });

  test('those for gateways alone, and those that are not exported, do not', () => {
    assert.deepEqual(names(named('a', `{ hosts: [web], gateways: [edge], ${to('/a')} }`)), ['default']);
    assert.deepEqual(names(named('a', `{ hosts: [web], gateways: [edge, mesh], ${to('/a')} }`)), ['shop.a.0']);
    const hidden = named('a', `{ hosts: [web], exportTo: ['.'], ${to('/a')} }`);
    assert.deepEqual(names(hidden), ['shop.a.0']);
    assert.deepEqual(
      names(hidden, (view, of, port) => clientContext(view, of, port, 'pay', {})),
      ['default'],
    );
  });

  test('without HTTP routes requests go to the service', () => {
    assert.deepEqual(names(named('a', `{ hosts: [web], tcp: [{ ${there} }] }`)), ['default']);
  });
});
