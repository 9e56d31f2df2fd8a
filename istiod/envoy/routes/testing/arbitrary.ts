/** Random routes of both APIs that validation lets pass, for property tests. Every field comes up. */
import fc, { type Arbitrary } from 'fast-check';
import type { KubeObject } from '../../../../common/kube/types.ts';
import { faultOf } from '../../../validation/fault.ts';

/** Names of services in `services` (view.ts), some of which are not there. */
const hosts = ['web', 'v2', 'api.pay.svc.cluster.local', 'gone'];

/** Fields that may be there. */
function maybe(values: Readonly<Record<string, Arbitrary<unknown>>>, required: readonly string[] = []) {
  return fc.record({ ...values }, { requiredKeys: [...required] }) as Arbitrary<Readonly<Record<string, unknown>>>;
}
const word = fc.constantFrom('a', 'b', 'abc', 'x-y', 'Z9');
const header = fc.constantFrom('x-a', 'X-B', 'cookie', 'user-agent');
const path = fc.constantFrom('/', '/a', '/a/', '/a/b', '/A', '/a.b', '/a%20b', '/x-y/z');
const regex = fc.constantFrom('/a.*', '.*', '/[ab]/\\d+', '(?i)/a', '/a/(.*)', 'a|b');
const text = fc.constantFrom(
  '1',
  'text with blanks',
  '%REQ(x-a)%',
  '100%%',
  'ü',
  '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
);
const plain = fc.constantFrom('1', '100%', '%REQ(x)%', 'a-b');
const duration = fc.constantFrom('1ms', '250ms', '1s', '1m30s', '2h');
const percent = fc.constantFrom(0, 0.0001, 0.5, 1, 33.333, 100).map((value) => ({ value }));
const map = <T>(key: Arbitrary<string>, value: Arbitrary<T>) => fc.dictionary(key, value, { maxKeys: 3 });
const few = <T>(of: Arbitrary<T>, minLength = 0) => fc.array(of, { minLength, maxLength: 3 });

const stringMatch = fc.oneof(
  fc.record({ exact: word }),
  fc.record({ prefix: word }),
  fc.record({ regex }),
  fc.constant({ regex: '*' }),
);
const uri = fc.oneof(fc.record({ exact: path }), fc.record({ prefix: path }), fc.record({ regex }));
const headerMatch = fc.oneof(stringMatch, fc.constant({}));
const source = {
  gateways: fc.constantFrom(['mesh'], ['edge'], ['mesh', 'shop/edge']),
  sourceLabels: map(word, word),
  sourceNamespace: fc.constantFrom('shop', 'pay'),
  port: fc.constantFrom(80, 81),
};
const httpMatch = maybe({
  name: word,
  uri,
  scheme: stringMatch,
  method: stringMatch,
  authority: stringMatch,
  headers: map(fc.oneof(header, fc.constantFrom('@request.auth.claims.a.b', '@request.auth.claims[c]')), headerMatch),
  withoutHeaders: map(fc.oneof(header, fc.constant('@request.auth.claims.a')), headerMatch),
  queryParams: map(word, stringMatch),
  ignoreUriCase: fc.boolean(),
  statPrefix: word,
  ...source,
});

const changes = maybe({ set: map(header, text), add: map(header, text), remove: few(header) });
const headers = maybe({ request: changes, response: changes });
const destination = maybe(
  { host: fc.constantFrom(...hosts), subset: word, port: fc.constantFrom({ number: 80 }, { number: 81 }) },
  ['host'],
);
const targets = few(maybe({ destination, weight: fc.integer({ min: 0, max: 100 }), headers }, ['destination']), 1);

const shared = {
  name: word,
  match: few(httpMatch),
  headers,
  corsPolicy: maybe({
    allowOrigins: few(fc.oneof(fc.record({ exact: word }), fc.record({ prefix: word }), fc.record({ regex }))),
    allowMethods: few(fc.constantFrom('GET', 'PUT')),
    allowHeaders: few(header),
    exposeHeaders: few(header),
    maxAge: duration,
    allowCredentials: fc.boolean(),
    unmatchedPreflights: fc.constantFrom('UNSPECIFIED', 'FORWARD', 'IGNORE'),
  }),
};
const forward = maybe(
  {
    ...shared,
    route: targets,
    timeout: duration,
    rewrite: fc.oneof(
      maybe({ uri: path, authority: word }),
      fc.record({ uriRegexRewrite: fc.record({ match: regex, rewrite: fc.constantFrom('/x', '/\\0') }) }),
    ),
    retries: maybe({
      attempts: fc.integer({ min: 1, max: 5 }),
      perTryTimeout: duration,
      retryOn: fc.constantFrom('5xx', 'gateway-error,reset', '503,429', 'retriable-4xx, 500'),
      retryRemoteLocalities: fc.boolean(),
      retryIgnorePreviousHosts: fc.boolean(),
      backoff: duration,
    }),
    fault: maybe({
      delay: fc.record({ fixedDelay: duration, percentage: percent }),
      abort: fc.oneof(
        fc.record({ httpStatus: fc.constantFrom(200, 418, 503), percentage: percent }),
        fc.record({ grpcStatus: fc.constantFrom('OK', 'UNAVAILABLE'), percentage: percent }),
      ),
    }),
    mirror: destination,
    mirrorPercentage: percent,
  },
  ['route'],
);
const mirrored = maybe(
  {
    ...shared,
    route: targets,
    mirrors: few(maybe({ destination, percentage: percent }, ['destination'])),
  },
  ['route'],
);
const redirect = maybe(
  {
    ...shared,
    redirect: maybe({
      uri: path,
      authority: word,
      scheme: fc.constantFrom('http', 'https'),
      port: fc.constantFrom(80, 443, 8080),
      redirectCode: fc.constantFrom(301, 302, 303, 307, 308),
    }),
  },
  ['redirect'],
);
const direct = maybe(
  {
    ...shared,
    directResponse: maybe(
      {
        status: fc.constantFrom(200, 404, 503),
        body: fc.oneof(fc.record({ string: word }), fc.constant({ bytes: 'AAEC' })),
      },
      ['status'],
    ),
  },
  ['directResponse'],
);

const object = (apiVersion: string, kind: string, name: string, created: number, spec: unknown): KubeObject => ({
  apiVersion,
  kind,
  metadata: {
    name,
    namespace: 'shop',
    uid: name,
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: new Date(created * 1000).toISOString(),
  },
  spec,
});

/** One that has web.shop among its hosts. */
const virtualServices = fc
  .tuple(few(fc.oneof(forward, mirrored, redirect, direct), 1), fc.nat(9), word)
  .map(([http, created, name]) =>
    object('networking.istio.io/v1', 'VirtualService', `vs-${name.toLowerCase()}`, created, { hosts: ['web'], http }),
  );

const typed = (type: string, field: string, value: Arbitrary<unknown>) =>
  value.map((held) => ({ type, [field]: held }) as Readonly<Record<string, unknown>>);
const named = few(fc.record({ name: header, value: plain }));
const modifier = maybe({ set: named, add: named, remove: few(header) });
const backend = maybe(
  {
    name: fc.constantFrom('web', 'v2', 'gone'),
    port: fc.constantFrom(80, 81),
    weight: fc.integer({ min: 0, max: 10 }),
  },
  ['name', 'port'],
);
const replacement = fc.oneof(
  path.map((p) => ({ type: 'ReplaceFullPath', replaceFullPath: p })),
  path.map((p) => ({ type: 'ReplacePrefixMatch', replacePrefixMatch: p })),
);
const common = [
  typed('RequestHeaderModifier', 'requestHeaderModifier', modifier),
  typed('ResponseHeaderModifier', 'responseHeaderModifier', modifier),
  typed(
    'RequestMirror',
    'requestMirror',
    fc.oneof(
      fc.record({ backendRef: backend }),
      fc.record({ backendRef: backend, percent: fc.integer({ min: 0, max: 100 }) }),
      fc.record({ backendRef: backend, fraction: fc.constantFrom({ numerator: 1, denominator: 3 }, { numerator: 7 }) }),
    ),
  ),
  typed('ExtensionRef', 'extensionRef', fc.constant({ group: 'g', kind: 'K', name: 'n' })),
];
const http = [
  ...common,
  typed(
    'RequestRedirect',
    'requestRedirect',
    maybe({
      scheme: fc.constantFrom('http', 'https'),
      hostname: fc.constant('example.com'),
      port: fc.constantFrom(80, 443, 8080),
      statusCode: fc.constantFrom(301, 302, 303, 307, 308),
      path: replacement,
    }),
  ),
  typed('URLRewrite', 'urlRewrite', maybe({ hostname: fc.constant('example.com'), path: replacement })),
  typed(
    'CORS',
    'cors',
    maybe({
      allowOrigins: fc.constantFrom(['*'], ['https://*.a.com', 'http://b.com:80'], ['https://*']),
      allowMethods: fc.constantFrom(['*'], ['GET', 'PUT']),
      allowHeaders: fc.constantFrom(['*'], ['x-a']),
      exposeHeaders: few(header),
      allowCredentials: fc.boolean(),
      maxAge: fc.integer({ min: 1, max: 100 }),
    }),
  ),
];
const filters = (of: readonly Arbitrary<Readonly<Record<string, unknown>>>[]) =>
  fc.uniqueArray(fc.oneof(...of), { maxLength: 3, selector: (f) => f['type'] });
const withFilters = (of: readonly Arbitrary<Readonly<Record<string, unknown>>>[]) =>
  fc
    .tuple(backend, fc.option(filters(of), { nil: undefined }))
    .map(([ref, own]) => (own === undefined ? ref : { ...ref, filters: own }));
const valueMatch = (name: Arbitrary<string>) =>
  maybe({ name, value: word, type: fc.constantFrom('Exact', 'RegularExpression') }, ['name', 'value']);
const unique = (name: Arbitrary<string>) =>
  fc.uniqueArray(valueMatch(name), { maxLength: 2, selector: (m) => (m as { readonly name: string }).name });

const httpRule = maybe({
  name: fc.constantFrom('one', 'two'),
  matches: few(
    maybe({
      path: fc.oneof(
        path.map((value) => ({ type: 'Exact', value })),
        path.map((value) => ({ type: 'PathPrefix', value })),
        regex.map((value) => ({ type: 'RegularExpression', value })),
      ),
      headers: unique(header),
      queryParams: unique(word),
      method: fc.constantFrom('GET', 'POST'),
    }),
  ),
  filters: filters(http),
  backendRefs: few(withFilters(http)),
  timeouts: fc.constantFrom({ request: '1s' }, { request: '2s', backendRequest: '500ms' }, { request: '0s' }),
  retry: maybe({
    codes: few(fc.constantFrom(500, 503)),
    attempts: fc.integer({ min: 1, max: 4 }),
    backoff: fc.constantFrom('100ms', '1s'),
  }),
});
const grpcRule = maybe({
  name: fc.constantFrom('one', 'two'),
  matches: few(
    maybe({
      method: maybe({
        type: fc.constantFrom('Exact', 'RegularExpression'),
        service: fc.constantFrom('a.B', 'C'),
        method: fc.constantFrom('Get', 'Put'),
      }),
      headers: unique(header),
    }),
  ),
  filters: filters(common),
  backendRefs: few(withFilters(common)),
});

const gatewayRoutes = (kind: 'HTTPRoute' | 'GRPCRoute', rule: Arbitrary<unknown>) =>
  fc.tuple(few(rule, 1), fc.nat(9), word, fc.constantFrom('shop', 'pay')).map(([rules, created, name, namespace]) => {
    const parentRefs = [{ group: '', kind: 'Service', name: 'web', namespace: 'shop' }];
    const made = object('gateway.networking.k8s.io/v1', kind, `r-${name.toLowerCase()}`, created, {
      parentRefs,
      rules,
    });
    return { ...made, metadata: { ...made.metadata, namespace } };
  });

const valid = (o: KubeObject) => faultOf(o) === undefined;

/** Up to three objects that say where requests for web.shop go. */
export const routeObjects: Arbitrary<readonly KubeObject[]> = fc.uniqueArray(
  fc
    .oneof(
      { arbitrary: virtualServices, weight: 3 },
      { arbitrary: gatewayRoutes('HTTPRoute', httpRule), weight: 3 },
      { arbitrary: gatewayRoutes('GRPCRoute', grpcRule), weight: 1 },
    )
    .filter(valid),
  { minLength: 1, maxLength: 3, selector: (o) => `${o.kind}/${o.metadata.namespace}/${o.metadata.name}` },
);
