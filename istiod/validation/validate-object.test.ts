import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { kindName } from '../../common/kube/names.ts';
import { customKinds, findKind } from '../../common/kube/schema/table.ts';
import { formatPath } from '../../common/kube/schema/validate.ts';
import type { Finding } from './finding.ts';
import { examples } from './testing/examples.ts';
import { mutate, mutations } from './testing/mutants.ts';
import { validateObject } from './validate-object.ts';

const said = (findings: readonly Finding[] | undefined) =>
  (findings ?? []).map(
    (f) => `${f.level} ${formatPath(f.path)}: ${f.reason}${f.remedy === undefined ? '' : `; ${f.remedy}`}`,
  );

test('each kind has an example, and nothing is wrong with it', () => {
  const kinds = examples.map((e) => kindName(findKind(e.apiVersion, e.kind)!.kind));
  assert.deepEqual([...kinds].sort(), customKinds.map((c) => kindName(c.kind)).sort());
  for (const example of examples) assert.deepEqual(said(validateObject(example)), [], example.kind);
});

/** One mistake each, as a change of the example: kind, field, value, what is said. */
const mistakes: readonly (readonly [kind: string, path: string, value: unknown, expected: RegExp])[] = [
  ['ServiceEntry', 'spec.hosts[0]', '*', /^error spec\.hosts\[0\]: a service is not the whole world/],
  ['ServiceEntry', 'spec.hosts[0]', 'a_b', /^error spec\.hosts\[0\]: "a_b" is no DNS name/],
  ['ServiceEntry', 'spec.addresses[0]', '300.1.1.1', /^error spec\.addresses\[0\]: "300.1.1.1" is no address/],
  ['ServiceEntry', 'spec.resolution', 'DNS', /^error spec: an address may be a CIDR only with/],
  ['ServiceEntry', 'spec.resolution', 'NONE', /^error spec: with resolution NONE/],
  ['ServiceEntry', 'spec.ports[1].number', 443, /^error spec\.ports: two ports have the same number/],
  ['ServiceEntry', 'spec.ports[1].name', 'tls', /^error spec\.ports\[1\]: another item has the same name/],
  ['ServiceEntry', 'spec.ports[0].protocol', 'SMTP', /^error spec\.ports\[0\]\.protocol: "SMTP" is no protocol/],
  [
    'ServiceEntry',
    'spec.endpoints[0].ports',
    { other: 1 },
    /^error spec\.endpoints\[0\]\.ports\.other: the service has no port "other"/,
  ],
  [
    'ServiceEntry',
    'spec.endpoints[0].address',
    'a.example.com',
    /^error spec\.endpoints\[0\]\.address: .*names need resolution: DNS/,
  ],
  [
    'ServiceEntry',
    'spec.endpoints[0].address',
    'unix://tmp/x',
    /^error spec\.endpoints\[0\]\.address: after unix:\/\//,
  ],
  [
    'ServiceEntry',
    'spec.workloadSelector',
    { labels: { app: 'a' } },
    /^error spec: endpoints come from workloadSelector or are listed/,
  ],
  ['ServiceEntry', 'spec.exportTo', ['*', 'a'], /^error spec\.exportTo: "\*" shows it to all/],
  ['WorkloadEntry', 'spec', { labels: {} }, /^error spec: an address or a network is expected/],
  ['WorkloadEntry', 'spec.ports', { http: 70_000 }, /^error spec\.ports\.http: 70000 is out of range/],
  ['WorkloadGroup', 'spec.probe.exec', { command: ['a'] }, /^error spec\.probe: httpGet and exec exclude each other/],
  [
    'AuthorizationPolicy',
    'spec.targetRefs',
    [{ kind: 'Service', name: 'web' }],
    /^error spec: selector and targetRefs exclude/,
  ],
  [
    'AuthorizationPolicy',
    'spec.rules[0].from[0].source.ipBlocks[0]',
    '10.0.0.0/33',
    /^error spec\.rules\[0\]\.from\[0\]\.source\.ipBlocks\[0\]: "10\.0\.0\.0\/33"/,
  ],
  [
    'AuthorizationPolicy',
    'spec.rules[0].from[0].source.principals[0]',
    'a*b',
    /principals\[0\]: "a\*b" has "\*" where it is no wildcard/,
  ],
  [
    'AuthorizationPolicy',
    'spec.rules[0].from[0].source.serviceAccounts',
    ['a'],
    /^error spec\.rules\[0\]\.from\[0\]\.source: service accounts name a namespace/,
  ],
  ['AuthorizationPolicy', 'spec.rules[0].from', [], /^error spec\.rules\[0\]\.from: an empty list matches nobody/],
  ['AuthorizationPolicy', 'spec.rules[0].to[0].operation', {}, /operation: says nothing/],
  [
    'AuthorizationPolicy',
    'spec.rules[0].to[0].operation.paths[0]',
    '/a/{**}/{*}',
    /paths\[0\]: "\/a\/\{\*\*\}\/\{\*\}" has \{\*\} after/,
  ],
  ['AuthorizationPolicy', 'spec.rules[0].to[0].operation.paths[0]', '/a/b{*}', /paths\[0\]: the segment "b\{\*\}"/],
  ['AuthorizationPolicy', 'spec.rules[0].to[0].operation.ports[0]', '0', /ports\[0\]: "0" is no port/],
  [
    'AuthorizationPolicy',
    'spec.rules[0].when[0].key',
    'request.header[a]',
    /when\[0\]\.key: "request\.header\[a\]" is no attribute/,
  ],
  ['AuthorizationPolicy', 'spec.rules[0].when[0].values', [], /when\[0\]: values or notValues is expected/],
  ['AuthorizationPolicy', 'spec.action', 'CUSTOM', /^error spec\.provider\.name: action CUSTOM needs the provider/],
  ['AuthorizationPolicy', 'spec.rules', [], /^warning spec\.rules: an ALLOW policy without rules denies/],
  ['AuthorizationPolicy', 'spec.selector.matchLabels', {}, /^warning spec\.selector: the selector has no labels/],
  [
    'AuthorizationPolicy',
    'spec.selector.matchLabels',
    { app: 'w*' },
    /^error spec\.selector\.matchLabels\.app: a label value is matched as it is/,
  ],
  ['RateLimitPolicy', 'spec.targetRefs', undefined, /^error spec\.targetRefs: names nothing/],
  [
    'RateLimitPolicy',
    'spec.limits[0].by[0].name',
    'a b',
    /^error spec\.limits\[0\]\.by\[0\]\.name: "a b" is no name of a header/,
  ],
  ['RateLimitPolicy', 'spec.limits[0].by[1].name', undefined, /by\[1\]: Header and Claim need a name/],
  ['RateLimitPolicy', 'spec.limits[0].match.paths[0]', 'cart', /paths\[0\]: "cart" does not fit: expected a path/],
  ['RateLimitPolicy', 'spec.limits[0].requests', 0, /requests/],
  ['RateLimitPolicy', 'spec.limits[0].unit', 'Month', /limits by Month and Year need a counter/],
  ['RateLimitPolicy', 'spec.counter', { service: { name: 'counter' }, port: 0 }, /counter\.port/],
  ['PeerAuthentication', 'spec.portLevelMtls', { http: {} }, /^error spec\.portLevelMtls/],
  ['PeerAuthentication', 'spec.selector', undefined, /^error spec: ports differ from workload to workload/],
  [
    'RequestAuthentication',
    'spec.jwtRules[0].jwksUri',
    'ftp://a',
    /^error spec\.jwtRules\[0\]\.jwksUri: expected a URL/,
  ],
  [
    'RequestAuthentication',
    'spec.jwtRules[0].jwksUri',
    'http://a.example.com',
    /^warning spec\.jwtRules\[0\]\.jwksUri: keys that come in plain text/,
  ],
  [
    'RequestAuthentication',
    'spec.jwtRules[0]',
    { jwks: '{"keys":[{"kty":"EC","d":"a"}]}' },
    /^warning spec\.jwtRules\[0\]\.jwks: key 0 has private parts/,
  ],
  [
    'DestinationRule',
    'spec.trafficPolicy.connectionPool.tcp.connectTimeout',
    '0s',
    /connectTimeout: expected a duration of at least 1ms/,
  ],
  [
    'DestinationRule',
    'spec.trafficPolicy.connectionPool.tcp.idleTimeout',
    'soon',
    /idleTimeout: "soon" is no duration/,
  ],
  [
    'DestinationRule',
    'spec.trafficPolicy.loadBalancer.simple',
    'RANDOM',
    /loadBalancer: simple and consistentHash exclude/,
  ],
  [
    'DestinationRule',
    'spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to',
    { a: 50 },
    /to: the shares add up to 50/,
  ],
  ['DestinationRule', 'spec.trafficPolicy.loadBalancer.consistentHash.ringHash', undefined, /^$/],
  ['DestinationRule', 'spec.trafficPolicy.tls.privateKey', undefined, /tls: mode MUTUAL needs the key/],
  ['DestinationRule', 'spec.subsets[0].name', 'v 1', /subsets\[0\]\.name: "v 1" is no name/],
  [
    'DestinationRule',
    'spec.trafficPolicy.outlierDetection.consecutiveErrors',
    3,
    /^warning .*consecutiveErrors: is not read/,
  ],
  ['VirtualService', 'spec.gateways', [], /^$/],
  ['VirtualService', 'spec.hosts[0]', '*', /^error spec\.hosts\[0\]: "\*" cannot be the host of all workloads/],
  [
    'VirtualService',
    'spec.http[0].match[0].headers.x-user.regex',
    '(?=a)',
    /headers\.x-user\.regex: "\(\?=a\)" is no regular expression of RE2/,
  ],
  [
    'VirtualService',
    'spec.http[0].match[0].uri',
    { prefix: '/a', exact: '/b' },
    /uri: exact and prefix exclude each other/,
  ],
  ['VirtualService', 'spec.http[0].route[0].weight', -1, /weight: -1 is less than nothing/],
  ['VirtualService', 'spec.http[0].redirect', { uri: '/' }, /http\[0\]: route and redirect exclude each other/],
  ['VirtualService', 'spec.http[0].route[0].destination.port.number', 0, /number: 0 is no port/],
  ['VirtualService', 'spec.http[0].match', [{ uri: { prefix: '/' } }], /^warning spec\.http\[1\]: is never reached/],
  ['VirtualService', 'spec.http[1].redirect.redirectCode', 200, /redirectCode: 200 is no redirect/],
  ['VirtualService', 'spec.http[0].fault.abort.httpStatus', 700, /httpStatus: 700 is no status/],
  [
    'VirtualService',
    'spec.tls[0].match[0].sniHosts[0]',
    'b.org',
    /sniHosts\[0\]: "b\.org" is within none of the hosts/,
  ],
  [
    'VirtualService',
    'spec.http[0].retries.retryOn',
    '5xx, sometimes',
    /retryOn: "sometimes" is no condition of retries/,
  ],
  ['VirtualService', 'spec.http[0].rewrite.uri', 'a\nb', /rewrite\.uri: a value has no line breaks/],
  [
    'VirtualService',
    'spec.http[0].route[0].headers.request.set',
    { 'x-a': '100%' },
    /set\.x-a: "%" is no command of the proxy/,
  ],
  ['VirtualService', 'spec.http[0].route[0].headers.request.set', { 'x-a': '%REQ(a):3%, %% %PROTOCOL%' }, /^$/],
  ['VirtualService', 'spec.http[0].route[0].weight', 2_147_483_647, /^$/],
  ['VirtualService', 'spec.http[0].timeout', '5', /timeout: (rule evaluation error|expected a duration)/],
  ['VirtualService', 'spec.hosts', [], /^error spec\.gateways: without hosts this is a delegate/],
  ['VirtualService', 'spec.http[0].route[0].headers.request.remove', ['host'], /remove\[0\]: a request has one host/],
  ['EnvoyFilter', 'spec.configPatches[0].match.context', 'WAYPOINT', /match: waypoint is for the context WAYPOINT/],
  ['Telemetry', 'spec.tracing[0].randomSamplingPercentage', 101, /randomSamplingPercentage: 101 is out of range/],
  ['WasmPlugin', 'spec.url', 'ftp://a', /^error spec\.url: expected http/],
  [
    'HTTPRoute',
    'spec.rules[0].matches[0].path',
    { type: 'RegularExpression', value: '(' },
    /path\.value: "\(" is no regular expression/,
  ],
  ['HTTPRoute', 'spec.rules[0].matches[0].path.value', 'api', /path: a path begins with/],
  ['HTTPRoute', 'spec.rules[0].backendRefs[0].port', undefined, /backendRefs\[0\]: a Service needs a port/],
  ['HTTPRoute', 'spec.rules[0].filters[0].cors', {}, /filters\[0\]: cors is for type CORS/],
  ['HTTPRoute', 'spec.rules[0].timeouts.backendRequest', '20s', /timeouts: a try cannot take longer/],
  ['HTTPRoute', 'spec.parentRefs[1]', { name: 'front', namespace: 'infra' }, /parentRefs: a parent is named twice/],
  ['TLSRoute', 'spec.hostnames[0]', '10.0.0.1', /hostnames: clients never ask for an IP/],
  ['BackendTLSPolicy', 'spec.validation.wellKnownCACertificates', 'System', /validation: authorities are listed/],
];

for (const [kind, path, value, expected] of mistakes) {
  test(`${kind}: ${path} = ${JSON.stringify(value)}`, () => {
    const found = said(validateObject(withField(exampleOf(kind), path, value)));
    if (expected.source === '^$') assert.deepEqual(found, []);
    else
      assert.ok(
        found.some((line) => expected.test(line)),
        `not said: ${found.join('\n') || 'nothing'}`,
      );
  });
}

test('Istio Gateway', () => {
  const gateway = examples.find((e) => e.kind === 'Gateway' && e.apiVersion.startsWith('networking.istio.io'));
  const wrong = (path: string, value: unknown) => said(validateObject(withField(gateway, path, value))).join('\n');
  assert.match(wrong('spec.servers[0].tls', undefined), /servers\[0\]: protocol HTTPS needs tls/);
  assert.match(wrong('spec.servers[0].tls.credentialName', undefined), /servers\[0\]\.tls: a certificate is expected/);
  assert.match(wrong('spec.servers[1].tls.mode', 'SIMPLE'), /servers\[1\]\.tls: protocol HTTP has no TLS/);
  assert.match(wrong('spec.servers[1].port.name', 'https'), /port\.name: "https" is the name of another port/);
  assert.match(wrong('spec.servers[0].hosts[0]', 'a/b/c'), /hosts\[0\]: "a\/b\/c" is no host/);
  assert.match(wrong('spec.servers', []), /spec\.servers: a gateway serves something/);
});

test('objects of others are none of its business; unknown kinds of its groups are', () => {
  const object = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'a' } };
  assert.equal(validateObject(object), undefined);
  assert.match(
    said(validateObject({ ...object, apiVersion: 'networking.istio.io/v1' })).join(),
    /kind: "Widget" of networking/,
  );
  assert.match(said(validateObject([])).join(), /expected an object/);
});

test('a rule about a change sees what was there before', () => {
  const before = exampleOf('GatewayClass');
  const after = withField(before, 'spec.controllerName', 'a.b/c');
  assert.match(said(validateObject(after, before)).join(), /controllerName: the controller of a class cannot change/);
  assert.deepEqual(said(validateObject(before, before)), []);
});

const runs = process.env['TEST_LONG'] === '1' ? 1000 : 60;

test(`${runs} mutants of each kind: no crash, and each refusal names a field`, () => {
  for (const example of examples) {
    fc.assert(
      fc.property(mutations, (changes) => {
        const mutant = changes.reduce<unknown>((object, change) => mutate(object, change), example);
        for (const finding of validateObject(mutant) ?? []) {
          assert.ok(finding.path.length > 0 || finding.reason.includes('expected an object'), finding.reason);
          assert.ok(finding.reason !== '' && !/\n/.test(finding.reason));
        }
      }),
      { numRuns: runs },
    );
  }
});

function exampleOf(kind: string): unknown {
  return examples.findLast((e) => e.kind === kind);
}

/** A copy; `undefined` takes the field away. */
function withField(object: unknown, path: string, value: unknown): unknown {
  const copy = structuredClone(object) as Record<string, unknown>;
  const parts = [...path.matchAll(/[^.[\]]+/g)].map(([part]) => part);
  const holder = parts
    .slice(0, -1)
    .reduce<Record<string, unknown>>((node, part) => node[part] as Record<string, unknown>, copy);
  if (value === undefined) delete holder[parts.at(-1)!];
  else holder[parts.at(-1)!] = value;
  return copy;
}
