import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { compatCases } from '../../common/core/compat.ts';
import { MeshError } from '../../common/core/errors.ts';
import { createLogger, LogLevels } from '../../common/core/log.ts';
import { createKubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { namespaceKind, podKind } from '../../common/kube/kinds/core.ts';
import { authorizationPolicyKind } from '../../common/kube/kinds/security.ts';
import { parseDocuments } from '../../common/kube/manifests/documents.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { decideWhy } from '../../common/why/decide.ts';
import { startTestServer } from '../../istiod/apiserver/testing/client.ts';
import { installDefinitions } from '../../istiod/crds/install.ts';
import { askWaypoint, type RequestQuestion } from '../../istiod/why/waypoint.ts';
import { meshOf } from './mesh.ts';
import { findTarget, findWorkload } from './places.ts';
import { simulate } from './simulate.ts';

const deployment = (name: string) =>
  `---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ${name}, namespace: shop}\nspec: {selector: {matchLabels: {app: ${name}}}, template: {metadata: {labels: {app: ${name}}}, spec: {serviceAccountName: ${name}, containers: [{name: c, image: i}]}}}\n`;
const base = `apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
${deployment('web')}${deployment('client')}---
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: out}
spec: {containers: [{name: c, image: i}]}
`;
const policy = (spec: string, kind = 'AuthorizationPolicy', name = 'p') =>
  `---\napiVersion: security.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${name}, namespace: shop}\nspec: ${spec}\n`;

const request = { method: 'GET', path: '/', host: 'web', headers: [] };

function ask(
  from: string,
  to: string,
  more = '',
  compat: ReadonlySet<(typeof compatCases)[number]> = new Set(),
  question: Partial<RequestQuestion> = {},
) {
  const { objects: read } = parseDocuments('a.yaml', base + more);
  const objects = simulate(
    read.map(
      ({ object }) => ({ ...object, metadata: { uid: '', resourceVersion: '', ...object.metadata } }) as KubeObject,
    ),
  );
  const mesh = meshOf(objects, 'istio-system', compat);
  const places = { store: mesh.store, objects, domain: 'cluster.local' };
  const source = findWorkload(places, from);
  const verdict = decideWhy(mesh.store, {
    source,
    target: findTarget(places, to, source),
    compat,
    atWaypoint: (at) => askWaypoint(mesh.envoy, at, { ...request, ...question }).verdict,
  });
  return { ...verdict, mesh };
}

test('the policy and rule that let a call pass, with the objects that made them', () => {
  const more = policy(
    '{rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/client]}}], to: [{operation: {ports: ["8080"]}}]}]}',
  );
  const yes = ask('deploy/shop/client', 'web:80', more);
  assert.deepEqual([yes.allowed, yes.by], [true, 'the proxy of the destination: policy shop/p, rule 0']);
  assert.match(
    yes.source.lines[0]!,
    /^HBONE to workload shop\/web-0 at .*:15008, for .*:8080, as spiffe:\/\/cluster\.local\/ns\/shop\/sa\/client$/,
  );
  assert.deepEqual(
    yes.mesh.inputsOf('shop/p').map((i) => i.kind),
    ['AuthorizationPolicy'],
  );
  const no = ask('out/stranger', 'svc/shop/web:80', more);
  assert.equal(no.allowed, false);
  assert.match(no.by, /plain text from .*: no rule of ALLOW policy shop\/p holds/);
  assert.ok(no.destination.lines.some((line) => line.endsWith('principals does not hold')));
});

test('STRICT refuses plain text, and nobody decides where there is no proxy', () => {
  const strict = policy('{mtls: {mode: STRICT}}', 'PeerAuthentication');
  assert.equal(ask('out/stranger', 'web.shop:80', strict).allowed, false);
  assert.equal(ask('deploy/shop/client', 'web.shop.svc.cluster.local:80', strict).allowed, true);
  assert.match(ask('deploy/shop/client', 'out/stranger:1').by, /^nobody: the destination has no proxy/);
  assert.match(ask('deploy/shop/client', '192.0.2.1:1').by, /^nobody: the mesh does not know/);
});

test('the source refuses what it cannot reach as it should', () => {
  assert.match(ask('deploy/shop/client', 'web:81').by, /^the proxy of the source: service .* has no port 81/);
  const named =
    '---\napiVersion: v1\nkind: Service\nmetadata: {name: behind, namespace: shop, labels: {istio.io/use-waypoint: nobody}}\nspec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}\n';
  assert.match(ask('deploy/shop/client', 'behind:80', named).by, /behind waypoint .*which the mesh does not know/);
});

test('cases in which Istio is laxer', () => {
  const l7 = policy('{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}');
  assert.equal(ask('deploy/shop/client', 'web:80', l7).allowed, false);
  assert.equal(ask('deploy/shop/client', 'web:80', l7, new Set(compatCases)).allowed, true);
});

test('what istiod would leave out is said', () => {
  const { allowed, mesh } = ask('deploy/shop/client', 'web:80', policy('{action: DENY, rules: []}'));
  assert.equal(allowed, true);
  assert.match(mesh.leftOut.join(), /AuthorizationPolicy shop\/p: spec\.rules: without rules/);
});

test('names that lead nowhere', () => {
  const notFound = (f: () => unknown) =>
    assert.throws(f, (e: unknown) => e instanceof MeshError && (e.code === 'NOT_FOUND' || e.code === 'CONFIG'));
  notFound(() => ask('shop/nobody', 'web:80'));
  notFound(() => ask('deploy/shop/client', 'nobody:80'));
  notFound(() => ask('deploy/shop/client', 'web'));
  notFound(() => ask('what/is/this/here', 'web:80'));
});

const aquifer = (args: readonly string[]) =>
  new Promise<{ code: number; out: string }>((resolve) => {
    const { KUBECONFIG: _, ...env } = process.env;
    execFile(process.execPath, [join(import.meta.dirname, '../main.ts'), 'why', ...args], { env }, (error, out) =>
      resolve({ code: error === null ? 0 : Number(error.code), out }),
    );
  });

test('a cluster: the generation of the policy that decided', async () => {
  await using server = await startTestServer();
  const { kubeconfig } = server.server;
  const client = createKubeClient({ access: loadKubeconfig(kubeconfig) });
  const sink = { levels: new LogLevels('off'), format: 'plain' as const, write: () => undefined };
  await installDefinitions(client, systemClock, createLogger(sink, 'test'));
  const labels = { 'istio.io/dataplane-mode': 'ambient' };
  await client.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels } });
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } };
  await server.client.ask('/api/v1/namespaces/shop/serviceaccounts', { method: 'POST', body: account });
  for (const [name, ip] of [
    ['a', '10.0.0.1'],
    ['b', '10.0.0.2'],
  ] as const) {
    const annotations = { 'ambient.istio.io/redirection': 'enabled' };
    const key = { namespace: 'shop', name };
    const spec = { nodeName: 'n', containers: [{ name: 'c', image: 'i' }] };
    await client.create(podKind, { apiVersion: 'v1', kind: 'Pod', metadata: { ...key, annotations }, spec });
    const status = { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions: [{ type: 'Ready', status: 'True' }] };
    await client.patch(podKind, key, { status }, { subresource: 'status' });
  }
  const key = { namespace: 'shop', name: 'none' };
  const spec = { rules: [] as object[], action: 'ALLOW' };
  await client.create(authorizationPolicyKind, {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: key,
    spec,
  });
  await client.patch(authorizationPolicyKind, key, {
    spec: { rules: [{ from: [{ source: { namespaces: ['b'] } }] }] },
  });
  client.close();
  const { code, out } = await aquifer(['shop/a', 'shop/b:80', '--kubeconfig', kubeconfig]);
  assert.equal(code, 3, out);
  assert.match(out, /^REFUSED by the proxy of the destination: .*no rule of ALLOW policy shop\/none holds$/m);
  assert.match(out, /policy shop\/none is of AuthorizationPolicy shop\/none \(generation 2\)/);
});

const waypoint = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: istio-waypoint}
spec: {controllerName: istio.io/mesh-controller}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {istio.io/use-waypoint: waypoint}}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop, generation: 7}
spec:
  parentRefs: [{group: "", kind: Service, name: web}]
  rules:
  - {matches: [{path: {value: /gone}}], backendRefs: [{name: gone, port: 80}]}
  - {matches: [{path: {value: /moved}}], filters: [{type: RequestRedirect, requestRedirect: {hostname: other}}]}
  - {matches: [{path: {value: /a}, headers: [{name: x, value: one}]}], backendRefs: [{name: web, port: 80}]}
  - {matches: [{path: {value: /ok}}], backendRefs: [{name: web, port: 80}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: writers, namespace: shop}
spec: {targetRefs: [{group: "", kind: Service, name: web}], action: DENY, rules: [{to: [{operation: {methods: [DELETE]}}]}]}
`;

test('a waypoint says which route takes a request, to where, and which policy refuses it', () => {
  const at = (question: Partial<RequestQuestion>) => ask('deploy/shop/client', 'web:80', waypoint, new Set(), question);
  const fine = at({ path: '/ok/x' });
  assert.deepEqual([fine.allowed, fine.by], [true, 'the waypoint: route shop.r.3'], JSON.stringify(fine.source));
  const said = fine.source.lines.join('\n');
  assert.match(said, /GET \/ok\/x of host web, from spiffe:\/\/cluster\.local\/ns\/shop\/sa\/client/);
  assert.match(
    said,
    /route shop\.r\.3 of \/apis\/gateway\.networking\.k8s\.io\/v1\/namespaces\/shop\/http-route\/r, spec\.rules\[3\], generation 7/,
  );
  assert.match(said, /no DENY policy matches/);
  assert.match(said, /sent to inbound-vip\|80\|http\|web\.shop/);
  assert.equal(fine.destination.workload?.name, 'web-0');
  const rows: readonly (readonly [Partial<RequestQuestion>, boolean, RegExp])[] = [
    [{ path: '/ok', method: 'DELETE' }, false, /^the waypoint: DENY policy .*writers.* matches$/],
    [{ path: '/x/../ok' }, true, /route shop\.r\.3$/],
    [{ path: '/a', headers: [['X', 'one']] }, true, /route shop\.r\.2$/],
    [{ path: '/a' }, false, /no route matches$/],
    [{ path: '/gone' }, false, /route shop\.r\.0$/],
    [{ path: '/moved' }, true, /route shop\.r\.1$/],
    [{ path: 'x' }, false, /the request is not one/],
  ];
  for (const [question, allowed, by] of rows) {
    const verdict = at(question);
    assert.equal(verdict.allowed, allowed, JSON.stringify(question));
    assert.match(verdict.by, by);
  }
});

test('a waypoint names the provider that a policy of action CUSTOM asks, or says that it refuses, and of which generation', () => {
  const more = (provider: string) => `${waypoint}---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders: [{name: opa, envoyExtAuthzHttp: {service: web.shop.svc.cluster.local, port: 80}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: outside, namespace: shop, generation: 3}
spec: {targetRefs: [{group: "", kind: Service, name: web}], action: CUSTOM, provider: {name: ${provider}}, rules: [{to: [{operation: {paths: [/ok/ask]}}]}]}
`;
  const at = (provider: string, path: string) =>
    ask('deploy/shop/client', 'web:80', more(provider), new Set(), { path });
  const asked = at('opa', '/ok/ask');
  assert.equal(asked.allowed, true);
  const line = /CUSTOM policy ns\[shop\]-policy\[outside\]-rule\[0\]-generation\[3\] matches: asks provider opa, whose/;
  assert.ok(
    asked.source.lines.some((l) => line.test(l)),
    asked.source.lines.join('\n'),
  );
  assert.ok(!at('opa', '/ok').source.lines.some((l) => l.includes('asks')));
  const unknown = at('none', '/ok/ask');
  assert.equal(unknown.allowed, false);
  assert.match(unknown.by, /policy istio-ext-authz-none-ns\[shop\]-policy\[outside\]-rule\[0\]-generation\[3\]-deny/);
});

test('to a service that only DNS knows: whom the waypoint finds there is left open', () => {
  const entry = `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: bank, namespace: shop, labels: {istio.io/use-waypoint: waypoint}}
spec: {hosts: [bank.example], addresses: [240.0.0.9], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS, endpoints: [{address: edge.bank.example}]}
`;
  const { allowed, by, open } = ask('deploy/shop/client', 'bank.example:80', waypoint + entry);
  assert.deepEqual([allowed, by], [true, 'the waypoint: route default']);
  assert.deepEqual(open, ['what edge.bank.example resolves to, where the waypoint looks it up']);
});
