import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExtensionProvider } from '../envoy/inputs.ts';
import { waypointYaml } from '../testing/manifests.ts';
import { defaultSettings } from './settings.ts';
import { TestMesh } from './testing/test-mesh.ts';

const pod = (name: string, labels: string, namespace = 'shop') =>
  `{kind: Pod, metadata: {name: ${name}, namespace: ${namespace}, labels: {${labels}}}, spec: {containers: []}, status: {podIP: 10.0.0.${name.length}}}`;
const policy = (name: string, spec: string, namespace = 'shop', more = '') =>
  `{kind: AuthorizationPolicy, metadata: {name: ${name}, namespace: ${namespace}${more}}, spec: {${spec}}}`;
const web = 'selector: {matchLabels: {app: web}}';
const strict = 'istio-system/istio_converted_static_strict';

test('a workload lists the policies that select it, of its namespace and the root, if they are sent', () => {
  const mesh = new TestMesh(pod('a', 'app: web'));
  const change = mesh.apply(
    [
      policy('p', `action: ALLOW, ${web}`),
      policy('audit', `action: AUDIT, ${web}`),
      policy('g', web, 'istio-system'),
      policy('x', web, 'else'),
      policy('wide', 'action: DENY'),
      policy('both', 'selector: {matchLabels: {app: web, tier: back}}'),
      policy('everybody', 'selector: {}'),
    ].join('\n---\n'),
  );
  assert.deepEqual([...(change?.addresses ?? [])], ['c//Pod/shop/a']);
  const all = ['else/x', 'istio-system/g', 'shop/both', 'shop/everybody', 'shop/p', 'shop/wide'];
  assert.deepEqual([...(change?.authorizations ?? [])].sort(), all);
  assert.deepEqual(mesh.workload('a')?.authorizationPolicies, ['istio-system/g', 'shop/everybody', 'shop/p']);
  assert.ok(mesh.inputsOf('c//Pod/shop/a').includes('AuthorizationPolicy istio-system/g'));
  assert.equal(mesh.policy('shop/wide')?.scope, 'NAMESPACE');
  assert.equal(mesh.conditions('AuthorizationPolicy', 'audit')['ZtunnelAccepted'], 'False UnsupportedValue');
  // The rules of a policy are no matter of the workloads that list it.
  const rules = mesh.apply(policy('p', `action: DENY, ${web}`));
  assert.deepEqual([[...rules!.addresses], [...rules!.authorizations]], [[], ['shop/p']]);
  mesh.apply(policy('p', `action: AUDIT, ${web}`));
  assert.deepEqual(mesh.workload('a')?.authorizationPolicies, ['istio-system/g', 'shop/everybody']);
  mesh.remove('AuthorizationPolicy', 'istio-system/g');
  mesh.apply(pod('a', 'app: other'));
  assert.deepEqual(mesh.workload('a')?.authorizationPolicies, ['shop/everybody']);
});

test('policies on trial are not sent, or sent as such', () => {
  const yaml = policy('p', 'action: DENY', 'shop', ', annotations: {istio.io/dry-run: "true"}');
  const mesh = new TestMesh(yaml);
  assert.equal(mesh.policy('shop/p'), undefined);
  assert.equal(mesh.conditions('AuthorizationPolicy', 'p')['ZtunnelAccepted'], 'False UnsupportedValue');
  assert.equal(new TestMesh(yaml, { dryRun: true }).policy('shop/p')?.dryRun, true);
});

test('what L4 cannot check of a DENY is refused, or, as with Istio, never matches', () => {
  const yaml = policy('p', 'action: DENY, rules: [{to: [{operation: {methods: [POST]}}]}]');
  assert.deepEqual(new TestMesh(yaml).policy('shop/p')?.groups, [{ rules: [] }]);
  const [group] = new TestMesh(yaml, { compat: new Set(['l7-deny']) }).policy('shop/p')!.groups;
  assert.equal(group?.rules[0]?.matches.length, 1, 'a match of nothing, which never holds');
});

test('a workload lists the policy that its PeerAuthentication was made into, and follows all that bear on it', () => {
  const mesh = new TestMesh(`${pod('a', 'app: web')}\n---\n${pod('r', '', 'istio-system')}`);
  const peer = (name: string, namespace: string, spec: string) =>
    mesh.apply(`{kind: PeerAuthentication, metadata: {name: ${name}, namespace: ${namespace}}, spec: {${spec}}}`);
  const listed = (uid: string) => {
    const policies = mesh.workload(`c//Pod/${uid}`)!.authorizationPolicies;
    for (const p of policies) assert.ok(mesh.policy(p), p);
    return policies;
  };
  peer('ports', 'shop', `${web}, portLevelMtls: {80: {mode: PERMISSIVE}}`);
  assert.deepEqual([...mesh.index.authorizations.keys()], [strict]);
  assert.deepEqual(listed('shop/a'), []);

  const change = peer('mesh', 'istio-system', 'mtls: {mode: STRICT}');
  assert.deepEqual([...(change?.authorizations ?? [])], ['shop/converted_peer_authentication_ports']);
  assert.deepEqual(listed('shop/a'), ['shop/converted_peer_authentication_ports']);
  assert.deepEqual(listed('istio-system/r'), [strict]);
  const inputs = ['Pod shop/a', 'PeerAuthentication shop/ports', 'PeerAuthentication istio-system/mesh'];
  assert.deepEqual(mesh.inputsOf('c//Pod/shop/a'), inputs);

  peer('wide', 'shop', 'mtls: {mode: DISABLE}');
  assert.deepEqual(listed('shop/a'), []);
  assert.deepEqual([...mesh.index.authorizations.keys()], [strict]);
  for (const key of ['shop/ports', 'istio-system/mesh', 'shop/wide']) mesh.remove('PeerAuthentication', key);
  assert.deepEqual([listed('shop/a'), listed('istio-system/r'), mesh.index.authorizations.size], [[], [], 0]);
});

test('endpoints that are no pods list policies, too: by the labels of their entry', () => {
  const mesh = new TestMesh(`
${policy('p', web)}
---
{kind: WorkloadEntry, metadata: {name: vm}, spec: {address: 192.0.2.7, labels: {app: web}}}
---
{kind: ServiceEntry, metadata: {name: se, labels: {app: web}}, spec: {hosts: [a.example.com], resolution: STATIC, endpoints: [{address: 192.0.2.1}]}}
`);
  const of = (uid: string) => mesh.workload(`c/networking.istio.io/${uid}`)?.authorizationPolicies;
  assert.deepEqual([of('WorkloadEntry/shop/vm'), of('ServiceEntry/shop/se/192.0.2.1')], [['shop/p'], ['shop/p']]);
  mesh.remove('AuthorizationPolicy', 'shop/p');
  assert.deepEqual([of('WorkloadEntry/shop/vm'), of('ServiceEntry/shop/se/192.0.2.1')], [[], []]);
});

const waypoint = `
kind: Gateway
metadata: {name: wp}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
status: {addresses: [{type: Hostname, value: wp.shop.svc.cluster.local}]}`;
const bound =
  '{kind: Service, metadata: {name: web, labels: {istio.io/use-waypoint: wp}}, spec: {selector: {app: web}, ports: [{port: 80}]}}';

test('policies with targets are for waypoints, and say whether they reach one', () => {
  const mesh = new TestMesh(waypoint);
  const target = (kind: string, name: string) => policy('p', `targetRefs: [{kind: ${kind}, name: ${name}}]`);
  const says = (yaml: string) => {
    mesh.apply(yaml);
    assert.equal(mesh.policy('shop/p'), undefined);
    return mesh.conditions('AuthorizationPolicy', 'p');
  };
  assert.deepEqual(says(target('Gateway', 'wp')), { WaypointAccepted: 'True Accepted' });
  assert.deepEqual(says(target('Gateway', 'none')), { WaypointAccepted: 'False TargetNotFound' });
  assert.deepEqual(says(target('Service', 'web')), { WaypointAccepted: 'False TargetNotFound' });
  mesh.apply('{kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}');
  assert.deepEqual(mesh.conditions('AuthorizationPolicy', 'p'), { WaypointAccepted: 'False AncestorNotBound' });
  mesh.apply(bound);
  assert.deepEqual(mesh.conditions('AuthorizationPolicy', 'p'), { WaypointAccepted: 'True Accepted' });
  assert.deepEqual(says(target('GatewayClass', 'istio-waypoint')), { WaypointAccepted: 'False Invalid' });
  assert.deepEqual(says(target('Deployment', 'x')), { WaypointAccepted: 'False Invalid' });
  const two = policy('p', 'targetRefs: [{kind: Service, name: web}, {kind: Service, name: none}]');
  assert.deepEqual(says(two), { WaypointAccepted: 'True PartiallyInvalid' });
  const root = policy('p', 'targetRefs: [{kind: GatewayClass, name: istio-waypoint}]', 'istio-system');
  mesh.apply(root);
  const ofRoot = () => mesh.conditions('AuthorizationPolicy', 'p', 'istio-system');
  assert.deepEqual(ofRoot(), { WaypointAccepted: 'False TargetNotFound' });
  mesh.apply(
    '{kind: GatewayClass, metadata: {name: istio-waypoint}, spec: {controllerName: istio.io/mesh-controller}}',
  );
  assert.deepEqual(ofRoot(), { WaypointAccepted: 'True Accepted' });
});

test('a policy of action CUSTOM says where nobody is asked', () => {
  const provider: ExtensionProvider = {
    ...{ kind: 'authz', name: 'opa', service: 'opa.shop.svc.cluster.local', port: 80, timeout: undefined },
    ...{ failsOpen: false, clearsRoute: false, statusOnError: undefined, body: undefined, by: { kind: 'grpc' } },
  };
  const extensionProviders = [...defaultSettings.envoy.extensionProviders, provider];
  const envoy = { ...defaultSettings.envoy, extensionProviders };
  const mesh = new TestMesh([waypoint, bound].join('\n---\n'), { envoy });
  const custom = (name: string, of: string) =>
    policy(name, `targetRefs: [{kind: Service, name: web}], action: CUSTOM, provider: {name: ${of}}, rules: [{}]`);
  const says = (name: string) => mesh.conditions('AuthorizationPolicy', name)['WaypointAccepted'];
  mesh.apply(custom('a', 'opa'));
  assert.equal(says('a'), 'True Accepted');
  mesh.apply(custom('b', 'none'));
  assert.deepEqual([says('a'), says('b')], ['True PartiallyInvalid', 'True PartiallyInvalid']);
  mesh.remove('AuthorizationPolicy', 'shop/a');
  assert.equal(says('b'), 'True PartiallyInvalid');
  mesh.apply(custom('b', 'prometheus'));
  assert.equal(says('b'), 'True PartiallyInvalid');
  mesh.apply(custom('b', 'opa'));
  assert.equal(says('b'), 'True Accepted');

  const message = () => {
    const conditions = mesh.index.conditions({ kind: 'AuthorizationPolicy', namespace: 'shop', name: 'b' });
    return new Map(conditions).get('WaypointAccepted')?.message ?? '';
  };
  const withTcp = bound.replace(
    '{port: 80}',
    '{name: http, port: 80}, {name: tcp-db, port: 3306}, {name: tls, port: 443}',
  );
  mesh.apply(withTcp);
  assert.equal(says('b'), 'True PartiallyInvalid');
  assert.match(
    message(),
    /about connections, which carry no requests, to ports 3306, 443 of Service shop\/web: .* refused/,
  );
  const limited = custom('b', 'opa').replace('rules: [{}]', 'rules: [{to: [{operation: {ports: ["80", "443"]}}]}]');
  mesh.apply(limited);
  assert.match(message(), /to port 443 of Service/);
  mesh.apply(limited.replace(', "443"', ''));
  assert.equal(says('b'), 'True Accepted');
  mesh.apply(custom('b', 'opa').replace('kind: Service, name: web', 'kind: Gateway, name: wp'));
  assert.equal(says('b'), 'True Accepted');
  assert.match(message(), /connections without requests: those that the rules match are refused/);
});

test('workloads behind a waypoint take connections from it alone, where that is asked for', () => {
  const instance = pod('wp-1', 'gateway.networking.k8s.io/gateway-name: wp').replace(
    'containers',
    'serviceAccountName: wp-sa, containers',
  );
  const all = [waypoint, bound, pod('a', 'app: web'), pod('other', '')].join('\n---\n');
  assert.deepEqual(new TestMesh(`${all}\n---\n${instance}`).workload('a')?.authorizationPolicies, []);

  const annotated = (what: string) =>
    what.replace('{name: wp}', '{name: wp, annotations: {aquifer.dev/waypoint-bypass: refuse}}');
  const strict = new TestMesh(`${all.replace(waypoint, annotated(waypoint))}\n---\n${instance}`);
  assert.notEqual(annotated(waypoint), waypoint);
  assert.deepEqual(strict.workload('a')?.authorizationPolicies, ['shop/istio_allow_waypoint_shop_wp']);
  strict.apply(waypoint);
  assert.deepEqual(strict.workload('a')?.authorizationPolicies, []);
  strict.apply('{kind: Namespace, metadata: {name: shop, annotations: {aquifer.dev/waypoint-bypass: refuse}}}');
  assert.deepEqual(strict.workload('a')?.authorizationPolicies, ['shop/istio_allow_waypoint_shop_wp']);

  const mesh = new TestMesh(all, { allowOnlyWaypoints: true });
  assert.deepEqual(mesh.workload('a')?.authorizationPolicies, [], 'nobody would be let in');
  mesh.apply(instance);
  const name = 'shop/istio_allow_waypoint_shop_wp';
  assert.deepEqual(mesh.policy(name)?.groups[0]?.rules[0]?.matches[0]?.principals, [
    { kind: 'exact', value: 'cluster.local/ns/shop/sa/wp-sa' },
  ]);
  assert.deepEqual(mesh.workload('a')?.authorizationPolicies, [name]);
  assert.deepEqual(mesh.workload('other')?.authorizationPolicies, []);
  mesh.remove('Pod', 'shop/wp-1');
  assert.deepEqual(mesh.workload('a')?.authorizationPolicies, []);
});

test('a RateLimitPolicy says whether the service that counts is there', () => {
  const limits = (more: string) =>
    `{kind: RateLimitPolicy, apiVersion: policy.aquifer.dev/v1alpha1, metadata: {name: l, namespace: shop}, spec: {targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}], counter: {service: {name: counter, namespace: pay}, port: 8081${more}}, limits: [{name: a, requests: 1, unit: Year}]}}`;
  const mesh = new TestMesh(`${waypointYaml()}\n---\n${limits('')}`);
  const said = () => mesh.conditions('RateLimitPolicy', 'l')['Accepted'];
  assert.equal(said(), 'True PartiallyInvalid');
  mesh.apply(
    '{kind: Service, metadata: {name: counter, namespace: pay}, spec: {clusterIP: 10.96.0.9, ports: [{port: 8081}]}}',
  );
  assert.equal(said(), 'True PartiallyInvalid', 'it does not speak gRPC');
  mesh.apply(
    '{kind: Service, metadata: {name: counter, namespace: pay}, spec: {clusterIP: 10.96.0.9, ports: [{port: 8082, name: grpc}]}}',
  );
  assert.equal(said(), 'True PartiallyInvalid', 'at another port');
  mesh.apply(
    '{kind: Service, metadata: {name: counter, namespace: pay}, spec: {clusterIP: 10.96.0.9, ports: [{port: 8081, name: grpc}]}}',
  );
  assert.equal(said(), 'True Accepted');
  const others = Array.from(
    { length: 11 },
    (_, i) =>
      `{kind: RateLimitPolicy, apiVersion: policy.aquifer.dev/v1alpha1, metadata: {name: k${i}, namespace: shop}, spec: {targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}], counter: {service: {name: s${i}}, port: 1}, limits: [{name: a, requests: 1, unit: Year}]}}`,
  );
  mesh.apply(others.slice(0, 10).join('\n---\n'));
  assert.equal(said(), 'True Accepted');
  const older = others[10]!.replace('name: k10,', 'name: a, creationTimestamp: "2020-01-01T00:00:00Z",');
  mesh.apply(older);
  assert.equal(said(), 'True Accepted', 'the last of eleven by name');
  mesh.apply(others[10]!);
  assert.equal(said(), 'True PartiallyInvalid', 'the twelfth');
  mesh.remove('RateLimitPolicy', 'shop/k10');
  assert.equal(said(), 'True Accepted');
  mesh.remove('Service', 'pay/counter');
  assert.equal(said(), 'True PartiallyInvalid');
});

test('a RateLimitPolicy is bound to an HTTPRoute of a service behind a waypoint, to a rule or a port that there is', () => {
  const limits = (target: string) =>
    `{kind: RateLimitPolicy, apiVersion: policy.aquifer.dev/v1alpha1, metadata: {name: l, namespace: shop}, spec: {targetRefs: [${target}], limits: [{name: a, requests: 1, unit: Day}]}}`;
  const ofRoute = (section = '') => limits(`{kind: HTTPRoute, group: gateway.networking.k8s.io, name: r${section}}`);
  const service = (labels: string) =>
    `{kind: Service, metadata: {name: web, namespace: shop, labels: {${labels}}}, spec: {clusterIP: 10.96.0.7, ports: [{port: 80, name: http}]}}`;
  const mesh = new TestMesh(`${waypointYaml()}\n---\n${ofRoute()}`);
  const said = () => mesh.conditions('RateLimitPolicy', 'l')['Accepted'];
  assert.equal(said(), 'False TargetNotFound');
  mesh.apply(
    '{kind: HTTPRoute, apiVersion: gateway.networking.k8s.io/v1, metadata: {name: r, namespace: shop}, spec: {parentRefs: [{kind: Service, group: "", name: web}], rules: [{name: buy}]}}',
  );
  assert.equal(said(), 'False AncestorNotBound');
  mesh.apply(service('istio.io/use-waypoint: waypoint'));
  assert.equal(said(), 'True Accepted');
  mesh.apply(service(''));
  assert.equal(said(), 'False AncestorNotBound');
  mesh.apply(service('istio.io/use-waypoint: waypoint'));
  mesh.apply(ofRoute(', sectionName: sell'));
  assert.equal(said(), 'True PartiallyInvalid');
  mesh.apply(ofRoute(', sectionName: buy'));
  assert.equal(said(), 'True Accepted');
  mesh.apply(limits('{kind: Service, group: "", name: web, sectionName: grpc}'));
  assert.equal(said(), 'True PartiallyInvalid');
  mesh.apply(limits('{kind: Service, group: "", name: web, sectionName: http}'));
  assert.equal(said(), 'True Accepted');
});
