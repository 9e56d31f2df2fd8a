/** Action CUSTOM: service `v2` decides, an echo that answers as the request's headers or the provider's say. */
import { type CaseRequest, meshOf, type RouteCase } from './case.ts';

const service = 'v2.shop.svc.cluster.local';
const grpc = 'call.shop.svc.cluster.local';
const mesh = meshOf(`
extensionProviders:
- name: asked
  envoyExtAuthzHttp: {service: ${service}, port: 80, includeRequestHeadersInCheck: [x-echo-status, X-Seen*, '*-end']}
- name: full
  envoyExtAuthzHttp:
    service: shop/${service}
    port: 80
- name: rich
  envoyExtAuthzHttp:
    service: ${service}
    port: 80
    timeout: 5s
    pathPrefix: /check
    clearRouteCache: true
    includeRequestHeadersInCheck: [x-echo-status]
    includeAdditionalHeadersInCheck: {x-echo-reply: '{"x-user":"alice","x-out":"o","x-why":"w"}', x-b: b}
    headersToUpstreamOnAllow: [X-User]
    headersToDownstreamOnDeny: [x-w*]
    headersToDownstreamOnAllow: ['*-out']
- name: body
  envoyExtAuthzHttp:
    service: ${service}
    port: 80
    includeRequestBodyInCheck: {maxRequestBytes: 4, allowPartialMessage: true}
- {name: whole, envoyExtAuthzHttp: {service: ${service}, port: 80, includeRequestBodyInCheck: {maxRequestBytes: 4}}}
- {name: closed, envoyExtAuthzGrpc: {service: ${grpc}, port: 9000, statusOnError: '503', timeout: 2s}}
- {name: open, envoyExtAuthzGrpc: {service: ${grpc}, port: 9000, failOpen: true, timeout: 2s}}
- {name: packed, envoyExtAuthzGrpc: {service: ${grpc}, port: 9000, includeRequestBodyInCheck: {maxRequestBytes: 9, packAsBytes: true}}}
- {name: nowhere, envoyExtAuthzHttp: {service: no.such.host, port: 80}}
- {name: port, envoyExtAuthzHttp: {service: ${service}, port: 81}}
- {name: status, envoyExtAuthzHttp: {service: ${service}, port: 80, statusOnError: '999'}}
- {name: files, envoyFileAccessLog: {path: /dev/null}}
- {name: twice, envoyExtAuthzHttp: {service: ${service}, port: 80}}
- {name: twice, envoyExtAuthzHttp: {service: ${service}, port: 80, failOpen: true}}
`);

const policy = (provider: string, rules: string, { name = 'custom', target = 'web' } = {}) => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name} }
spec:
  targetRefs: [{ kind: Service, group: '', name: ${target} }]
  action: CUSTOM
  provider: { name: ${provider} }
  rules: [${rules}]
---`;
const guarded = "{ to: [{ operation: { paths: ['/guarded*'] } }] }";
const path = '/guarded?q=1';
const allowed = { path, expect: { to: 'web', mirrored: ['v2'] } } as const satisfies CaseRequest;
const denied = (status: number): CaseRequest => ({
  path,
  headers: { 'x-echo-status': String(status) },
  expect: { status, to: 'v2' },
});
const elsewhere = { path: '/', expect: { to: 'web' } } as const;
const refused = { path, expect: { status: 403, body: 'RBAC: access denied' } } as const;
const nobody = (provider: string): RouteCase => ({
  name: `CUSTOM asks nobody: ${provider}`,
  mesh,
  objects: policy(provider, guarded),
  requests: [elsewhere, refused, { ...refused, by: 'http2' }],
});

const cases: readonly RouteCase[] = [
  {
    name: 'CUSTOM: a service over HTTP decides about what the rules match',
    mesh,
    objects: policy('asked', guarded),
    requests: [
      elsewhere,
      allowed,
      { ...allowed, by: 'http2', headers: { 'x-seen-1': 'a', 'x-unseen': 'b', 'the-end': 'c' } },
      denied(401),
      denied(403),
      { ...denied(302), by: 'http2' },
      { ...elsewhere, headers: { 'x-echo-status': '200' } },
    ],
  },
  {
    name: 'CUSTOM asks nobody: no provider is named',
    mesh,
    objects: policy('asked', guarded).replace(/provider: \{[^}]*\},?/, ''),
    requests: [elsewhere, refused],
  },
  { name: 'CUSTOM: a service named with its namespace', mesh, objects: policy('full', '{}'), requests: [allowed] },
  {
    name: 'CUSTOM: headers to and from the service, and its path',
    mesh,
    objects: policy('rich', guarded),
    requests: [
      {
        path,
        headers: { 'x-user': 'mallory' },
        expect: {
          to: 'web',
          mirrored: ['v2'],
          received: { headers: { 'x-user': 'alice' } },
          response: { 'x-out': 'o' },
        },
      },
      { ...denied(403), expect: { status: 403, to: 'v2', response: { 'x-why': 'w', 'x-user': null } } },
    ],
  },
  {
    name: 'CUSTOM: a body, as far as it is seen',
    mesh,
    objects: policy('body', guarded),
    requests: [{ ...allowed, method: 'POST', body: '1234567' }, { ...allowed, method: 'POST', body: '12' }, allowed],
  },
  {
    name: 'CUSTOM: a body that is too long to be seen',
    mesh,
    objects: policy('whole', guarded),
    requests: [
      { path, method: 'POST', body: '1234567', expect: { status: 413 } },
      { ...allowed, method: 'POST', body: '123' },
    ],
  },
  {
    name: 'CUSTOM over gRPC, which fails: closed',
    mesh,
    objects: policy('closed', guarded),
    requests: [elsewhere, { path, expect: { status: 503, attempts: 1 } }],
  },
  {
    name: 'CUSTOM over gRPC, which fails: open as declared',
    mesh,
    objects: policy('open', guarded),
    requests: [elsewhere, { path, expect: { to: 'web', mirrored: ['call'] } }],
  },
  {
    name: 'CUSTOM over gRPC with a body as bytes',
    mesh,
    objects: policy('packed', guarded),
    requests: [{ path, method: 'POST', body: '123', expect: { status: 403, attempts: 1 } }],
  },
  ...['unknown', 'nowhere', 'port', 'status', 'files', 'twice'].map(nobody),
  {
    name: 'CUSTOM: several providers for one service',
    mesh,
    objects: policy('asked', guarded) + policy('rich', "{ to: [{ operation: { paths: ['/b'] } }] }", { name: 'other' }),
    requests: [elsewhere, refused, { ...refused, path: '/b' }],
  },
  {
    name: 'CUSTOM: DENY and ALLOW decide about what the service allows',
    mesh,
    objects: `${policy('asked', guarded)}
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny }
spec:
  targetRefs: [{ kind: Service, group: '', name: web }]
  action: DENY
  rules: [{ to: [{ operation: { methods: [PUT] } }] }]
---`,
    requests: [
      allowed,
      { ...denied(401), method: 'PUT' },
      { path, method: 'PUT', expect: { status: 403, attempts: 1, body: 'RBAC: access denied' } },
    ],
  },
  {
    name: 'CUSTOM of connections without requests is refused',
    mesh,
    objects: policy('asked', '{ from: [{ source: { namespaces: [pay] } }] }', { target: 'raw' }),
    requests: [
      { service: 'raw', port: 82, path: '/', expect: { to: 'raw' } },
      { service: 'raw', port: 82, path: '/', principal: 'spiffe://cluster.local/ns/pay/sa/x', expect: { status: 0 } },
    ],
  },
  {
    name: 'CUSTOM without a rule asks about nothing',
    mesh,
    objects: policy('asked', ''),
    requests: [{ path, expect: { to: 'web' } }],
  },
];

export const customCases: readonly RouteCase[] = cases.map((one) => ({
  decider: one.name.includes('gRPC') ? 'call' : 'v2',
  ...one,
}));
