/** VirtualServices that leave routes to others: what is merged, and what is left out where the two disagree. */
import { type RouteCase, virtualService as vs } from './case.ts';

const web = 'route: [{ destination: { host: web } }]';
const api = 'route: [{ destination: { host: api.pay.svc.cluster.local } }]';

/** One without hosts, in `pay`. */
const part = (http: string, name = 'part', more = '') => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: pay }
spec: { ${more} http: [${http}] }
---`;
const to = (name = 'part') => `delegate: { name: ${name}, namespace: pay }`;

/** A request that fits what the delegate would serve; where no route is left the service gets all as without a VirtualService. */
const merged = (name: string, root: string, own: string, request: object, isWithin = true): RouteCase => ({
  name: `delegate: ${name}`,
  objects: vs(`{ match: [${root}], ${to()} }`) + part(`{ match: [${own}], ${api} }`),
  requests: [{ path: '/a', ...request, expect: { to: isWithin ? 'api' : 'web' } }],
});

export const delegateCases: readonly RouteCase[] = [
  {
    name: 'delegate: of the own namespace, without matches, with names, mirrors and headers of the root',
    objects: `${vs(
      `{ name: root, match: [{ name: m, uri: { prefix: /a } }], delegate: { name: here }, mirror: { host: v2 }, headers: { request: { set: { x-root: a } } } },
       { match: [{ uri: { prefix: /b } }], ${to()}, mirrors: [{ destination: { host: v2 } }] }, { ${to('all')} }`,
    )}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: here }
spec: { http: [{ name: own, match: [{ name: n, uri: { prefix: /a/x } }], ${web} }, { ${web} }] }
---${part(`{ ${api} }`)}${part(`{ match: [{ uri: { prefix: /c } }], ${api} }`, 'all')}`,
    requests: [
      { path: '/a/x', expect: { to: 'web', mirrored: ['v2'], received: { headers: { 'x-root': 'a' } } } },
      { path: '/a', expect: { to: 'web', mirrored: ['v2'] } },
      { path: '/b', expect: { to: 'api', mirrored: ['v2'] } },
      { path: '/c', expect: { to: 'api' } },
      { path: '/d', expect: { status: 404 } },
    ],
  },
  {
    name: 'delegate: there is none, it has hosts, is not exported, has no routes, no name',
    objects: `${vs(
      `{ match: [{ uri: { prefix: /a } }], ${to('none')} }, { match: [{ uri: { prefix: /b } }], ${to('hosts')} }, { match: [{ uri: { prefix: /c } }], ${to('hidden')} },
       { match: [{ uri: { prefix: /d } }], ${to('empty')} }, { match: [{ uri: { prefix: /e } }], delegate: {} }`,
    )}${part(`{ ${api} }`, 'hosts', 'hosts: [other.example],')}${part(`{ ${api} }`, 'hidden', "exportTo: ['.'],")}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: empty, namespace: pay }
spec: {}
---`,
    requests: ['/a', '/b', '/c', '/d', '/e'].map((path) => ({ path, expect: { to: 'web' } })),
  },
  {
    name: 'a VirtualService without routes',
    objects: vs('').replace('http: []', ''),
    requests: [{ path: '/', expect: { to: 'web' } }],
  },
  {
    name: 'exportTo of VirtualServices, and whose namespace counts',
    objects: `${vs(`{ match: [{ uri: { prefix: /hidden } }], ${api} }`, 'hidden').replace('hosts:', 'exportTo: [pay]\n  hosts:')}
${vs(`{ match: [{ uri: { prefix: /named } }], ${api} }`, 'named').replace('hosts:', "exportTo: [pay, '.']\n  hosts:")}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: foreign, namespace: pay }
spec: { hosts: [web.shop.svc.cluster.local], http: [{ ${api} }] }
---`,
    requests: [
      { path: '/named', expect: { to: 'api' } },
      { path: '/hidden', expect: { status: 404 } },
    ],
  },
  {
    name: 'exportTo by MeshConfig: to nobody else',
    mesh: { virtualServiceExportTo: ['.'], destinationRuleExportTo: ['.'] },
    objects: vs(`{ match: [{ uri: { prefix: /a } }], ${to()} }`) + part(`{ ${api} }`),
    requests: [{ path: '/a', expect: { to: 'web' } }],
  },
  merged('the same prefix', '{ uri: { prefix: /a } }', '{ uri: { prefix: /a } }', {}),
  merged('an exact path under the prefix', '{ uri: { prefix: / } }', '{ uri: { exact: /a } }', {}),
  merged('the same exact path', '{ uri: { exact: /a } }', '{ uri: { exact: /a } }', {}),
  merged('another exact path', '{ uri: { exact: /b } }', '{ uri: { exact: /a } }', {}, false),
  merged('a prefix under an exact path', '{ uri: { exact: /a } }', '{ uri: { prefix: /a } }', {}, false),
  merged('two expressions', "{ uri: { regex: '/a.*' } }", "{ uri: { regex: '/a' } }", {}, false),
  merged('an expression of the delegate', '{ uri: { prefix: /a } }', "{ uri: { regex: '/a' } }", {}, false),
  merged('an expression of the root', "{ uri: { regex: '/a' } }", '{ uri: { prefix: /a } }', {}, false),
  merged('a match that says nothing', '{ uri: {} }', '{ uri: { prefix: /a } }', {}, false),
  merged(
    'headers of both',
    '{ headers: { x-a: { exact: a } }, queryParams: { q: { exact: r } } }',
    '{ headers: { x-b: { exact: b } }, withoutHeaders: { x-c: {} } }',
    { path: '/a?q=r', headers: { 'x-a': 'a', 'x-b': 'b' } },
  ),
  merged(
    'another value of a header',
    '{ headers: { x-a: { exact: a } } }',
    '{ headers: { x-a: { exact: b } } }',
    { headers: { 'x-a': 'b' } },
    false,
  ),
  merged('another case', '{ uri: { prefix: /a } }', '{ uri: { prefix: /a }, ignoreUriCase: true }', {}, false),
  merged('the same port', '{ port: 80 }', '{ port: 80 }', {}),
  merged('another port', '{ port: 81 }', '{ port: 80 }', {}, false),
  merged('the same namespace of callers', '{ sourceNamespace: shop }', '{ sourceNamespace: shop }', {}),
  merged('another namespace of callers', '{ sourceNamespace: pay }', '{ sourceNamespace: shop }', {}, false),
  merged(
    'labels of callers, which no waypoint knows',
    '{ uri: { prefix: /a } }',
    '{ sourceLabels: { a: b } }',
    {},
    false,
  ),
  merged('other labels of callers', '{ sourceLabels: { a: b } }', '{ sourceLabels: { a: c } }', {}, false),
  merged('the same gateways', '{ gateways: [mesh] }', '{ gateways: [mesh] }', {}),
  merged('gateways of the root alone', '{ gateways: [mesh] }', '{ uri: { prefix: /a } }', {}),
  merged('other gateways', '{ gateways: [mesh] }', '{ gateways: [edge, mesh] }', {}, false),
];
