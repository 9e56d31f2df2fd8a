/** What Istio's documentation of VirtualService promises, one feature a case. */
import { type RouteCase, destinationRule as rule, virtualService as vs } from './case.ts';

const web = 'route: [{ destination: { host: web } }]';
const v2 = 'route: [{ destination: { host: v2 } }]';
const to = { to: 'web' };

export const virtualServiceCases: readonly RouteCase[] = [
  {
    name: 'no route',
    objects: '',
    requests: [{ path: '/a?b', host: 'anything', expect: { to: 'web', received: { path: '/a?b', host: 'anything' } } }],
  },
  {
    name: 'uri',
    objects: vs(
      `{ match: [{ uri: { exact: /exact } }], ${v2} }, { match: [{ uri: { prefix: /pre } }], ${v2} }, { match: [{ uri: { regex: '/r/[0-9]+' } }], ${v2} }, { match: [{ uri: { prefix: /FOLD }, ignoreUriCase: true }], ${v2} }`,
    ),
    requests: [
      { path: '/exact', expect: { to: 'v2' } },
      { path: '/exact?q', expect: { to: 'v2' } },
      { path: '/exact/', expect: { status: 404 } },
      { path: '/prefix', expect: { to: 'v2' } },
      { path: '/r/12', expect: { to: 'v2' } },
      { path: '/r/12x', expect: { status: 404 } },
      { path: '/fold/x', expect: { to: 'v2' } },
      { path: '/Exact', expect: { status: 404 } },
    ],
  },
  {
    name: 'method, scheme, authority',
    objects: vs(
      `{ match: [{ method: { exact: PUT } }], ${v2} }, { match: [{ authority: { prefix: 'v2.' } }], ${v2} }, { match: [{ scheme: { exact: https } }], redirect: { uri: /never } }, { ${web} }`,
    ),
    requests: [
      { path: '/', method: 'PUT', expect: { to: 'v2' } },
      { path: '/', host: 'v2.shop', expect: { to: 'v2' } },
      { path: '/', expect: to },
    ],
  },
  {
    name: 'headers, withoutHeaders, queryParams',
    objects: vs(`
      { match: [{ headers: { X-A: { exact: one }, x-b: {} } }], ${v2} },
      { match: [{ withoutHeaders: { x-c: { exact: two } }, uri: { exact: /without } }], ${v2} },
      { match: [{ withoutHeaders: { x-c: {} }, uri: { exact: /absent } }], ${v2} },
      { match: [{ queryParams: { q: { exact: '1' }, r: { regex: 'a+' } } }], ${v2} }, { ${web} }`),
    requests: [
      { path: '/', headers: { 'x-a': 'one', 'x-b': '' }, expect: { to: 'v2' } },
      { path: '/', headers: { 'x-a': 'one' }, expect: to },
      { path: '/without', expect: { to: 'v2' } },
      { path: '/without', headers: { 'x-c': 'two' }, expect: to },
      { path: '/absent', expect: { to: 'v2' } },
      { path: '/absent', headers: { 'x-c': 'x' }, expect: to },
      { path: '/?q=1&r=aa', expect: { to: 'v2' } },
      { path: '/?q=1&r=ab', expect: to },
      { path: '/?r=a', expect: to },
    ],
  },
  {
    name: 'sourceNamespace by identity',
    objects: vs(`{ match: [{ sourceNamespace: pay }], ${v2} }, { ${web} }`),
    requests: [
      { path: '/', principal: 'spiffe://cluster.local/ns/pay/sa/x', expect: { to: 'v2' } },
      { path: '/', principal: 'spiffe://cluster.local/ns/pay2/sa/x', expect: to },
      { path: '/', expect: to },
    ],
  },
  {
    name: 'port, gateways',
    objects: vs(
      `{ match: [{ port: 8080 }, { gateways: [edge] }], ${v2} }, { match: [{ port: 80, gateways: [mesh] }], ${web} }`,
    ),
    requests: [{ path: '/', expect: to }],
  },
  {
    name: 'destination: host, port, subset',
    objects:
      rule('subsets: [{ name: v1, labels: { version: v1 } }]', 'v2') +
      vs(
        `{ match: [{ uri: { exact: /a } }], route: [{ destination: { host: v2, subset: v1 } }] }, { match: [{ uri: { exact: /b } }], route: [{ destination: { host: web, port: { number: 8080 } } }] }, { route: [{ destination: { host: gone } }] }`,
      ),
    requests: [
      { path: '/a', expect: { to: 'v2' } },
      { path: '/b', expect: to },
      { path: '/c', expect: { status: 503 } },
    ],
  },
  {
    name: 'weights of 0 and 100',
    objects: vs('{ route: [{ destination: { host: web }, weight: 0 }, { destination: { host: v2 }, weight: 100 }] }'),
    requests: [{ path: '/', expect: { to: 'v2' } }],
  },
  {
    name: 'redirect',
    objects: vs(`
      { match: [{ uri: { exact: /uri } }], redirect: { uri: /other, redirectCode: 302 } },
      { match: [{ uri: { prefix: /pre } }], redirect: { prefixRewrite: /new, authority: other.example } },
      { match: [{ uri: { exact: /scheme } }], redirect: { scheme: https, redirectCode: 307 } },
      { match: [{ uri: { exact: /port } }], redirect: { port: 8443, scheme: https, redirectCode: 308 } },
      { match: [{ uri: { exact: /own } }], redirect: { uri: /x, derivePort: FROM_REQUEST_PORT, redirectCode: 303 } }`),
    requests: [
      { path: '/uri?q=1', expect: { status: 302, response: { location: 'http://web/other?q=1' } } },
      { path: '/pre/a?q=1', expect: { status: 301, response: { location: 'http://other.example/new/a?q=1' } } },
      { path: '/scheme', expect: { status: 307, response: { location: 'https://web/scheme' } } },
      { path: '/port', expect: { status: 308, response: { location: 'https://web:8443/port' } } },
      { path: '/own', expect: { status: 303, response: { location: 'http://web/x' } } },
    ],
  },
  {
    name: 'rewrite',
    objects: vs(`
      { match: [{ uri: { prefix: /pre } }], rewrite: { uri: /new, authority: other.example }, ${web} },
      { match: [{ uri: { exact: /exact } }], rewrite: { uri: /whole }, ${web} },
      { match: [{ uri: { regex: '/r/.*' } }], rewrite: { uri: /whole }, ${web} },
      { match: [{ uri: { prefix: /swap } }], rewrite: { uriRegexRewrite: { match: '/swap/([^/]+)/([^/]+)', rewrite: '/\\2/\\1' } }, ${web} }`),
    requests: [
      { path: '/pre/a?q', expect: { ...to, received: { path: '/new/a?q', host: 'other.example' } } },
      { path: '/exact?q', expect: { ...to, received: { path: '/whole?q' } } },
      { path: '/r/x?q', expect: { ...to, received: { path: '/whole?q' } } },
      { path: '/swap/a/b/c?q', expect: { ...to, received: { path: '/b/a/c?q' } } },
    ],
  },
  {
    name: 'directResponse',
    objects: vs(
      `{ match: [{ uri: { exact: /text } }], directResponse: { status: 418, body: { string: hi } }, headers: { response: { set: { x-a: b } } } }, { match: [{ uri: { exact: /bytes } }], directResponse: { status: 200, body: { bytes: aGk= } } }, { directResponse: { status: 503 } }`,
    ),
    requests: [
      { path: '/text', expect: { status: 418, body: 'hi', response: { 'x-a': 'b' } } },
      { path: '/bytes', expect: { status: 200, body: 'hi' } },
      { path: '/', expect: { status: 503, body: '' } },
    ],
  },
  {
    name: 'headers',
    objects: vs(`{
      headers: { request: { set: { x-set: new, host: set.example }, add: { x-add: more }, remove: [x-gone] }, response: { set: { x-r: new }, add: { x-more: m }, remove: [x-upstream] } },
      route: [{ destination: { host: web }, headers: { request: { add: { x-own: '%REQ(x-in)%' } } } }] }`),
    requests: [
      {
        path: '/',
        headers: { 'x-set': 'old', 'x-add': 'one', 'x-gone': 'x', 'x-in': 'value' },
        expect: {
          ...to,
          received: {
            host: 'set.example',
            headers: { 'x-set': 'new', 'x-add': 'one, more', 'x-gone': null, 'x-own': 'value' },
          },
          response: { 'x-r': 'new', 'x-more': 'm', 'x-upstream': null },
        },
      },
    ],
  },
  {
    name: 'fault.abort, fault.delay',
    objects: vs(
      `{ match: [{ uri: { exact: /abort } }], fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }, ${web} }, { match: [{ uri: { exact: /never } }], fault: { abort: { httpStatus: 418, percentage: { value: 0 } } }, ${web} }, { fault: { delay: { fixedDelay: 1ms, percentage: { value: 100 } } }, ${web} }`,
    ),
    requests: [
      { path: '/abort', expect: { status: 418 } },
      { path: '/never', expect: to },
      { path: '/', expect: to },
    ],
  },
  {
    name: 'corsPolicy',
    objects: vs(
      `{ corsPolicy: { allowOrigins: [{ exact: 'https://a.example' }, { regex: 'https://[a-z]+[.]b[.]example' }], allowMethods: [GET, PUT], allowHeaders: [x-a], exposeHeaders: [x-b], maxAge: 1h, allowCredentials: true, unmatchedPreflights: IGNORE }, ${web} }`,
    ),
    requests: [
      {
        path: '/',
        method: 'OPTIONS',
        headers: { origin: 'https://a.example', 'access-control-request-method': 'PUT' },
        expect: {
          response: {
            'access-control-allow-origin': 'https://a.example',
            'access-control-allow-methods': 'GET,PUT',
            'access-control-allow-headers': 'x-a',
            'access-control-max-age': '3600',
            'access-control-allow-credentials': 'true',
          },
        },
      },
      {
        path: '/',
        headers: { origin: 'https://x.b.example' },
        expect: {
          ...to,
          response: { 'access-control-allow-origin': 'https://x.b.example', 'access-control-expose-headers': 'x-b' },
        },
      },
      {
        path: '/',
        headers: { origin: 'https://other.example' },
        expect: { ...to, response: { 'access-control-allow-origin': null } },
      },
    ],
  },
  {
    name: 'retries, timeout',
    objects: vs(
      `{ match: [{ uri: { exact: /retry } }], retries: { attempts: 2, retryOn: '503' }, ${web} }, { match: [{ uri: { exact: /no } }], retries: { attempts: 0 }, ${web} }, { timeout: 50ms, ${web} }`,
    ),
    requests: [
      // The echo fails as often as it is told to, for each id.
      { path: '/retry', headers: { 'x-echo-fail': '2' }, expect: { ...to, attempts: 3 } },
      { path: '/retry', headers: { 'x-echo-fail': '3' }, expect: { status: 503, to: 'web', attempts: 3 } },
      { path: '/no', headers: { 'x-echo-fail': '1' }, expect: { status: 503, to: 'web' } },
      { path: '/slow', headers: { 'x-echo-hang': '9' }, expect: { status: 504, attempts: 1 } },
    ],
  },
  {
    name: 'several on one host',
    objects: vs(`{ ${web} }`, 'old') + vs(`{ match: [{ uri: { prefix: /new } }], ${v2} }`, 'new'),
    requests: [
      { path: '/new', expect: { to: 'v2' } },
      { path: '/', expect: to },
    ],
  },
  {
    name: 'destination: a host header for each, subsets of others, subsets that are none',
    objects: `${vs(
      `{ match: [{ uri: { exact: /a } }], route: [{ destination: { host: web }, weight: 100, headers: { request: { set: { host: own.example } } } }, { destination: { host: v2 }, weight: 0 }] },
       { match: [{ uri: { exact: /far } }], route: [{ destination: { host: api.pay.svc.cluster.local, subset: v1 } }] }, { match: [{ uri: { exact: /none } }], route: [{ destination: { host: api.pay.svc.cluster.local, subset: none } }] }, { match: [{ uri: { exact: /whole } }], route: [{ destination: { host: api.pay.svc.cluster.local } }] }`,
    )}${vs(`{ route: [{ destination: { host: api.pay.svc.cluster.local } }] }`, 'v2', 'v2')}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: api, namespace: pay }
spec: { host: api, subsets: [{ name: v1, labels: { version: v1 } }, { name: v9, labels: { version: v9 } }] }
---`,
    requests: [
      { path: '/a', expect: { ...to, received: { host: 'own.example' } } },
      { path: '/far', expect: { to: 'api' } },
      { path: '/none', expect: { status: 503 } },
      { service: 'v2', path: '/', expect: { to: 'api' } },
    ],
  },
  {
    name: 'destination: by chance to one of two, with a host header each',
    objects: vs(
      '{ route: [{ destination: { host: web }, weight: 1, headers: { request: { set: { host: a.example } } } }, { destination: { host: v2 }, weight: 1, headers: { request: { set: { host: b.example } } } }] }',
    ),
    requests: [{ path: '/', expect: {}, shares: { web: 1, v2: 1 } }],
  },
  {
    name: 'subsets without endpoints, and with',
    objects:
      rule(
        'subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 }, trafficPolicy: { loadBalancer: { simple: RANDOM } } }, { name: v9, labels: { version: v9 } }]',
        'many',
      ) +
      vs(
        `{ match: [{ uri: { exact: /v2 } }], route: [{ destination: { host: many, subset: v2 } }] }, { match: [{ uri: { exact: /v9 } }], route: [{ destination: { host: many, subset: v9 } }] }`,
      ),
    requests: [
      { path: '/v2', expect: { pod: 'many-c' } },
      { path: '/v9', expect: { status: 503, body: 'no healthy upstream' } },
    ],
  },
  {
    name: 'values that are left out, and what validation would refuse',
    objects: vs(`
      { match: [{ uri: { exact: /code } }], redirect: { uri: /x, redirectCode: 333 } },
      { match: [{ uri: { exact: /delay } }], fault: { delay: { fixedDelay: 1ms }, abort: { httpStatus: 418 } }, ${web} },
      { match: [{ uri: { exact: /percent } }], fault: { delay: { fixedDelay: 1ms, percent: 100 } }, ${web} },
      { match: [{ uri: { exact: /fault } }], fault: {}, ${web} },
      { match: [{ uri: { exact: /grpc } }], fault: { abort: { grpcStatus: NONSENSE, percentage: { value: 100 } } }, ${web} },
      { match: [{ uri: { exact: /mirror } }], mirror: { host: v2 }, mirrorPercentage: {}, ${web} },
      { match: [{ uri: { exact: /mirrors } }], mirrors: [{ destination: { host: v2 }, percentage: {} }], ${web} },
      { match: [{ uri: { exact: /query } , queryParams: { q: {} } }], ${v2} },
      { match: [{ uri: { exact: /claim }, headers: { '@request.auth.claims[a][b]': { exact: c } } }], ${v2} },
      { match: [{ uri: { exact: /claim }, headers: { '@request.auth.claims': { exact: c } } }], ${v2} },
      { match: [{ uri: { exact: /cors } }], corsPolicy: { allowOrigin: ['https://a.example'] }, ${web} },
      { match: [{ uri: { exact: /origins } }], corsPolicy: { allowOrigins: [{}, { exact: 'https://a.example' }] }, ${web} },
      { ${web} }`),
    requests: [
      { path: '/code', expect: { status: 301 } },
      { path: '/delay', expect: to },
      { path: '/percent', expect: to },
      { path: '/fault', expect: to },
      { path: '/grpc', expect: to },
      { path: '/mirror', expect: to },
      { path: '/mirrors', expect: to },
      { path: '/query?q', expect: { to: 'v2' } },
      { path: '/query', expect: to },
      { path: '/claim', expect: to },
      ...['/cors', '/origins'].map((path) => ({
        path,
        headers: { origin: 'https://a.example' },
        expect: { ...to, response: { 'access-control-allow-origin': 'https://a.example' } },
      })),
    ],
  },
  {
    name: 'delegate',
    objects: `${vs('{ match: [{ uri: { prefix: /part } }], delegate: { name: part, namespace: pay } }')}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: part, namespace: pay }
spec: { http: [{ match: [{ uri: { prefix: /part/a } }], route: [{ destination: { host: api } }] }, { match: [{ uri: { prefix: /other } }], route: [{ destination: { host: api } }] }] }`,
    requests: [
      { path: '/part/a', expect: { to: 'api' } },
      { path: '/part/b', expect: { status: 404 } },
      { path: '/other', expect: { status: 404 } },
    ],
  },
];
