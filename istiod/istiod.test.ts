import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { credentials as grpcCredentials, Metadata, status } from '@grpc/grpc-js';
import { generateKeyPair } from 'jose';
import { addressTypeUrl, authorizationTypeUrl } from '../common/api/index.ts';
import { createCsr } from '../common/identity/csr.ts';
import { configMapKind } from '../common/kube/kinds/core.ts';
import { authorizationPolicyKind } from '../common/kube/kinds/security.ts';
import { until } from '../common/testing/until.ts';
import { trustBundleKind, trustBundleName } from './ca/publish/trust-bundle.ts';
import { makeAuthority } from './ca/testing/authorities.ts';
import { bearer, sign, type World, withWorld, XdsClient } from './testing/world.ts';

const namespaces = (...names: string[]) =>
  names.map((n) => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${n}}\n`).join('---\n');
const policy = (port: number) => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: shop}
spec: {action: DENY, rules: [{to: [{operation: {ports: ["${port}"]}}]}]}
`;
const plain = (w: World) => new XdsClient(w, w.istiod.ports.grpc, grpcCredentials.createInsecure());
const portOf = (c: XdsClient) => c.policies.get('shop/p')?.groups[0]?.rules[0]?.matches[0]?.destinationPorts[0];

test('an empty mesh is answered for both types', () =>
  withWorld(async (w) => {
    const c = await plain(w).subscribe().firstAnswers();
    assert.equal(c.addresses.size + c.policies.size, 0);
    assert.equal(new Set(c.responses.map((r) => r.nonce)).size, 2);
  }));

test('first push, a change, a removal', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces('shop'));
    await w.put('p.yaml', policy(80));
    const c = await plain(w).subscribe().firstAnswers();
    await until('first policy', () => portOf(c) === 80);
    await w.put('p.yaml', policy(81));
    await until('changed policy', () => portOf(c) === 81);
    assert.equal(c.responses.at(-1)?.resources.length, 1);
    await w.remove('p.yaml');
    await until('removal', () => !c.policies.has('shop/p'));
  }));

test('a pod is announced without a tunnel until its capture stands, and with its service', () =>
  withWorld(async (w) => {
    await w.put(
      'svc.yaml',
      'apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.7, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n',
    );
    const c = await plain(w).subscribe().firstAnswers();
    await w.pod({ name: 'a', ip: '10.244.1.5', labels: { app: 'web' } });
    const name = 'Kubernetes//Pod/default/a';
    const before = await until('workload', () => c.addresses.get(name));
    assert.ok(before.kind === 'workload' && before.tunnelProtocol === 'NONE');
    assert.deepEqual(before.services.get('default/web.default.svc.cluster.local'), [
      { servicePort: 80, targetPort: 8080 },
    ]);
    const annotations = { 'ambient.istio.io/redirection': 'enabled' };
    await w.source.patch(
      { group: '', version: 'v1', kind: 'Pod', plural: 'pods', namespaced: true },
      { namespace: 'default', name: 'a' },
      { metadata: { annotations } },
    );
    await until('HBONE', () => {
      const now = c.addresses.get(name);
      return now?.kind === 'workload' && now.tunnelProtocol === 'HBONE';
    });
  }));

test('policies go out before the workloads that refer to them', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces('shop'));
    const selecting = policy(80).replace('spec: {', 'spec: {selector: {matchLabels: {app: web}}, ');
    await w.put('p.yaml', selecting);
    await w.pod({ name: 'a', namespace: 'shop', ip: '10.244.1.5', labels: { app: 'web' } });
    const before = plain(w).subscribe();
    await until('istiod to know both', () => {
      const pod = before.addresses.get('Kubernetes//Pod/shop/a');
      return before.policies.has('shop/p') && pod?.kind === 'workload' && pod.authorizationPolicies.includes('shop/p');
    });
    const c = await plain(w).subscribe().firstAnswers();
    assert.deepEqual(
      c.responses.map((r) => r.typeUrl),
      [authorizationTypeUrl, addressTypeUrl],
    );
    await w.remove('p.yaml');
    await until('removal', () => !c.policies.has('shop/p'));
    assert.deepEqual(
      c.responses.slice(2).map((r) => r.typeUrl),
      [addressTypeUrl, authorizationTypeUrl],
    );
  }));

test('a client that reconnects gets only what it lacks', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces('shop'));
    await w.put('p.yaml', policy(80));
    await w.pod({ name: 'a', ip: '10.244.1.5' });
    await w.pod({ name: 'b', ip: '10.244.1.6' });
    const first = await plain(w).subscribe().firstAnswers();
    await until('everything', () => first.addresses.size === 2 && first.policies.size === 1);
    first.close();
    first.versions[addressTypeUrl].set('Kubernetes//Pod/default/gone', 'x');
    first.versions[addressTypeUrl].delete('Kubernetes//Pod/default/b');
    await w.restart();
    const second = await plain(w).subscribe({}, first.versions).firstAnswers();
    assert.deepEqual([...second.addresses.keys()], ['Kubernetes//Pod/default/b']);
    assert.deepEqual([...second.policies.keys()], []);
    assert.deepEqual(
      second.responses.flatMap((r) => r.removedResources),
      ['Kubernetes//Pod/default/gone'],
    );
  }));

test('a NACK is logged and counted, and later changes still come', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces('shop'));
    const c = plain(w);
    c.refuse = (r) => (r.resources.length > 0 ? 'shop/p: I do not like it' : undefined);
    await c.subscribe().firstAnswers();
    await w.put('p.yaml', policy(80));
    await until('the NACK in the log', () => w.lines.some((l) => l.includes('NACK') && l.includes('do not like it')));
    const metrics = await (await fetch(`http://127.0.0.1:${w.istiod.ports.monitoring}/metrics`)).text();
    assert.match(metrics, /pilot_total_xds_rejects\{type="wads"\} 1/);
    assert.match(metrics, /pilot_k8s_cfg_events\{type="AuthorizationPolicy",event="add"\} 1/);
    assert.match(metrics, /istiod_managed_clusters\{cluster_type="local"\} 1/);
    for (const name of ['pilot_virt_services', 'pilot_total_xds_internal_errors', 'auto_registration_errors_total'])
      assert.match(metrics, new RegExp(`^${name} 0$`, 'm'));
    c.refuse = () => undefined;
    await w.put('p.yaml', policy(81));
    await until('the next version', () => portOf(c) === 81);
  }));

test('changes are merged while a client has not answered', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces('shop'));
    const c = plain(w);
    const metadata = c.stream.write.bind(c.stream);
    await c.subscribe().firstAnswers();
    const held: Parameters<typeof metadata>[0][] = [];
    c.stream.write = (m: Parameters<typeof metadata>[0]) => held.push(m) > 0;
    await w.put('p.yaml', policy(80));
    await until('first version', () => portOf(c) === 80);
    for (const port of [81, 82, 83]) await w.put('p.yaml', policy(port));
    await until('istiod saw the last', async () => {
      const p = await w.source.get(authorizationPolicyKind, { namespace: 'shop', name: 'p' });
      return p?.spec?.rules?.[0]?.to?.[0]?.operation?.ports?.[0] === '83';
    });
    c.stream.write = metadata;
    for (const m of held) metadata(m);
    await until('last version', () => portOf(c) === 83);
    assert.equal(c.responses.filter((r) => r.resources.length > 0).length, 2);
  }));

test('an on-demand client gets what it names and nothing else', () =>
  withWorld(async (w) => {
    await w.pod({ name: 'a', ip: '10.244.2.5', node: 'node-2' });
    await w.pod({ name: 'b', ip: '10.244.2.6', node: 'node-2' });
    const c = plain(w);
    c.stream.write({
      node: { id: 'ztunnel~10.0.0.1~zt.istio-system~x' },
      typeUrl: addressTypeUrl,
      resourceNamesSubscribe: ['*'],
      resourceNamesUnsubscribe: ['*'],
    });
    await until('an empty answer', () => c.responses.length === 1);
    assert.equal(c.addresses.size, 0);
    c.stream.write({ typeUrl: addressTypeUrl, resourceNamesSubscribe: ['/10.244.2.6', '/10.9.9.9'] });
    await until('the answer', () => c.responses.length === 2);
    assert.deepEqual([...c.addresses.keys()], ['Kubernetes//Pod/default/b']);
    assert.deepEqual(c.responses[1]?.removedResources, ['/10.9.9.9']);
  }));

test('a node id that is no ztunnel, and an unknown type, end the stream', () =>
  withWorld(async (w) => {
    for (const request of [
      { node: { id: 'sidecar~1.1.1.1~a.b~c' }, typeUrl: addressTypeUrl },
      { typeUrl: addressTypeUrl },
      { node: { id: 'ztunnel~1.1.1.1~a.b~c' }, typeUrl: 'type.googleapis.com/none' },
    ]) {
      const c = plain(w);
      c.stream.write(request);
      await until('the end', () => c.status?.code === status.INVALID_ARGUMENT);
    }
  }));

test('the TLS port serves a caller whose token and node agree', () =>
  withWorld(async (w) => {
    const open = async (metadata = bearer('x'), node: Record<string, string> = {}) =>
      new XdsClient(w, w.istiod.ports.secureGrpc, w.tls(), metadata).subscribe(node);
    const good = bearer(await w.token(), { clusterid: 'Kubernetes' });
    await (await open(good)).firstAnswers();
    const foreign = await open(good, { NAMESPACE: 'shop' });
    await until('refusal', () => foreign.status?.code === status.PERMISSION_DENIED);
    const other = await open(good, { SERVICE_ACCOUNT: 'other' });
    await until('refusal', () => other.status?.code === status.PERMISSION_DENIED);
    const unknownCluster = await open(bearer(await w.token(), { clusterid: 'far' }));
    await until('refusal', () => unknownCluster.status?.code === status.UNAUTHENTICATED);
  }));

test('tokens that are forged, expired or for somebody else are refused alike', () =>
  withWorld(async (w) => {
    const uid = await w.pod({ name: 'zt' });
    const pod = { name: 'zt', uid };
    const { privateKey } = await generateKeyPair('ES256');
    const bad: Record<string, string> = {
      forged: await w.token({ pod, key: privateKey }),
      expired: await w.token({ pod, expiresIn: -1 }),
      audience: await w.token({ pod, audience: 'kubernetes' }),
      issuer: await w.token({ pod, issuer: 'https://else.test' }),
      unbound: await w.token({ pod: undefined }),
      subject: await w.token({ pod, subject: 'system:serviceaccount:istio-system:other' }),
      unsigned: 'eyJhbGciOiJub25lIn0.e30.',
      nonsense: 'nonsense',
    };
    for (const [name, token] of Object.entries(bad)) {
      const answer = await sign(w, { metadata: bearer(token) });
      assert.ok(answer instanceof Error, name);
      assert.equal(answer.code, status.UNAUTHENTICATED, name);
      assert.equal(answer.details, 'request authenticate failure', name);
    }
    assert.equal(w.lines.filter((l) => l.includes('certificate refused')).length, Object.keys(bad).length);
  }));

test('impersonation is for pods of the own node only', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces('shop', 'istio-system'));
    const zt = { namespace: 'istio-system', serviceAccount: 'ztunnel' };
    const uid = await w.pod({ name: 'zt', ...zt });
    await w.pod({ name: 'app', namespace: 'shop', serviceAccount: 'web' });
    await w.pod({ name: 'far', namespace: 'shop', serviceAccount: 'far', node: 'node-2' });
    await w.pod({ name: 'dead', namespace: 'shop', serviceAccount: 'dead', phase: 'Failed' });
    const otherUid = await w.pod({ name: 'other', namespace: 'istio-system', serviceAccount: 'other' });
    const good = await w.token({ pod: { name: 'zt', uid } });
    const id = (account: string, td = 'cluster.local') => `spiffe://${td}/ns/shop/sa/${account}`;
    const cases: [string, string, string, boolean][] = [
      ['a pod of the node', good, id('web'), true],
      ['a pod of another node', good, id('far'), false],
      ['a failed pod', good, id('dead'), false],
      ['nobody', good, id('nobody'), false],
      ['a foreign trust domain', good, id('web', 'other.td'), false],
      ['no SPIFFE id', good, 'web', false],
      ['a pod that was replaced', await w.token({ pod: { name: 'zt', uid: 'old' } }), id('web'), false],
      ['a pod that is gone', await w.token({ pod: { name: 'gone', uid } }), id('web'), false],
      [
        'an account that is not trusted',
        await w.token({ serviceAccount: 'other', pod: { name: 'other', uid: otherUid } }),
        id('web'),
        false,
      ],
    ];
    for (const [name, token, impersonate, permitted] of cases) {
      const answer = await sign(w, { metadata: bearer(token), impersonate });
      assert.equal(!(answer instanceof Error), permitted, name);
      if (answer instanceof Error) {
        assert.equal(answer.code, status.UNAUTHENTICATED, name);
        assert.equal(answer.details, 'request authenticate failure', name);
        continue;
      }
      const leaf = new X509Certificate(answer[0]!);
      assert.equal(leaf.subjectAltName, `URI:${impersonate}`);
      const root = new X509Certificate(answer.at(-1)!);
      assert.ok(answer.length >= 2 && leaf.verify(root.publicKey) && leaf.checkIssued(root));
      const life = leaf.validToDate.getTime() - leaf.validFromDate.getTime();
      assert.equal(life, 24 * 3_600_000 + 120_000);
    }
  }));

test('lifetime and key of a request are bounded', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces('istio-system'));
    const uid = await w.pod({ name: 'zt', namespace: 'istio-system', serviceAccount: 'ztunnel' });
    const metadata = bearer(await w.token({ pod: { name: 'zt', uid } }));
    const own = await until('the pod to be known, and its certificate', async () => {
      const answer = await sign(w, { metadata, seconds: 60 });
      return !(answer instanceof Error) && answer;
    });
    assert.equal(new X509Certificate(own[0]!).subjectAltName, 'URI:spiffe://cluster.local/ns/istio-system/sa/ztunnel');
    const { csr } = await createCsr({ trustDomain: 'a', namespace: 'b', serviceAccount: 'c' });
    const tampered = `${csr.slice(0, 200)}${csr[200] === 'A' ? 'B' : 'A'}${csr.slice(201)}`;
    for (const request of [{ seconds: 2161 * 3600 }, { csr: 'nonsense' }, { csr: tampered }]) {
      const answer = await sign(w, { metadata, ...request });
      assert.ok(answer instanceof Error && answer.code === status.INVALID_ARGUMENT, JSON.stringify(request));
    }
  }));

test('a client certificate of our CA opens a stream of the mesh, and gets another one for a machine alone', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces('istio-system'));
    const uid = await w.pod({ name: 'zt', namespace: 'istio-system', serviceAccount: 'ztunnel' });
    const request = await createCsr({ trustDomain: 'a', namespace: 'b', serviceAccount: 'c' });
    const metadata = bearer(await w.token({ pod: { name: 'zt', uid } }));
    const chain = await until('the pod to be known, and its certificate', async () => {
      const answer = await sign(w, { metadata, csr: request.csr });
      return !(answer instanceof Error) && answer;
    });
    const credentials = grpcCredentials.createSsl(
      Buffer.from(w.istiod.rootCertificate),
      Buffer.from(request.privateKey),
      Buffer.from(chain.join('')),
    );
    await new XdsClient(w, w.istiod.ports.secureGrpc, credentials).subscribe().firstAnswers();
    const empty = new Metadata();
    const web = 'spiffe://cluster.local/ns/shop/sa/web';
    for (const refused of [{ credentials }, { credentials, impersonate: web }, {}]) {
      const answer = await sign(w, { metadata: empty, ...refused });
      assert.ok(
        answer instanceof Error && answer.code === status.UNAUTHENTICATED,
        JSON.stringify(Object.keys(refused)),
      );
    }
    await w.put(
      'vm.yaml',
      `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: istio-system}
spec: {address: 192.0.2.1, serviceAccount: ztunnel}`,
    );
    const renewed = await sign(w, { metadata: empty, credentials });
    assert.ok(Array.isArray(renewed), String(renewed));
  }));

test('the root is published in every namespace, also in those that come later, and repaired', () =>
  withWorld(async (w) => {
    const kind = { group: '', version: 'v1', kind: 'ConfigMap', plural: 'configmaps', namespaced: true };
    const published = (namespace: string) =>
      until(`root in ${namespace}`, async () => {
        const map = await w.source.get(kind, { namespace, name: 'istio-ca-root-cert' });
        return (map?.['data'] as Record<string, string> | undefined)?.['root-cert.pem'] === w.istiod.rootCertificate;
      });
    await published('default');
    await w.put('ns.yaml', namespaces('shop'));
    await published('shop');
    await w.source.delete(kind, { namespace: 'shop', name: 'istio-ca-root-cert' });
    await published('shop');
  }));

test('where the server has ClusterTrustBundles, the root is one that pods can mount', () =>
  withWorld(async (w) => {
    const kind = trustBundleKind('v1');
    const isPublished = async () => {
      const bundle = await w.source.get(kind, { name: trustBundleName });
      return bundle?.spec?.trustBundle === w.istiod.rootCertificate && bundle.spec.signerName === 'istio.io/istiod-ca';
    };
    await until('the bundle', isPublished);
    const foreign = await makeAuthority();
    await w.source.patch(kind, { name: trustBundleName }, { spec: { trustBundle: foreign.certificate } });
    await w.restart();
    await until('the bundle again', isPublished);
  }));

test('an istiod whose data folder was lost does not start with another root', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces('istio-system'));
    const key = { namespace: 'istio-system', name: 'istio-ca-root-cert' };
    await until('the root', () => w.source.get(configMapKind, key));
    await rm(join(w.dir, 'data'), { recursive: true });
    await assert.rejects(w.restart(), /istio-ca-root-cert/);
    await w.source.delete(configMapKind, key);
    await w.restart();
  }));

test('a policy with parts that node proxies cannot check says so in its status', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces('shop'));
    await w.put('p.yaml', policy(80).replace('ports: ["80"]', 'paths: ["/admin"]'));
    await until('condition', async () => {
      const p = await w.source.get(authorizationPolicyKind, { namespace: 'shop', name: 'p' });
      const [condition] = p?.status?.conditions ?? [];
      return condition?.type === 'ZtunnelAccepted' && condition.reason === 'UnsupportedValue';
    });
  }));

test('a PeerAuthentication of the mesh reaches the workloads', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces('shop', 'istio-system'));
    await w.pod({ name: 'a', namespace: 'shop', ip: '10.244.1.5' });
    const c = await plain(w).subscribe().firstAnswers();
    const peer = (spec: string) => `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: ${spec}
`;
    const listed = () => {
      const a = c.addresses.get('Kubernetes//Pod/shop/a');
      return a?.kind === 'workload' ? a.authorizationPolicies.join() : undefined;
    };
    await w.put('peer.yaml', peer('{mtls: {mode: STRICT}}'));
    const strict = 'istio-system/istio_converted_static_strict';
    await until('the policy and who lists it', () => c.policies.has(strict) && listed() === strict);
    await w.put('peer.yaml', peer('{mtls: {mode: PERMISSIVE}}'));
    await until('plain text', () => listed() === '');
  }));

test('monitoring shows readiness, problems and clients', () =>
  withWorld(async (w) => {
    w.problems = [{ file: 'bad.yaml', line: 2, message: 'no such kind' }];
    const get = (path: string) => fetch(`http://127.0.0.1:${w.istiod.ports.monitoring}${path}`);
    assert.equal((await get('/ready')).status, 200);
    await until('the problem', async () =>
      (await (await get('/debug/problems')).text()).includes('bad.yaml:2:1: no such kind'),
    );
    assert.match(await (await get('/metrics')).text(), /aquifer_kube_problems 1/);
    await plain(w).subscribe().firstAnswers();
    assert.match(await (await get('/debug/syncz')).text(), /"proxy": "zt\.istio-system"/);
    assert.equal((await get('/nope')).status, 404);
  }));
