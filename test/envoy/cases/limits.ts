/** RateLimitPolicies. Nothing comes back while a case runs. */
import { jwks, token } from '../../../waypoint/testing/tokens.ts';
import { type CaseRequest, httpRoute, ofAllWaypoints, type RouteCase } from './case.ts';

const policy = (limits: string, name = 'limits') => `
apiVersion: policy.aquifer.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: ${name} }
spec: { targetRefs: [{ kind: Service, group: '', name: web }], limits: [${limits}] }
---`;

const ask = (more: Partial<CaseRequest> = {}): CaseRequest => ({ path: '/', expect: { to: 'web' }, ...more });
const over = (more: Partial<CaseRequest> = {}): CaseRequest => ({
  path: '/',
  expect: { status: 429, body: 'local_rate_limited', response: { 'x-ratelimit-remaining': '0' } },
  ...more,
});
const from = (who: string) => ({ headers: { who } });
const bearer = (claims: object) => ({
  headers: { authorization: `Bearer ${token({ iss: 'https://a.test', ...claims })}` },
});

const ofRoute = (name: string, section: string, limit: string) => `
apiVersion: policy.aquifer.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: ${name} }
spec:
  targetRefs: [{ kind: HTTPRoute, group: gateway.networking.k8s.io, name: route${section} }]
  limits: [${limit}]
---`;

/** Whom a service is to count for; nobody of a case does. */
const counted = (name: string, { service, port, failure }: Record<string, string | number>, path: string) => `
apiVersion: policy.aquifer.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: ${name} }
spec:
  targetRefs: [{ kind: Service, group: '', name: web }]
  counter: { service: { name: ${service} }, port: ${port}, failure: ${failure} }
  limits: [{ name: each, match: { paths: [${path}] }, requests: 1, unit: Year }]
---`;
const counters = `
kind: Service
metadata: { name: counters }
spec:
  clusterIP: 10.96.0.201
  selector: { app: nobody }
  ports: [{ name: http2, port: 1 }, { name: http, port: 99 }, ${Array.from({ length: 11 }, (_, i) => `{ name: grpc-${i}, port: ${i + 2} }`).join(', ')}]
---`;

export const limitCases: readonly RouteCase[] = [
  {
    name: 'limits that a service is to count which cannot be asked, closed or declared open',
    objects:
      counters +
      counted('plain', { service: 'counters', port: 99, failure: 'Refuse' }, '/plain') +
      counted('open', { service: 'counters', port: 99, failure: 'Pass' }, '/open') +
      counted('nowhere', { service: 'nowhere', port: 1, failure: 'Refuse' }, '/nowhere') +
      counted('silent', { service: 'counters', port: 1, failure: 'Pass' }, '/silent'),
    requests: [
      { path: '/plain', expect: { status: 403 } },
      { path: '/nowhere', expect: { status: 403 } },
      ask({ path: '/open' }),
      ask({ path: '/silent' }),
      ask(),
    ],
  },
  {
    name: 'more services that count than a route tells apart',
    objects:
      counters +
      Array.from({ length: 12 }, (_, i) =>
        counted(
          `c${String(i).padStart(2, '0')}`,
          { service: 'counters', port: i + 1, failure: i < 11 ? 'Pass' : 'Refuse' },
          `/${i}`,
        ),
      ).join(''),
    requests: [{ path: '/11', expect: { status: 403 } }, ask({ path: '/0' }), ask()],
  },
  {
    name: 'a rate limit for all waypoints, by the root namespace alone',
    objects: ['istio-system', 'pay']
      .map((namespace) =>
        ofAllWaypoints(
          `apiVersion: policy.aquifer.dev/v1alpha1
kind: RateLimitPolicy`,
          `limits: [{ name: all, requests: ${namespace === 'pay' ? 1 : 2}, unit: Day }]`,
          namespace,
        ),
      )
      .join(''),
    requests: [ask(), ask(), over()],
  },
  {
    name: 'a rate limit of an HTTPRoute, and of one rule of it',
    objects:
      httpRoute(
        '{ name: buy, matches: [{ path: { value: /buy } }], backendRefs: [{ name: web, port: 80 }] }, { matches: [{ path: { value: /x } }], backendRefs: [{ name: web, port: 80 }] }',
      ) +
      ofRoute('all', '', '{ name: both, requests: 3, unit: Day }') +
      ofRoute('one', ', sectionName: buy', '{ name: buy, match: { methods: [GET] }, requests: 1, unit: Day }').replace(
        /targetRefs: \[(.*)\]/,
        'targetRef: $1',
      ) +
      ofRoute('none', ', sectionName: nothing', '{ name: nothing, requests: 1, unit: Day }'),
    requests: [
      ask({ path: '/buy' }),
      over({ path: '/buy' }),
      ask({ path: '/x' }),
      // Those that were refused took a token of the slower limit.
      ask({ path: '/x' }),
      over({ path: '/x' }),
    ],
  },
  {
    name: 'a rate limit of a port, and of a port and a route together',
    objects:
      httpRoute('{ backendRefs: [{ name: web, port: 80 }] }') +
      policy('{ name: a, requests: 1, unit: Day }', 'other').replace(
        'name: web }',
        'name: web, sectionName: nothing }',
      ) +
      policy('{ name: a, requests: 2, unit: Day }', 'own').replace(
        'name: web }',
        'name: web }, { kind: HTTPRoute, group: gateway.networking.k8s.io, name: route }',
      ),
    requests: [ask(), ask(), over()],
  },
  {
    name: 'a rate limit for all requests together',
    objects: policy('{ name: all, requests: 2, unit: Day }'),
    requests: [
      ask({ expect: { to: 'web', response: { 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '1' } } }),
      ask(from('a')),
      over(),
      over({ by: 'http2' }),
    ],
  },
  {
    name: 'a rate limit by a header: its values, and those without it together',
    objects: policy('{ name: each, by: [{ type: Header, name: Who }], requests: 1, unit: Day }'),
    requests: [ask(from('a')), over(from('a')), ask(from('b')), ask(), over(), over(from('b'))],
  },
  {
    name: 'a rate limit by two headers',
    objects: policy(
      '{ name: each, by: [{ type: Header, name: who }, { type: Header, name: what }], requests: 1, unit: Day }',
    ),
    requests: [
      ask({ headers: { who: 'a', what: 'x' } }),
      ask({ headers: { who: 'a', what: 'y' } }),
      over({ headers: { who: 'a', what: 'x' } }),
      ask(from('a')),
      ask({ headers: { what: 'x' } }),
      over({ headers: { what: 'x' } }),
      over(from('a')),
    ],
  },
  {
    name: 'rate limits by path and method, with and without a query',
    objects: policy(
      `{ name: reads, match: { methods: [GET], paths: [/a, /b/*] }, requests: 2, unit: Day },
       { name: dots, match: { paths: [/a.b] }, requests: 1, unit: Hour, burst: 1 },
       { name: writes, match: { methods: [PUT, PATCH] }, requests: 1, unit: Day }`,
    ),
    requests: [
      ask({ path: '/a' }),
      ask({ path: '/a?x' }),
      over({ path: '/b/c?x' }),
      over({ path: '/a' }),
      ask({ path: '/a', method: 'POST' }),
      ask({ path: '/ab' }),
      ask({ path: '/b' }),
      ask({ path: '/a.b' }),
      over({ path: '/a.b' }),
      ask({ path: '/axb' }),
      ask({ method: 'PATCH' }),
      over({ method: 'PUT' }),
    ],
  },
  {
    name: 'rate limits by identity and address',
    objects: policy(
      `{ name: caller, by: [{ type: Identity }], requests: 2, unit: Day },
       { name: address, match: { paths: [/x] }, by: [{ type: Address }], requests: 1, unit: Day }`,
    ),
    requests: [ask({ path: '/x' }), over({ path: '/x' }), ask(), over()],
  },
  {
    name: 'a rate limit by claims, nested too',
    objects: `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens }
spec:
  targetRefs: [{ kind: Service, group: '', name: web }]
  jwtRules: [{ issuer: 'https://a.test', jwks: '${jwks()}' }]
---${policy('{ name: each, by: [{ type: Claim, name: sub }, { type: Claim, name: org.id }], requests: 1, unit: Day }')}`,
    requests: [
      ask(bearer({ sub: 'a', org: { id: 'x' } })),
      ask(bearer({ sub: 'a', org: { id: 'y' } })),
      over(bearer({ sub: 'a', org: { id: 'x' } })),
      ask(bearer({ sub: 'b' })),
      over(bearer({ sub: 'b' })),
      ask(),
      over(),
    ],
  },
  {
    name: 'what a policy refuses is not counted; two policies hold both',
    objects: `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no }
spec:
  targetRefs: [{ kind: Service, group: '', name: web }]
  action: DENY
  rules: [{ to: [{ operation: { paths: [/no] } }] }]
---${policy('{ name: all, requests: 3, unit: Day }')}${policy('{ name: some, match: { paths: [/a] }, requests: 1, unit: Day }', 'more')}`,
    requests: [
      ...Array.from({ length: 4 }, () => ({ path: '/no', expect: { status: 403 } })),
      ask({ path: '/a' }),
      over({ path: '/a' }),
      ask({ path: '/b' }),
    ],
  },
];
