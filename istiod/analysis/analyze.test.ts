import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseDocuments } from '../../common/kube/manifests/documents.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { examples } from '../validation/testing/examples.ts';
import { mutate, mutations } from '../validation/testing/mutants.ts';
import { analyze } from './analyze.ts';
import { sorts } from './codes.ts';

const every = new Set([
  'namespaces.core',
  'pods.core',
  'services.core',
  'secrets.core',
  'gateways.gateway.networking.k8s.io',
  'serviceentries.networking.istio.io',
]);

const base = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web, version: v1}}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gw-1, namespace: infra, labels: {istio: ingressgateway}}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: infra, labels: {istio.io/dataplane-mode: none}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: infra}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*.example.com"]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
`;

function objectsOf(text: string): KubeObject[] {
  const { objects, problems } = parseDocuments('a.yaml', text);
  assert.deepEqual(problems, []);
  return objects.map(({ object }) => object as unknown as KubeObject);
}

/** `IST0101 spec.http[0]...`, of all that is said beside what is said of the base alone, which is nothing. */
const said = (more: string) =>
  analyze([...objectsOf(base), ...objectsOf(more)], { complete: every }).map(
    ({ sort, field, text }) => `${sorts[sort].code} ${field ?? '-'} ${text}`,
  );

const meta = (kind: string, name: string, group = 'networking.istio.io/v1', more = '') =>
  `apiVersion: ${group}\nkind: ${kind}\nmetadata: {name: ${name}, namespace: shop${more}}\n`;
const virtualService = (spec: string, name = 'web') => `${meta('VirtualService', name)}spec: ${spec}\n`;
const to = (host: string, more = '') => `{hosts: [web], http: [{route: [{destination: {host: ${host}${more}}}]}]}`;

test('nothing is said of what is right', () => {
  assert.deepEqual(said(''), []);
  assert.deepEqual(said(virtualService(to('web.shop.svc.cluster.local', ', port: {number: 80}'))), []);
  assert.deepEqual(
    said(
      virtualService(
        '{hosts: [a.example.com], gateways: [infra/front], http: [{route: [{destination: {host: web.shop}}]}]}',
      ),
    ),
    [],
  );
});

const cases: readonly (readonly [what: string, objects: string, expected: RegExp])[] = [
  [
    'an unknown host',
    virtualService(to('nobody')),
    /^IST0101 spec\.http\[0\]\.route\[0\]\.destination\.host the host nobody \(nobody\.shop\.svc/,
  ],
  [
    'an unknown subset',
    virtualService(to('web', ', subset: v9')),
    /^IST0101 spec\.http\[0\]\.route\[0\]\.destination\.subset no DestinationRule/,
  ],
  [
    'an unknown port',
    virtualService(to('web', ', port: {number: 81}')),
    /^IST0101 spec\.http\[0\]\.route\[0\]\.destination\.port .* has no port 81/,
  ],
  [
    'an unknown gateway',
    virtualService('{hosts: [a.example.com], gateways: [other], http: [{route: [{destination: {host: web}}]}]}'),
    /^IST0101 spec\.gateways\[0\] the Gateway shop\/other/,
  ],
  [
    'a host that the gateway does not serve',
    virtualService('{hosts: [a.org], gateways: [infra/front], http: [{route: [{destination: {host: web}}]}]}'),
    /^IST0132 spec\.gateways\[0\] .* does not serve a\.org/,
  ],
  [
    'two claims of a host',
    `${virtualService(to('web'))}---\n${virtualService(to('web'), 'web-2')}`,
    /^IST0109 spec\.hosts web\.shop\.svc\.cluster\.local is claimed by/,
  ],
  [
    'a route that is never reached',
    virtualService(
      '{hosts: [web], http: [{route: [{destination: {host: web}}]}, {match: [{uri: {prefix: /a}}], route: [{destination: {host: web}}]}]}',
    ),
    /^IST0130 spec\.http\[1\] is never reached/,
  ],
  [
    'claims that nobody reads',
    virtualService(
      '{hosts: [web], http: [{match: [{headers: {"@request.auth.claims.sub": {exact: a}}}], route: [{destination: {host: web}}]}]}',
    ),
    /^IST0149 /,
  ],
  [
    'a service of two ports',
    `${meta('Service', 'two', 'v1')}spec: {ports: [{name: http-a, port: 1}, {name: http-b, port: 2}]}\n---\n${virtualService(to('two'))}`,
    /^IST0112 .* has the ports 1, 2/,
  ],
  ['a rule of an unknown host', `${meta('DestinationRule', 'd')}spec: {host: nobody}\n`, /^IST0174 spec\.host nobody/],
  [
    'a subset without pods',
    `${meta('DestinationRule', 'd')}spec: {host: web, subsets: [{name: v2, labels: {version: v2}}]}\n`,
    /^IST0173 spec\.subsets\[0\] no pod of web/,
  ],
  [
    'TLS that verifies nobody',
    `${meta('DestinationRule', 'd')}spec: {host: web, trafficPolicy: {tls: {mode: SIMPLE}}}\n`,
    /^IST0128 spec\.trafficPolicy\.tls/,
  ],
  [
    'a gateway without pods',
    `${meta('Gateway', 'g')}spec: {selector: {a: b}, servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: [x.org]}]}\n`,
    /^IST0101 spec\.selector no pod has the labels a=b/,
  ],
  [
    'a gateway without its Secret',
    `${meta('Gateway', 'g')}spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: a, protocol: HTTPS}, hosts: [x.org], tls: {mode: SIMPLE, credentialName: cert}}]}\n`,
    /^IST0101 spec\.servers\[0\]\.tls\.credentialName the Secret cert is not in the namespace infra/,
  ],
  [
    'two gateways of a host',
    `${meta('Gateway', 'g')}spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ["*.example.com"]}]}\n`,
    /^IST0145 spec\.servers\[0\]\.hosts the Gateway (shop\/g|infra\/front) serves/,
  ],
  [
    'a port without protocol',
    `${meta('Service', 's', 'v1')}spec: {ports: [{name: foo, port: 1}]}\n`,
    /^IST0118 spec\.ports\[0\]\.name the name "foo"/,
  ],
  [
    'an external name without protocol',
    `${meta('Service', 's', 'v1')}spec: {type: ExternalName, externalName: a.org, ports: [{name: foo, port: 1}]}\n`,
    /^IST0150 /,
  ],
  [
    'a policy for nobody',
    `${meta('AuthorizationPolicy', 'p', 'security.istio.io/v1')}spec: {selector: {matchLabels: {app: nobody}}, rules: [{}]}\n`,
    /^IST0127 spec\.selector no workload has the labels app=nobody/,
  ],
  [
    'a target that is not there',
    `${meta('AuthorizationPolicy', 'p', 'security.istio.io/v1')}spec: {targetRefs: [{kind: Service, name: nobody}], rules: [{}]}\n`,
    /^IST0101 spec\.targetRefs\[0\] the Service shop\/nobody/,
  ],
  [
    'a rule that node proxies cannot check',
    `${meta('AuthorizationPolicy', 'p', 'security.istio.io/v1')}spec: {rules: [{to: [{operation: {methods: [GET]}}]}]}\n`,
    /^IST0167 spec\.rules .*attach it to a waypoint/,
  ],
  [
    'tokens that nobody reads',
    `${meta('RequestAuthentication', 'r', 'security.istio.io/v1')}spec: {jwtRules: [{issuer: a}]}\n`,
    /^IST0167 spec node proxies read no tokens/,
  ],
  [
    'keys of an inner address',
    `${meta('RequestAuthentication', 'r', 'security.istio.io/v1')}spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}], jwtRules: [{issuer: a, jwksUri: "http://169.254.169.254/keys"}]}\n`,
    /^IST0175 spec\.jwtRules\[0\]\.jwksUri/,
  ],
  [
    'a waypoint that is not there',
    `${meta('Service', 's', 'v1', ', labels: {istio.io/use-waypoint: nobody}')}spec: {ports: [{name: http, port: 1}]}\n`,
    /^IST0101 metadata\.labels\["istio\.io\/use-waypoint"\] the waypoint shop\/nobody/,
  ],
  [
    'a waypoint with policies that may be passed by',
    `${meta('AuthorizationPolicy', 'p', 'security.istio.io/v1')}spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}], rules: [{}]}\n`,
    /^AQF0001 metadata\.annotations .*past the waypoint waypoint .*shop\/p .*waypoint-bypass: refuse/,
  ],
  [
    'a route without its parent',
    `${meta('HTTPRoute', 'r', 'gateway.networking.k8s.io/v1')}spec: {parentRefs: [{name: nobody}], rules: [{backendRefs: [{name: web, port: 80}]}]}\n`,
    /^IST0101 spec\.parentRefs\[0\] the Gateway shop\/nobody/,
  ],
  [
    'a route to a port that is not there',
    `${meta('HTTPRoute', 'r', 'gateway.networking.k8s.io/v1')}spec: {parentRefs: [{name: waypoint}], rules: [{backendRefs: [{name: web, port: 81}]}]}\n`,
    /^IST0101 spec\.rules\[0\]\.backendRefs\[0\]\.port/,
  ],
  [
    'a route to another namespace',
    `${meta('Service', 'x', 'v1').replace('shop', 'infra')}spec: {ports: [{name: http, port: 80}]}\n---\n${meta('HTTPRoute', 'r', 'gateway.networking.k8s.io/v1')}spec: {parentRefs: [{name: waypoint}], rules: [{backendRefs: [{name: x, namespace: infra, port: 80}]}]}\n`,
    /^IST0101 .*namespace infra has no ReferenceGrant/,
  ],
  [
    'a namespace that is not in the mesh',
    'apiVersion: v1\nkind: Namespace\nmetadata: {name: out}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: out}\nspec: {containers: [{name: c, image: i}]}\n',
    /^IST0102 - the namespace is not in the mesh/,
  ],
  [
    'an annotation that nobody reads',
    `${meta('Service', 's', 'v1', ', annotations: {networking.istio.io/exportT: "*"}')}spec: {ports: [{name: http, port: 1}]}\n`,
    /^IST0108 .*did you mean "networking\.istio\.io\/exportTo"\?/,
  ],
  [
    'an annotation on another kind',
    `${meta('Service', 's', 'v1', ', annotations: {ambient.istio.io/redirection: enabled}')}spec: {ports: [{name: http, port: 1}]}\n`,
    /^IST0107 .*is read of a Pod, not of a Service/,
  ],
  [
    'a condition that is False',
    `${meta('HTTPRoute', 'r', 'gateway.networking.k8s.io/v1')}spec: {rules: [{}]}\nstatus: {parents: []}\n---\n${meta('ServiceEntry', 's')}spec: {hosts: [a.org], resolution: DNS}\nstatus: {conditions: [{type: Programmed, status: "False", reason: Rejected, message: refused}]}\n`,
    /^IST0171 status\.conditions Programmed is False: Rejected: refused/,
  ],
  [
    'two protocols of a port',
    `${meta('ServiceEntry', 'a')}spec: {hosts: [a.org], ports: [{number: 1, name: a, protocol: HTTP}], resolution: DNS}\n---\n${meta('ServiceEntry', 'b')}spec: {hosts: [a.org], ports: [{number: 1, name: a, protocol: TCP}], resolution: DNS}\n`,
    /^IST0177 spec\.ports a\.org:1 is said to speak/,
  ],
  [
    'two Sidecars of a namespace',
    `${meta('Sidecar', 'a')}spec: {egress: [{hosts: ["./*"]}]}\n---\n${meta('Sidecar', 'b')}spec: {egress: [{hosts: ["./*"]}]}\n`,
    /^IST0111 /,
  ],
  [
    'two Telemetries of a workload',
    `${meta('Telemetry', 'a', 'telemetry.istio.io/v1')}spec: {selector: {matchLabels: {app: web}}}\n---\n${meta('Telemetry', 'b', 'telemetry.istio.io/v1')}spec: {selector: {matchLabels: {version: v1}}}\n`,
    /^IST0159 /,
  ],
  [
    'a filter whose place depends',
    `${meta('EnvoyFilter', 'e', 'networking.istio.io/v1alpha3')}spec: {configPatches: [{applyTo: HTTP_FILTER, patch: {operation: INSERT_FIRST, value: {name: a}}}]}\n`,
    /^IST0151 /,
  ],
  [
    'an older field',
    `${meta('DestinationRule', 'd')}spec: {host: web, trafficPolicy: {loadBalancer: {warmupDurationSecs: 1s, simple: RANDOM}}}\n`,
    /^IST0002 spec\.trafficPolicy\.loadBalancer\.warmupDurationSecs/,
  ],
  ['an invalid object', virtualService('{hosts: [web], http: [{}]}'), /^IST0106 spec\.http\[0\] says not where/],
];

for (const [what, objects, expected] of cases) {
  test(what, () => {
    const lines = said(objects);
    assert.ok(
      lines.some((line) => expected.test(line)),
      lines.join('\n') || 'nothing was said',
    );
  });
}

test('what cannot be told is not: without all Services a host may be anywhere', () => {
  const objects = objectsOf(virtualService(to('nobody.else.org')));
  assert.deepEqual(analyze(objects, { complete: new Set() }), []);
});

test('what an API server took of its own kinds is not judged again', () => {
  const [pod] = objectsOf(
    'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {fieldOfNextYear: 1, containers: [{name: c, image: i}]}\n',
  );
  assert.equal(analyze([pod!], { complete: new Set() })[0]?.sort, 'SchemaValidationError');
  assert.deepEqual(analyze([pod!], { complete: new Set(), stored: new Set([pod!]) }), []);
});

test('examples of all kinds together are analyzed', () => {
  const messages = analyze(examples as unknown as KubeObject[], { complete: every });
  assert.deepEqual(
    messages.filter((m) => m.sort === 'SchemaValidationError'),
    [],
  );
});

test('mutants among valid objects: no crash, and only they are told to be invalid', () => {
  const picked = fc.nat(examples.length - 1);
  fc.assert(
    fc.property(picked, mutations, (i, changes) => {
      const mutant = changes.reduce<unknown>((object, change) => mutate(object, change), examples[i]);
      const read = parseDocuments('a.json', JSON.stringify(mutant)).objects.map((o) => o.object);
      const objects = [...examples.filter((_, j) => j !== i), ...read] as unknown as KubeObject[];
      const invalid = analyze(objects, { complete: every }).filter((m) => m.sort === 'SchemaValidationError');
      assert.ok(invalid.every((m) => m.object === objects.at(-1)));
    }),
    { numRuns: 40 },
  );
});

test('a provider that MeshConfig does not have', () => {
  const config = (name: string, mesh: string) =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, namespace: istio-system}\ndata: {mesh: '${mesh}'}\n`;
  const custom = `${meta('AuthorizationPolicy', 'p', 'security.istio.io/v1')}spec: {targetRefs: [{kind: Service, group: "", name: web}], action: CUSTOM, provider: {name: opa}, rules: [{}]}\n`;
  const opa =
    '{extensionProviders: [{name: opa, envoyExtAuthzGrpc: {service: opa.shop.svc.cluster.local, port: 9000}}]}';
  const about = (...meshes: readonly string[]) =>
    said([custom, ...meshes].join('---\n')).filter((m) => m.includes('provider'));
  assert.deepEqual(about(), []);
  assert.deepEqual(about(config('istio', opa)), []);
  assert.deepEqual(about(config('istio', '{}'), config('istio-canary', opa)), []);
  assert.match(about(config('istio', '{}')).join(), /^IST0101 spec.provider.name MeshConfig has no .*"opa".* refused$/);
});
