/** Tries that fail: on what another one is made, how many, where. */
import { httpRoute, type RouteCase, destinationRule as rule, virtualService as vs } from './case.ts';

const one = (retries: string, more = '') =>
  vs(`{ retries: ${retries}, ${more} route: [{ destination: { host: web } }] }`);
const on = (retryOn: string, ...requests: RouteCase['requests']): RouteCase => ({
  name: `retries on ${retryOn}`,
  objects: one(`{ attempts: 2, retryOn: '${retryOn}', backoff: 1ms }`),
  requests,
});
const failing = (status: number, attempts: number, by: 'http1' | 'http2' = 'http1') =>
  ({
    path: '/',
    by,
    headers: { 'x-echo-fail': '1', 'x-echo-status': String(status) },
    expect: { to: 'web', attempts, ...(attempts === 1 && { status }) },
  }) as const;
const cut = (attempts: number, by: 'http1' | 'http2' = 'http1') =>
  ({
    path: '/',
    by,
    headers: { 'x-echo-cut': '1' },
    expect: attempts === 1 ? { status: 503, attempts } : { to: 'web', attempts },
  }) as const;

const budget = (of: string, constraint: string | undefined) => `
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: { name: ${of} }
spec: { targetRefs: [{ group: '', kind: Service, name: ${of} }]${constraint === undefined ? '' : `, retryConstraint: { ${constraint} }`} }
---`;

export const retryCases: readonly RouteCase[] = [
  on('5xx', failing(500, 2), failing(503, 2, 'http2'), failing(404, 1), cut(2), cut(2, 'http2')),
  on('gateway-error', failing(502, 2), failing(503, 2), failing(504, 2), failing(500, 1), cut(2)),
  on('reset', failing(503, 1), cut(2), cut(2, 'http2')),
  on('retriable-4xx', failing(409, 2), failing(404, 1), cut(1)),
  on('connect-failure,refused-stream', failing(503, 1), cut(1)),
  on('418,500', failing(418, 2), failing(500, 2), failing(503, 1)),
  {
    name: 'retries unless turned off, of what did no harm',
    objects: vs('{ route: [{ destination: { host: web } }] }'),
    // Of requests that a host had, only those that were refused.
    requests: [failing(503, 1), failing(500, 1), cut(1)],
  },
  {
    name: 'retries: perTryTimeout, and the timeout of all of them',
    objects: vs(
      `{ match: [{ uri: { prefix: /try } }], retries: { attempts: 2, perTryTimeout: 50ms, retryOn: 5xx, backoff: 1ms }, route: [{ destination: { host: web } }] },
       { timeout: 120ms, retries: { attempts: 9, perTryTimeout: 50ms, retryOn: reset, backoff: 1ms }, route: [{ destination: { host: web } }] }`,
    ),
    requests: [
      { path: '/try', headers: { 'x-echo-hang': '1' }, expect: { to: 'web', attempts: 2 } },
      { path: '/try', headers: { 'x-echo-hang': '9' }, by: 'http2', expect: { status: 504, attempts: 3 } },
      {
        path: '/try',
        method: 'POST',
        body: 'again',
        headers: { 'x-echo-fail': '1' },
        expect: { to: 'web', attempts: 2, received: { body: 'again' } },
      },
    ],
  },
  {
    name: 'retries: other hosts first, also far ones',
    objects: vs(
      '{ retries: { attempts: 2, retryOn: 5xx, retryIgnorePreviousHosts: true, retryRemoteLocalities: true, backoff: 1ms }, route: [{ destination: { host: many } }] }',
      'many',
      'many',
    ),
    requests: [{ service: 'many', path: '/', headers: { 'x-echo-fail': '9' }, expect: {}, shares: { '503': 1 } }],
  },
  {
    name: 'retryBudget: so many at a time',
    objects:
      rule('trafficPolicy: { retryBudget: { percent: 20, minRetryConcurrency: 1 } }') +
      one('{ attempts: 3, retryOn: 5xx, backoff: 1ms }'),
    requests: [{ path: '/', headers: { 'x-echo-fail': '2' }, expect: { to: 'web', attempts: 3 } }],
  },
  {
    name: 'XBackendTrafficPolicy: a budget for services whose rules say none',
    objects:
      budget('web', '') +
      budget('v2', 'budget: { percent: 0, interval: 10s }, minRetryRate: { count: 1, interval: 1s }') +
      budget('many', '') +
      budget('near', undefined) +
      rule('trafficPolicy: { retryBudget: { minRetryConcurrency: 2 } }, subsets: []') +
      one('{ attempts: 3, retryOn: 5xx, backoff: 1ms }'),
    requests: [
      { path: '/', headers: { 'x-echo-fail': '2' }, expect: { to: 'web', attempts: 3 } },
      { service: 'v2', path: '/', expect: { to: 'v2' } },
    ],
  },
  {
    name: 'maxRetries: none beyond',
    objects:
      rule('trafficPolicy: { connectionPool: { http: { maxRetries: 1 } } }') +
      one('{ attempts: 3, retryOn: 5xx, backoff: 1ms }'),
    requests: [{ path: '/', headers: { 'x-echo-fail': '2' }, expect: { to: 'web', attempts: 3 } }],
  },
  {
    name: 'HTTPRoute: timeouts without retries, retries without codes',
    objects: httpRoute(
      `{ matches: [{ path: { value: /both } }], timeouts: { request: 2s, backendRequest: 300ms }, backendRefs: [{ name: web, port: 80 }] },
       { matches: [{ path: { value: /only } }], timeouts: { backendRequest: 50ms }, retry: {}, backendRefs: [{ name: web, port: 80 }] },
       { matches: [{ path: { value: /none } }], timeouts: { request: 0s }, backendRefs: [{ name: web, port: 80 }] }`,
    ),
    requests: [
      { path: '/both', headers: { 'x-echo-hang': '9' }, expect: { status: 504, attempts: 1 } },
      { path: '/none', expect: { to: 'web' } },
    ],
  },
];
