/** Features of the Gateway API, under the names that its conformance suite has for them. */
import { grpcRoute, httpRoute, type RouteCase } from './case.ts';

const web = 'backendRefs: [{ name: web, port: 80 }]';
const v2 = 'backendRefs: [{ name: v2, port: 80 }]';
const to = { to: 'web' };
const path = (value: string, type = 'PathPrefix') => `{ path: { type: ${type}, value: ${value} } }`;

export const gatewayApiCases: readonly RouteCase[] = [
  {
    name: 'MeshHTTPRouteMatching, HTTPRoutePathMatchOrder',
    objects: httpRoute(`
      { matches: [${path('/a')}], ${web} }, { matches: [${path('/a/b')}], ${v2} }, { matches: [${path('/a/b/c', 'Exact')}], ${web} },
      { matches: [{ headers: [{ name: Version, value: two }] }], ${v2} }, { matches: [{ path: { value: /q }, queryParams: [{ name: q, value: two }] }], ${v2} },
      { matches: [{ path: { value: /q } }], ${web} }, { matches: [{ path: { value: /m }, method: POST }], ${v2} }, { matches: [{ path: { value: /m } }], ${web} },
      { matches: [${path("'/r/[0-9]+'", 'RegularExpression')}], ${v2} }`),
    requests: [
      { path: '/a', expect: to },
      { path: '/a/', expect: to },
      { path: '/ab', expect: { status: 404 } },
      { path: '/a/b', expect: { to: 'v2' } },
      { path: '/a/b/c', expect: to },
      { path: '/a/b/c/', expect: { to: 'v2' } },
      { path: '/x', headers: { version: 'two' }, expect: { to: 'v2' } },
      { path: '/q?q=two', expect: { to: 'v2' } },
      { path: '/q?q=one', expect: to },
      { path: '/m', method: 'POST', expect: { to: 'v2' } },
      { path: '/m', expect: to },
      { path: '/r/1', expect: { to: 'v2' } },
    ],
  },
  {
    name: 'MeshHTTPRouteRequestHeaderModifier, HTTPRouteResponseHeaderModifier',
    objects: httpRoute(`{ filters: [
      { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: X-Set, value: '50%' }], add: [{ name: X-Add, value: more }], remove: [X-Gone] } },
      { type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: X-R, value: new }], remove: [X-Upstream] } }], ${web} }`),
    requests: [
      {
        path: '/',
        headers: { 'x-set': 'old', 'x-add': 'one', 'x-gone': 'x' },
        expect: {
          ...to,
          received: { headers: { 'x-set': '50%', 'x-add': 'one, more', 'x-gone': null } },
          response: { 'x-r': 'new', 'x-upstream': null },
        },
      },
    ],
  },
  {
    name: 'HTTPRouteBackendRequestHeaderModifier',
    objects: httpRoute(
      '{ backendRefs: [{ name: web, port: 80, filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: X-Own, value: web }] } }] }] }',
    ),
    requests: [{ path: '/', expect: { ...to, received: { headers: { 'x-own': 'web' } } } }],
  },
  {
    name: 'MeshHTTPRouteRedirectPath, HostAndStatus, Port, Scheme; 303, 307, 308',
    objects: httpRoute(
      [
        ['/prefix', '{ path: { type: ReplacePrefixMatch, replacePrefixMatch: /new } }'],
        ['/gone', '{ path: { type: ReplacePrefixMatch, replacePrefixMatch: / } }'],
        ['/full', '{ path: { type: ReplaceFullPath, replaceFullPath: /whole } }'],
        ['/host', '{ hostname: example.org, statusCode: 301 }'],
        ['/port', '{ port: 8083, statusCode: 303 }'],
        ['/scheme', '{ scheme: https, statusCode: 307 }'],
        ['/both', '{ scheme: https, port: 443, hostname: example.org, statusCode: 308 }'],
      ]
        .map(([p, r]) => `{ matches: [${path(p!)}], filters: [{ type: RequestRedirect, requestRedirect: ${r} }] }`)
        .join(),
    ),
    requests: [
      { path: '/prefix/a?q', expect: { status: 302, response: { location: 'http://web/new/a?q' } } },
      { path: '/prefix', expect: { status: 302, response: { location: 'http://web/new' } } },
      { path: '/gone/a', expect: { status: 302, response: { location: 'http://web/a' } } },
      { path: '/gone', expect: { status: 302, response: { location: 'http://web/' } } },
      { path: '/full/a', expect: { status: 302, response: { location: 'http://web/whole' } } },
      { path: '/host', expect: { status: 301, response: { location: 'http://example.org/host' } } },
      { path: '/port', expect: { status: 303, response: { location: 'http://web:8083/port' } } },
      { path: '/scheme', expect: { status: 307, response: { location: 'https://web/scheme' } } },
      { path: '/both', expect: { status: 308, response: { location: 'https://example.org/both' } } },
    ],
  },
  {
    name: 'MeshHTTPRouteRewritePath, HTTPRouteRewriteHost',
    objects: httpRoute(
      [
        ['/prefix/one', '{ path: { type: ReplacePrefixMatch, replacePrefixMatch: /one } }'],
        ['/strip', '{ path: { type: ReplacePrefixMatch, replacePrefixMatch: / } }'],
        ['/full', '{ path: { type: ReplaceFullPath, replaceFullPath: /whole } }'],
        ['/host', '{ hostname: one.example.org }'],
        ['/', '{ path: { type: ReplacePrefixMatch, replacePrefixMatch: /root } }'],
      ]
        .map(([p, r]) => `{ matches: [${path(p!)}], filters: [{ type: URLRewrite, urlRewrite: ${r} }], ${web} }`)
        .join(),
    ),
    requests: [
      { path: '/prefix/one/two?q', expect: { ...to, received: { path: '/one/two?q' } } },
      { path: '/strip/a/b', expect: { ...to, received: { path: '/a/b' } } },
      { path: '/strip', expect: { ...to, received: { path: '/' } } },
      { path: '/strip/', expect: { ...to, received: { path: '/' } } },
      { path: '/full/a?q', expect: { ...to, received: { path: '/whole?q' } } },
      { path: '/host', expect: { ...to, received: { path: '/host', host: 'one.example.org' } } },
      { path: '/other', expect: { ...to, received: { path: '/root/other' } } },
    ],
  },
  {
    name: 'HTTPRouteBackendURLRewrite, HTTPRouteBackendRequestRedirect',
    objects: httpRoute(`
      { matches: [${path('/rewrite')}], backendRefs: [{ name: web, port: 80, filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, replaceFullPath: /own } } }] }, { name: v2, port: 80, weight: 0 }] },
      { matches: [${path('/redirect')}], backendRefs: [{ name: web, port: 80, filters: [{ type: RequestRedirect, requestRedirect: { hostname: example.org } }] }] }`),
    requests: [
      { path: '/rewrite/a', expect: { ...to, received: { path: '/own' } } },
      { path: '/redirect', expect: { status: 302, response: { location: 'http://example.org/redirect' } } },
    ],
  },
  {
    name: 'HTTPRouteInvalidBackendRefUnknownKind, HTTPRouteInvalidNonExistentBackendRef, weights of 0, unknown filters',
    objects: httpRoute(`
      { matches: [${path('/kind')}], backendRefs: [{ kind: Secret, name: web }] }, { matches: [${path('/gone')}], backendRefs: [{ name: gone, port: 80 }] },
      { matches: [${path('/zero')}], backendRefs: [{ name: web, port: 80, weight: 0 }] }, { matches: [${path('/none')}] },
      { matches: [${path('/filter')}], filters: [{ type: ExtensionRef, extensionRef: { group: g, kind: K, name: n } }], ${web} },
      { matches: [${path('/part')}], backendRefs: [{ name: gone, port: 80 }, { name: web, port: 80, weight: 0 }] }, { ${web} }`),
    requests: [
      ...['/kind', '/gone', '/zero', '/none', '/filter', '/part'].map((p) => ({ path: p, expect: { status: 500 } })),
      { path: '/', expect: to },
    ],
  },
  {
    name: 'HTTPRouteRequestMirror',
    objects: httpRoute(
      `{ filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: v2, port: 80 } } }], ${web} }`,
    ),
    requests: [{ path: '/', expect: { ...to, mirrored: ['v2'] } }],
  },
  {
    name: 'HTTPRouteCORS',
    objects: httpRoute(
      `{ filters: [{ type: CORS, cors: { allowOrigins: ['https://*.foo.com', 'https://www.bar.com'], allowMethods: [GET, OPTIONS], allowHeaders: [x-header-1], exposeHeaders: [x-header-2], maxAge: 3600, allowCredentials: true } }], ${web} }`,
    ),
    requests: [
      ...['https://www.foo.com', 'https://www.bar.com'].map((origin) => ({
        path: '/',
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'GET' },
        expect: {
          response: {
            'access-control-allow-origin': origin,
            'access-control-allow-methods': 'GET,OPTIONS',
            'access-control-allow-headers': 'x-header-1',
            'access-control-max-age': '3600',
            'access-control-allow-credentials': 'true',
          },
        },
      })),
      ...['https://foo.com', 'https://foobar.com', 'http://www.foo.com'].map((origin) => ({
        path: '/',
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'GET' },
        expect: { response: { 'access-control-allow-origin': null } },
      })),
    ],
  },
  {
    name: 'HTTPRouteTimeoutRequest, HTTPRouteTimeoutBackendRequest, HTTPRouteRetry, HTTPRouteRetryConnectionError, HTTPRouteRetryWithTimeouts',
    objects: httpRoute(`
      { matches: [${path('/request')}], timeouts: { request: 50ms }, ${web} }, { matches: [${path('/try')}], timeouts: { request: 5s, backendRequest: 50ms }, ${web} },
      { matches: [${path('/retry')}], retry: { codes: [500, 503], attempts: 2, backoff: 1ms }, ${web} },
      { matches: [${path('/again')}], timeouts: { backendRequest: 300ms }, retry: { attempts: 1, backoff: 1ms }, ${web} }`),
    requests: [
      { path: '/request', headers: { 'x-echo-hang': '9' }, expect: { status: 504, attempts: 1 } },
      { path: '/try', headers: { 'x-echo-hang': '9' }, expect: { status: 504, attempts: 1 } },
      { path: '/retry', headers: { 'x-echo-fail': '2' }, expect: { ...to, attempts: 3 } },
      { path: '/retry', headers: { 'x-echo-cut': '2' }, expect: { ...to, attempts: 3 } },
      { path: '/retry', headers: { 'x-echo-fail': '3' }, expect: { status: 503, to: 'web', attempts: 3 } },
      { path: '/again', headers: { 'x-echo-hang': '1' }, expect: { ...to, attempts: 2 } },
    ],
  },
  {
    name: 'MeshGRPCRoute: methods, headers, UNAVAILABLE',
    objects: grpcRoute(`
      { matches: [{ method: { service: a.B, method: C } }], ${v2} }, { matches: [{ method: { service: a.B } }], ${web} },
      { matches: [{ method: { method: Only } }], ${v2} }, { matches: [{ method: { service: a.Gone } }], backendRefs: [{ name: gone, port: 80 }] },
      { matches: [{ headers: [{ name: version, value: two }] }], ${v2} }`),
    requests: [
      { path: '/a.B/C', method: 'POST', expect: { to: 'v2' } },
      { path: '/a.B/D', method: 'POST', expect: to },
      { path: '/x.Y/Only', method: 'POST', expect: { to: 'v2' } },
      { path: '/x.Y/Z', method: 'POST', headers: { version: 'two' }, expect: { to: 'v2' } },
      { path: '/x.Y/Z', method: 'POST', expect: { status: 404 } },
      {
        path: '/a.Gone/X',
        method: 'POST',
        headers: { 'content-type': 'application/grpc' },
        expect: { status: 200, response: { 'grpc-status': '14' } },
      },
    ],
  },
  {
    name: 'parents: without a namespace, by the name of a port; two routes of one age by their names',
    objects: [
      httpRoute(`{ matches: [${path('/own')}], ${v2} }`, { name: 'own' }).replace(', namespace: shop }]', ' }]'),
      httpRoute(`{ matches: [${path('/port')}], ${v2} }`, { name: 'by-port' }).replace(
        ', namespace: shop }]',
        ', sectionName: http }]',
      ),
      httpRoute(`{ matches: [${path('/port')}], ${web} }, { matches: [${path('/admin')}], ${web} }`, {
        name: 'admin',
      }).replace(', namespace: shop }]', ', sectionName: http-admin }]'),
      httpRoute(`{ matches: [${path('/same')}], ${v2} }`, { name: 'b' }),
      httpRoute(`{ matches: [${path('/same')}], ${web} }`, { name: 'a' }),
      httpRoute(`{ matches: [${path('/same')}], ${v2} }`, { name: 'c' }),
    ].join(''),
    requests: [
      { path: '/own', expect: { to: 'v2' } },
      { path: '/port', expect: { to: 'v2' } },
      { path: '/admin', expect: { status: 404 } },
      { path: '/port', port: 8080, expect: to },
      { path: '/same', expect: to },
    ],
  },
  {
    name: 'routes without rules, backends of other kinds, empty paths, timeouts where nothing is tried again',
    objects: `${httpRoute(
      `{ matches: [${path('/group')}], backendRefs: [{ group: x.example, kind: Thing, name: web, port: 80 }] },
       { matches: [${path('/entry')}], backendRefs: [{ group: networking.istio.io, kind: ServiceEntry, name: entry, port: 80 }] },
       { matches: [${path('/full')}], filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, replaceFullPath: '' } } }], ${web} },
       { matches: [${path('/none')}], filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath } } }], ${web} },
       { matches: [${path('/redirect')}], filters: [{ type: RequestRedirect, requestRedirect: { path: { type: ReplaceFullPath, replaceFullPath: '' } } }] },
       { matches: [${path('/try')}], timeouts: { request: 10s, backendRequest: 300ms }, retry: { attempts: 0 }, ${web} },
       { matches: [${path('/whole')}], timeouts: { request: 300ms, backendRequest: 300ms }, retry: { attempts: 0 }, ${web} },
       { matches: [${path('/longer')}], timeouts: { request: 300ms, backendRequest: 1s }, retry: { attempts: 0 }, ${web} },
       { matches: [${path('/session')}], sessionPersistence: { type: Cookie, cookie: {} }, ${web} },
       { matches: [${path('/below')}], sessionPersistence: { type: Cookie, cookie: { name: c, path: /below }, absoluteTimeout: 1h }, ${web} },
       { matches: [${path('/permanent')}], sessionPersistence: { type: Cookie, cookie: { name: p, lifetimeType: Permanent }, absoluteTimeout: 1h }, ${web} },
       { matches: [${path('/by-header')}], sessionPersistence: { type: Header, header: { name: x-session } }, ${web} },
       { matches: [${path('/several')}], sessionPersistence: { type: Header, header: { name: x-session } }, backendRefs: [{ name: web, port: 80 }, { name: web, port: 80, weight: 0 }, { name: web, port: 80 }] },
       { matches: [${path('/one')}], timeouts: { backendRequest: 300ms }, retry: { attempts: 0 }, ${web} }`,
    )}${httpRoute('', { name: 'no-rules', of: 'many' }).replace('rules: []', '')}${httpRoute('', { kind: 'GRPCRoute', name: 'no-grpc', of: 'near' }).replace('rules: []', '')}
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: entry }
spec: { hosts: [entry.example.com], addresses: [240.0.0.9], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: STATIC, workloadSelector: { labels: { app: v2 } } }
---`,
    requests: [
      { path: '/group', expect: { status: 500 } },
      { path: '/entry', expect: { to: 'v2' } },
      { path: '/full', expect: { ...to, received: { path: '/' } } },
      { path: '/none', expect: to },
      { path: '/redirect', expect: { status: 302, response: { location: 'http://web/' } } },
      ...['/session', '/below', '/by-header', '/several'].map((p) => ({ path: p, expect: to })),
      ...['/try', '/whole', '/longer', '/one'].map((p) => ({
        path: p,
        headers: { 'x-echo-hang': '9' },
        expect: { status: 504, attempts: 1 },
      })),
      { service: 'many', path: '/', expect: { status: 500 } },
      { service: 'near', path: '/', expect: { pod: 'near-a' } },
    ],
  },
  {
    name: 'MeshConsumerRoute',
    objects:
      httpRoute(
        `{ matches: [${path('/c')}], filters: [{ type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: X-C, value: set }] } }], backendRefs: [{ name: web, namespace: shop, port: 80 }] }`,
        { name: 'consumer', namespace: 'pay' },
      ) + httpRoute(`{ ${v2} }`),
    requests: [
      {
        path: '/c',
        principal: 'spiffe://cluster.local/ns/pay/sa/x',
        expect: { ...to, response: { 'x-c': 'set' } },
      },
      { path: '/', principal: 'spiffe://cluster.local/ns/pay/sa/x', expect: { status: 404 } },
      { path: '/c', principal: 'spiffe://cluster.local/ns/shop/sa/x', expect: { to: 'v2', response: { 'x-c': null } } },
      { path: '/c', expect: { to: 'v2' } },
    ],
  },
];
