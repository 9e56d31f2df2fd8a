/** What clients may speak, and what becomes of it: HTTP/2, gRPC, upgrades, bodies, copies, chance. */
import { grpcRoute, httpRoute, type RouteCase, virtualService as vs } from './case.ts';

const web = 'route: [{ destination: { host: web } }]';
const toCall = 'route: [{ destination: { host: call } }]';
const grpc = { 'content-type': 'application/grpc', te: 'trailers' };
const browsed = { service: 'browsed', port: 9001, method: 'POST', path: '/a.B/C', body: 'asked' } as const;
const grpcReply = '{"content-type":"application/grpc+proto"}';
const call = { service: 'call', port: 9000, method: 'POST', by: 'http2', body: 'asked', headers: grpc } as const;
const socket = { by: 'websocket', path: '/socket' } as const;

export const trafficCases: readonly RouteCase[] = [
  {
    name: 'HTTP/2 in: to the service as it came',
    objects: '',
    requests: [
      { path: '/a?b', by: 'http2', expect: { to: 'web', received: { protocol: 'HTTP/2', path: '/a?b' } } },
      { path: '/', by: 'http2', method: 'POST', body: 'text', expect: { to: 'web', received: { body: 'text' } } },
      { path: '/', by: 'http2', method: 'HEAD', expect: { attempts: 1 } },
      {
        path: '/',
        method: 'POST',
        body: 'text',
        expect: { to: 'web', received: { protocol: 'HTTP/1.1', body: 'text' } },
      },
      { path: '/', method: 'DELETE', expect: { to: 'web' } },
      { path: '/', headers: { 'x-echo-status': '404' }, expect: { status: 404, to: 'web' } },
      { path: '/', headers: { 'x-echo-status': '500' }, by: 'http2', expect: { status: 500, to: 'web' } },
      { path: '/', headers: { 'x-echo-status': '204' }, expect: { status: 204, attempts: 1 } },
      {
        path: '/',
        headers: { 'x-echo-reply': '{"x-more":"1","set-cookie":"a=b"}' },
        expect: { to: 'web', response: { 'x-more': '1' } },
      },
      { path: '/../a/./b//c', expect: { to: 'web', received: { path: '/a/b//c' } } },
      { path: '/', host: 'web.shop.:80', expect: { to: 'web' } },
      { path: '/', headers: { 'x-forwarded-for': '10.1.1.1', 'x-forwarded-proto': 'https' }, expect: { to: 'web' } },
      { path: '/', headers: { 'x-envoy-internal': 'true', 'x-request-id': 'mine' }, expect: { to: 'web' } },
      { path: '/', headers: { expect: '100-continue' }, method: 'POST', body: 'x', expect: { to: 'web' } },
    ],
  },
  ...(
    [
      ['NONE', '/a/../b//c%2Fd', '/a/../b//c%2Fd'],
      ['BASE', '/a/../b//c%2Fd', '/b//c%2Fd'],
      ['MERGE_SLASHES', '/a/../b//c%2Fd', '/b/c%2Fd'],
      ['DECODE_AND_MERGE_SLASHES', '/a/../b//c%2Fd%5c', '/b/c/d/'],
    ] as const
  ).map(
    ([pathNormalization, path, received]): RouteCase => ({
      name: `pathNormalization ${pathNormalization}`,
      mesh: { pathNormalization },
      objects: '',
      requests: [{ path, expect: { to: 'web', received: { path: received } } }],
    }),
  ),
  {
    name: 'gRPC: statuses and trailers',
    objects: '',
    requests: [
      {
        ...call,
        path: '/a.B/C',
        headers: { ...grpc, 'x-echo-grpc': '0' },
        expect: { to: 'call', trailers: { 'grpc-status': '0', 'x-trailer': 'end' }, received: { body: 'asked' } },
      },
      {
        ...call,
        path: '/a.B/C',
        headers: { ...grpc, 'x-echo-grpc': '7' },
        expect: { to: 'call', trailers: { 'grpc-status': '7' } },
      },
      {
        ...call,
        path: '/a.B/C',
        headers: { ...grpc, 'x-echo-reply': '{"grpc-status":"5","grpc-message":"none"}' },
        expect: { to: 'call', response: { 'grpc-status': '5' } },
      },
      {
        ...call,
        path: '/a.B/C',
        headers: { ...grpc, 'x-echo-status': '503' },
        expect: { status: 503, to: 'call' },
      },
      { ...call, path: '/a.B/C', trailers: { 'x-own': 'trailer' }, expect: { to: 'call' } },
    ],
  },
  {
    name: 'gRPC-Web of a port that is named so, and gRPC of the same',
    objects: '',
    requests: [
      {
        ...browsed,
        headers: { 'content-type': 'application/grpc-web+proto', 'x-echo-grpc': '7', 'x-echo-reply': grpcReply },
        expect: {
          attempts: 1,
          response: { 'content-type': 'application/grpc-web+proto' },
          trailers: { 'grpc-status': null },
        },
      },
      {
        ...browsed,
        by: 'http2',
        headers: { ...grpc, 'x-echo-grpc': '0' },
        expect: { to: 'browsed', trailers: { 'grpc-status': '0' } },
      },
    ],
  },
  {
    name: 'gRPC: our own answers have its statuses',
    objects: vs(
      `{ match: [{ uri: { prefix: /gone } }], route: [{ destination: { host: gone } }] }, { match: [{ uri: { prefix: /slow } }], timeout: 50ms, retries: { attempts: 0 }, ${toCall} },
       { match: [{ uri: { prefix: /abort } }], fault: { abort: { grpcStatus: NOT_FOUND, percentage: { value: 100 } } }, ${toCall} }, { match: [{ uri: { prefix: /http } }], fault: { abort: { httpStatus: 429, percentage: { value: 100 } } }, ${toCall} },
       { match: [{ uri: { prefix: /direct } }], directResponse: { status: 401 } }, { match: [{ uri: { prefix: /max } }], timeout: 50ms, ${toCall} }, { match: [{ uri: { prefix: /call } }], ${toCall} }`,
      'call',
      'call',
    ),
    requests: [
      { ...call, path: '/gone/X', expect: { response: { 'grpc-status': '14' } } },
      {
        ...call,
        path: '/slow/X',
        headers: { ...grpc, 'x-echo-hang': '9' },
        expect: { attempts: 1, response: { 'grpc-status': '14' } },
      },
      {
        ...call,
        path: '/max/X',
        headers: { ...grpc, 'x-echo-hang': '9', 'grpc-timeout': '20m' },
        expect: { attempts: 1, response: { 'grpc-status': '14' } },
      },
      { ...call, path: '/abort/X', expect: { response: { 'grpc-status': '5' } } },
      { ...call, path: '/http/X', expect: { response: { 'grpc-status': '14' } } },
      { ...call, path: '/direct/X', expect: { response: { 'grpc-status': '16' } } },
      { ...call, path: '/none/X', expect: { response: { 'grpc-status': '12' } } },
      {
        ...call,
        path: '/call/X',
        headers: { ...grpc, 'x-echo-cut': '9' },
        expect: { attempts: 1, response: { 'grpc-status': '14' } },
      },
    ],
  },
  {
    name: 'gRPC: retried by its statuses',
    objects: vs(
      `{ retries: { attempts: 2, retryOn: 'unavailable,cancelled,deadline-exceeded,internal,resource-exhausted', backoff: 1ms }, ${toCall} }`,
      'call',
      'call',
    ),
    requests: [
      ...['1', '4', '8', '13', '14'].map((status) => ({
        ...call,
        path: `/a.B/${status}`,
        headers: { ...grpc, 'x-echo-fail': '1', 'x-echo-status': '200', 'x-echo-reply': `{"grpc-status":"${status}"}` },
        // The reply of the next attempt has it too.
        expect: { to: 'call', attempts: 3 },
      })),
      { ...call, path: '/a.B/2', headers: { ...grpc, 'x-echo-reply': '{"grpc-status":"2"}' }, expect: { to: 'call' } },
    ],
  },
  {
    name: 'GRPCRoute: regular expressions, headers, mirror, filters',
    objects: `${grpcRoute(
      `{ matches: [{ method: { type: RegularExpression, service: 'a[.].*', method: 'G.*' } }], backendRefs: [{ name: v2, port: 80 }] },
       { matches: [{ headers: [{ type: RegularExpression, name: v, value: '[0-9]+' }] }], filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-set, value: a }] } }, { type: ResponseHeaderModifier, responseHeaderModifier: { add: [{ name: x-add, value: b }] } }], backendRefs: [{ name: web, port: 80 }] },
       { matches: [{ method: { service: b.C } }], filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: v2, port: 80 } } }], backendRefs: [{ name: web, port: 80, filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-own, value: c }] } }] }] },
       { backendRefs: [{ name: web, port: 80, weight: 0 }] }`,
    )}`,
    requests: [
      { path: '/a.B/Get', method: 'POST', by: 'http2', headers: grpc, expect: { to: 'v2' } },
      {
        path: '/a.B/Put',
        method: 'POST',
        by: 'http2',
        headers: { ...grpc, v: '12' },
        expect: { to: 'web', received: { headers: { 'x-set': 'a' } }, response: { 'x-add': 'b' } },
      },
      {
        path: '/b.C/Put',
        method: 'POST',
        headers: grpc,
        expect: { to: 'web', mirrored: ['v2'], received: { headers: { 'x-own': 'c' } } },
      },
      { path: '/z.Z/Put', method: 'POST', headers: grpc, expect: { response: { 'grpc-status': '14' } } },
    ],
  },
  {
    name: 'WebSocket',
    objects: vs(
      `{ match: [{ uri: { prefix: /socket } }], ${web} }, { match: [{ uri: { prefix: /v2 } }], route: [{ destination: { host: v2 } }] }, { match: [{ uri: { prefix: /direct } }], directResponse: { status: 200 } }`,
    ),
    requests: [
      { ...socket, expect: { status: 101, body: 'word', attempts: 1, response: { upgrade: 'websocket' } } },
      { ...socket, path: '/v2', expect: { status: 101, body: 'word', attempts: 1 } },
      { ...socket, headers: { 'x-echo-status': '403' }, expect: { status: 403, to: 'web' } },
      { ...socket, path: '/direct', expect: {} },
      { ...socket, path: '/other', expect: { status: 404 } },
      { path: '/socket', headers: { connection: 'Upgrade', upgrade: 'other' }, expect: { status: 403 } },
    ],
  },
  {
    name: 'mirror, mirrors, mirrorPercentage',
    objects: vs(
      `{ match: [{ uri: { prefix: /one } }], mirror: { host: v2 }, ${web} }, { match: [{ uri: { prefix: /never } }], mirror: { host: v2 }, mirrorPercentage: { value: 0 }, ${web} },
       { match: [{ uri: { prefix: /two } }], mirrors: [{ destination: { host: v2 } }, { destination: { host: call }, percentage: { value: 100 } }], ${web} },
       { match: [{ uri: { prefix: /gone } }], mirror: { host: gone }, ${web} }, { mirror: { host: v2 }, mirror_percent: 100, ${web} }`,
    ),
    requests: [
      { path: '/one', expect: { to: 'web', mirrored: ['v2'] } },
      {
        path: '/one',
        method: 'POST',
        body: 'copied',
        expect: { to: 'web', mirrored: ['v2'], received: { body: 'copied' } },
      },
      { path: '/one', by: 'http2', method: 'POST', body: 'copied', expect: { to: 'web', mirrored: ['v2'] } },
      { path: '/one', headers: { 'x-forwarded-for': '1.2.3.4' }, expect: { to: 'web', mirrored: ['v2'] } },
      { path: '/never', expect: { to: 'web' } },
      { path: '/two', expect: { to: 'web', mirrored: ['v2', 'call'] } },
      { path: '/gone', expect: { to: 'web' } },
    ],
  },
  {
    name: 'weights and percentages come in their shares',
    objects: vs(
      `{ match: [{ uri: { prefix: /weights } }], route: [{ destination: { host: web }, weight: 25, headers: { response: { set: { x-to: web } } } }, { destination: { host: v2 }, weight: 75 }] },
       { match: [{ uri: { prefix: /abort } }], fault: { abort: { httpStatus: 418, percentage: { value: 50 } } }, ${web} }`,
    ),
    requests: [
      { path: '/weights', expect: {}, shares: { web: 25, v2: 75 } },
      { path: '/abort', expect: {}, shares: { web: 1, '418': 1 } },
    ],
  },
  {
    name: 'HTTPRoute: weights, percentages of mirrors, hostnames, names, regular expressions',
    objects: httpRoute(
      `{ name: split, matches: [{ path: { value: /w } }], backendRefs: [{ name: web, port: 80, weight: 3 }, { name: v2, port: 80, weight: 1 }] },
       { matches: [{ path: { value: /m } }], filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: v2, port: 80 }, percent: 0 } }, { type: RequestMirror, requestMirror: { backendRef: { name: call, port: 9000 }, fraction: { numerator: 1, denominator: 1 } } }], backendRefs: [{ name: web, port: 80 }] },
       { matches: [{ headers: [{ type: RegularExpression, name: x, value: '[0-9]+' }], queryParams: [{ type: RegularExpression, name: q, value: 'a.*' }] }], backendRefs: [{ name: web, port: 80 }] },
       { matches: [{ path: { type: Exact, value: /kind } }], backendRefs: [{ group: networking.istio.io, kind: Hostname, name: v2.shop.svc.cluster.local, port: 80 }] },
       { matches: [{ path: { type: Exact, value: /entry } }], backendRefs: [{ group: networking.istio.io, kind: ServiceEntry, name: none, port: 80 }] },
       { matches: [{ path: { type: Exact, value: /port } }], backendRefs: [{ name: web }] }`,
    ),
    requests: [
      { path: '/w', expect: {}, shares: { web: 3, v2: 1 } },
      { path: '/m', expect: { to: 'web', mirrored: ['call'] } },
      { path: '/x?q=ab', headers: { x: '12' }, expect: { to: 'web' } },
      { path: '/x?q=b', headers: { x: '12' }, expect: { status: 404 } },
      { path: '/kind', expect: { to: 'v2' } },
      { path: '/entry', expect: { status: 500 } },
      { path: '/port', expect: { to: 'web' } },
    ],
  },
  {
    name: 'headers by formats',
    objects: vs(
      `{ name: named, headers: { request: { set: { x-path: '%REQ(:path):3%', x-peer: '%DOWNSTREAM_PEER_URI_SAN%', x-protocol: '%PROTOCOL%', x-none: '%REQ(x-absent)%', x-either: '%REQ(x-absent?x-in)%', x-percent: '100%%', x-local: '%DOWNSTREAM_LOCAL_ADDRESS%' } },
         response: { set: { x-flags: '%RESPONSE_FLAGS%', x-code: '%RESPONSE_CODE%', x-up: '%RESP(x-upstream)%', x-route: '%ROUTE_NAME%', x-cluster: '%UPSTREAM_CLUSTER%', x-year: '%START_TIME(%Y)%', x-attempts: '%UPSTREAM_REQUEST_ATTEMPT_COUNT%', x-details: '%RESPONSE_CODE_DETAILS%' } } }, ${web} }`,
    ),
    requests: [
      {
        path: '/abc',
        headers: { 'x-in': 'value' },
        expect: {
          to: 'web',
          received: { headers: { 'x-path': '/ab', 'x-either': 'value', 'x-percent': '100%' } },
          response: { 'x-up': 'yes', 'x-route': 'named' },
        },
      },
      { path: '/abc', by: 'http2', expect: { to: 'web' } },
    ],
  },
];
