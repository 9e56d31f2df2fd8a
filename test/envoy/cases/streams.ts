/** Connections: tcp and tls of VirtualServices, TCPRoute, TLSRoute. */
import { httpRoute, type RouteCase, destinationRule as rule } from './case.ts';

const vs = (spec: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: raw }
spec: { hosts: [raw], ${spec} }
---`;
const to = (host: string, port = 82) => `route: [{ destination: { host: ${host}, port: { number: ${port} } } }]`;
const pay = 'spiffe://cluster.local/ns/pay/sa/x';
const aged = (yaml: string, second: number) =>
  yaml.replace('metadata: {', `metadata: { creationTimestamp: "2026-01-01T00:00:0${second}Z",`);
/** The same of a namespace that consumes the service. */
const theirs = (yaml: string) => yaml.replace('namespace: shop }', 'namespace: pay }');
const over = { service: 'raw', port: 82, path: '/' } as const;
/** Of a DestinationRule. */
const tunnel = (targetHost: string, protocol = 'CONNECT') =>
  `tunnel: { protocol: ${protocol}, targetHost: '${targetHost}', targetPort: 99 }`;
const toSubset = (host: string, subset: string) =>
  `route: [{ destination: { host: ${host}, subset: ${subset}, port: { number: 80 } } }]`;
/** There is nobody to go to: the tunnel is refused. */
const refused = { ...over, expect: { status: 503, body: 'of CONNECT' } } as const;
const route = (kind: string, rules: string, spec = '') =>
  httpRoute(rules, { kind, name: kind.toLowerCase(), of: 'raw' })
    .replace('spec:', `spec:\n  ${spec}`)
    .replace('hostnames: []', '');

export const streamCases: readonly RouteCase[] = [
  {
    name: 'connections without a route; what the first bytes tell',
    objects: '',
    requests: [
      { ...over, expect: { to: 'raw' } },
      { ...over, port: 84, expect: { to: 'raw' } },
    ],
  },
  {
    name: 'tcp: destinationSubnets, port',
    objects: vs(
      `tcp: [{ match: [{ port: 99 }], ${to('v2', 80)} }, { match: [{ port: 82, destinationSubnets: [10.0.0.0/8, 192.0.2.1, none] }], ${to('web', 80)} }, { ${to('raw')} }]`,
    ),
    requests: [{ ...over, expect: { to: 'web' } }],
  },
  {
    name: 'tcp: weights',
    objects: vs(
      'tcp: [{ route: [{ destination: { host: web, port: { number: 80 } }, weight: 1 }, { destination: { host: v2, port: { number: 80 } }, weight: 3 }, { destination: { host: many, port: { number: 80 } }, weight: 0 }] }]',
    ),
    requests: [{ ...over, expect: {}, shares: { web: 1, v2: 3 } }],
  },
  {
    name: 'tcp: nobody there',
    objects: vs(`tcp: [{ ${to('gone', 1)} }]`),
    requests: [refused],
  },
  {
    name: 'tcp: callers that are not told apart',
    objects: vs(
      `tcp: [{ match: [{ sourceNamespace: shop }], ${to('web', 80)} }, { match: [{ sourceLabels: { a: b } }], ${to('v2', 80)} }]`,
    ),
    requests: [{ ...over, expect: { to: 'web' } }],
  },
  {
    name: 'tls: sniHosts, two matches of one rule',
    objects: vs(
      `tls: [{ match: [{ sniHosts: [a.example, '*.b.example'] }, { sniHosts: [c.example], destinationSubnets: [10.0.0.0/8] }], ${to('raw', 83)} }, { match: [{ port: 83, sniHosts: [d.example] }], ${to('web', 80)} }]`,
    ),
    requests: [{ ...over, expect: { to: 'raw' } }],
  },
  {
    name: 'TCPRoute',
    objects: route(
      'TCPRoute',
      '{ name: first, backendRefs: [{ name: web, port: 80, weight: 0 }, { name: v2, port: 80 }] }',
    ),
    requests: [{ ...over, expect: { to: 'v2' } }],
  },
  {
    name: 'TCPRoute: nobody gets a share',
    objects: route('TCPRoute', '{ backendRefs: [{ name: v2, port: 80, weight: 0 }] }'),
    requests: [refused],
  },
  {
    name: 'TCPRoute older than a VirtualService, and one without an age',
    objects:
      aged(route('TCPRoute', '{ backendRefs: [{ name: v2, port: 80 }] }'), 1) +
      aged(vs(`tcp: [{ ${to('web', 80)} }]`), 2) +
      route('TCPRoute', '{ backendRefs: [{ name: near, port: 80 }] }').replace('name: tcproute', 'name: ageless'),
    requests: [{ ...over, expect: { pod: 'near-a' } }],
  },
  {
    name: 'tcp: idleTimeout of connections',
    objects: rule('trafficPolicy: { connectionPool: { tcp: { idleTimeout: 10s } } }', 'raw'),
    requests: [{ ...over, expect: { to: 'raw' } }],
  },
  {
    name: 'tcp: no port, a rule of the pool that says nothing of connections',
    objects: rule('trafficPolicy: { connectionPool: { http: {} } }', 'raw'),
    requests: [{ ...over, expect: { to: 'raw' } }],
  },
  {
    name: 'tunnel: connections go on through an upstream proxy',
    objects: rule(`trafficPolicy: { ${tunnel('any.tunnelled')} }`, 'raw'),
    requests: [{ ...over, expect: { to: 'raw', attempts: 2 } }],
  },
  {
    name: 'tunnel: by POST, of a subset alone',
    objects:
      rule(
        `subsets: [{ name: posted, labels: { version: v1 }, trafficPolicy: { ${tunnel('any.tunnelled', 'post')} } }], trafficPolicy: { ${tunnel('refused.tunnelled')} }`,
        'v2',
      ) + vs(`tcp: [{ ${toSubset('v2', 'posted')} }]`),
    requests: [{ ...over, expect: { to: 'v2', attempts: 2 } }],
  },
  {
    name: 'tunnel: a subset takes none from the service',
    objects:
      rule(
        `subsets: [{ name: plain, labels: { version: v1 }, trafficPolicy: {} }], trafficPolicy: { ${tunnel('any.tunnelled')} }`,
        'v2',
      ) + vs(`tcp: [{ ${toSubset('v2', 'plain')} }]`),
    requests: [{ ...over, expect: { to: 'v2' } }],
  },
  {
    name: 'tunnel: a subset that is none',
    objects: rule(`trafficPolicy: { ${tunnel('any.tunnelled')} }`, 'v2') + vs(`tcp: [{ ${toSubset('v2', 'none')} }]`),
    requests: [refused],
  },
  {
    name: 'tunnel: refused by the proxy',
    objects: rule(`trafficPolicy: { ${tunnel('refused.tunnelled')} }`, 'raw'),
    requests: [{ ...over, expect: { status: 0, attempts: 1 } }],
  },
  {
    name: 'tunnel: of weighted destinations the first says it, but not of its subset',
    objects:
      rule(
        `subsets: [{ name: v1, labels: { version: v1 }, trafficPolicy: { ${tunnel('refused.tunnelled')} } }], trafficPolicy: { ${tunnel('any.tunnelled')} }`,
        'v2',
      ) +
      rule(`trafficPolicy: { ${tunnel('2001:db8::1')} }`, 'web') +
      vs(
        'tcp: [{ route: [{ destination: { host: v2, subset: v1, port: { number: 80 } }, weight: 1 }, { destination: { host: web, port: { number: 80 } }, weight: 1 }] }]',
      ),
    requests: [{ ...over, expect: {}, shares: { v2: 1, web: 1 } }],
  },
  {
    name: 'tunnel: to an address of IPv6',
    objects: rule(`trafficPolicy: { ${tunnel('2001:db8::1')} }`, 'raw'),
    requests: [{ ...over, expect: { to: 'raw', attempts: 2 } }],
  },
  {
    name: 'TCPRoute and VirtualService: the older first',
    objects:
      aged(route('TCPRoute', '{ backendRefs: [{ name: v2, port: 80 }] }'), 2) +
      aged(vs(`tcp: [{ ${to('web', 80)} }]`), 1) +
      aged(
        route('TCPRoute', '{ backendRefs: [{ name: many, port: 80 }] }').replace('name: tcproute', 'name: third'),
        2,
      ),
    requests: [{ ...over, expect: { to: 'web' } }],
  },
  {
    name: 'TCPRoute beside HTTPRoute and TLSRoute of one namespace: put aside',
    objects:
      route('TCPRoute', '{ backendRefs: [{ name: v2, port: 80 }] }') +
      route('HTTPRoute', '{ backendRefs: [{ name: web, port: 80 }] }') +
      theirs(route('TCPRoute', '{ backendRefs: [{ name: v2, namespace: shop, port: 80 }] }')) +
      theirs(route('HTTPRoute', '{ backendRefs: [{ name: web, namespace: shop, port: 80 }] }')),
    requests: [
      { ...over, expect: { to: 'raw' } },
      { ...over, principal: pay, expect: { to: 'raw' } },
    ],
  },
  {
    name: 'TLSRoute of consumers: what has no such name goes where it was to go',
    objects: theirs(
      route('TLSRoute', '{ backendRefs: [{ name: web, namespace: shop, port: 80 }] }', "hostnames: ['a.example']"),
    ),
    requests: [{ ...over, principal: pay, expect: { to: 'raw' } }],
  },
  {
    name: 'TCPRoute: a backend that is none',
    objects: route('TCPRoute', '{ backendRefs: [{ name: gone, port: 80 }] }'),
    requests: [refused],
  },
  {
    name: 'TLSRoute',
    objects: route('TLSRoute', '{ backendRefs: [{ name: raw, port: 83 }] }', "hostnames: ['a.example', '*.b.example']"),
    requests: [{ ...over, expect: { to: 'raw' } }],
  },
];
