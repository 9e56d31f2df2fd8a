/** Nobody gets a certificate for whom it is not: reliability.md S9, a case a line. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { generateKeyPair } from 'jose';
import { createCsr } from '../../common/identity/csr.ts';
import { type Asking, type TestService, withService } from './testing/service.ts';

const web = 'spiffe://cluster.local/ns/shop/sa/web';
const zt = { name: 'zt', uid: 'zt-uid' };
const csrFor = async (serviceAccount = 'web', trustDomain = 'cluster.local') =>
  (await createCsr({ trustDomain, namespace: 'shop', serviceAccount })).csr;

/** node-1: a ztunnel and pods of shop/web and shop/dead; node-2: another ztunnel and shop/far. */
async function withNodes(body: (s: TestService) => Promise<void>): Promise<void> {
  await withService(async (s) => {
    s.pod('zt', 'istio-system/ztunnel', 'node-1', { uid: zt.uid });
    s.pod('zt2', 'istio-system/ztunnel', 'node-2', { uid: 'zt2-uid' });
    s.pod('web', 'shop/web', 'node-1', { uid: 'web-uid' });
    s.pod('dead', 'shop/dead', 'node-1', { phase: 'Failed' });
    s.pod('far', 'shop/far', 'node-2');
    s.pod('other', 'istio-system/other', 'node-1', { uid: 'other-uid' });
    await body(s);
  });
}

test('the ztunnel of a node gets certificates of its pods, whatever the CSR names', () =>
  withNodes(async (s) => {
    for (const csr of [await csrFor(), await csrFor('admin'), await csrFor('web', 'evil')]) {
      const chain = await s.ask({ token: await s.token({ pod: zt }), csr, impersonate: web });
      assert.ok(Array.isArray(chain));
      assert.equal(new X509Certificate(chain[0]).subjectAltName, `URI:${web}`);
    }
    const { caller, identity, serial } = JSON.parse(s.lines.at(-1)!);
    assert.deepEqual([caller, identity], ['istio-system/ztunnel', web]);
    assert.match(serial, /^[0-9a-f]{32}$/);
    assert.match(s.lines.at(-1)!, /"pod":"zt".*"node":"node-1"/);
  }));

test('a pod gets its own certificate only', () =>
  withNodes(async (s) => {
    const token = await s.token({ namespace: 'shop', account: 'web', pod: { name: 'web', uid: 'web-uid' } });
    const chain = await s.ask({ token, csr: await csrFor('admin') });
    assert.ok(Array.isArray(chain));
    assert.equal(new X509Certificate(chain[0]).subjectAltName, `URI:${web}`);
  }));

type Case = readonly [string, (s: TestService) => Promise<Partial<Asking>>, RegExp];

const tokenOf = (o: Parameters<TestService['token']>[0]) => async (s: TestService) => ({ token: await s.token(o) });
const machine = (namespace: string, serviceAccount: string) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'WorkloadEntry',
  metadata: { name: 'vm', namespace, uid: 'u', resourceVersion: '1' },
  spec: { address: '192.0.2.1', serviceAccount },
});

const cases: readonly Case[] = [
  ['no token', async () => ({ token: undefined }), /neither a token nor a client certificate/],
  ['an empty token', async () => ({ token: '' }), /no bearer token/],
  ['an expired token', tokenOf({ pod: zt, expiresIn: -1 }), /"exp" claim/],
  ['a token for another audience', tokenOf({ pod: zt, audience: 'kubernetes' }), /"aud" claim/],
  ['a token of a foreign issuer', tokenOf({ pod: zt, issuer: 'https://else.test' }), /"iss" claim/],
  [
    'a token signed by a foreign key',
    async (s) => ({ token: await s.token({ pod: zt, key: (await generateKeyPair('ES256')).privateKey }) }),
    /signature verification failed/,
  ],
  ['a token that is bound to no pod', tokenOf({ pod: null }), /not bound to a pod/],
  ['a token of a pod that is deleted', tokenOf({ pod: { name: 'gone', uid: 'gone-uid' } }), /gone does not exist/],
  ['a token of a pod that was replaced', tokenOf({ pod: { name: 'zt', uid: 'old-uid' } }), /another one than/],
  ['a token of a pod that runs as another', tokenOf({ pod: { name: 'web', uid: 'web-uid' } }), /does not exist/],
  [
    'a token whose pod runs as another account',
    tokenOf({ pod: { name: 'other', uid: 'other-uid' } }),
    /does not run as the token's service account/,
  ],
  ['the ztunnel of another node', tokenOf({ pod: { name: 'zt2', uid: 'zt2-uid' } }), /shop\/web runs on node node-2/],
  [
    'an account without a pod on the node',
    async (s) => ({ token: await s.token({ pod: zt }), impersonate: 'spiffe://cluster.local/ns/shop/sa/far' }),
    /no pod of shop\/far runs on node node-1/,
  ],
  [
    'an account whose only pod failed',
    async (s) => ({ token: await s.token({ pod: zt }), impersonate: 'spiffe://cluster.local/ns/shop/sa/dead' }),
    /no pod of shop\/dead/,
  ],
  [
    'a pod gone since',
    async (s) => {
      s.pods.delete('shop/web');
      return { token: await s.token({ pod: zt }) };
    },
    /no pod of shop\/web/,
  ],
  [
    'the ztunnel itself gone since',
    async (s) => {
      s.pods.delete('istio-system/zt');
      return { token: await s.token({ pod: zt }) };
    },
    /pod istio-system\/zt does not exist/,
  ],
  [
    'a plain workload impersonating its own node',
    tokenOf({ namespace: 'shop', account: 'web', pod: { name: 'web', uid: 'web-uid' } }),
    /not in CA_TRUSTED_NODE_ACCOUNTS/,
  ],
  [
    "an account of istiod's namespace that is not the trusted ztunnel's",
    tokenOf({ account: 'other', pod: { name: 'other', uid: 'other-uid' } }),
    /not in CA_TRUSTED_NODE_ACCOUNTS/,
  ],
  [
    'a foreign trust domain',
    async (s) => ({ token: await s.token({ pod: zt }), impersonate: 'spiffe://other.td/ns/shop/sa/web' }),
    /trust domain other.td/,
  ],
  ...[
    'web',
    '',
    'spiffe://cluster.local/ns/shop',
    `${web}/x`,
    `${web}\n`,
    `${web},${web}`,
    'spiffe://cluster.local/ns/../sa/web',
  ].map(
    (impersonate): Case => [
      `no SPIFFE id: ${JSON.stringify(impersonate)}`,
      async (s) => ({ token: await s.token({ pod: zt }), impersonate }),
      /no SPIFFE id/,
    ],
  ),
  [
    'a client certificate impersonating',
    async () => ({ token: undefined, clientNames: 'URI:spiffe://cluster.local/ns/istio-system/sa/ztunnel' }),
    /no token that is bound to a pod/,
  ],
  [
    'a client certificate for itself',
    async () => ({ token: undefined, impersonate: undefined, clientNames: `URI:${web}` }),
    /no WorkloadEntry has its service account/,
  ],
  [
    'a client certificate of a machine in another namespace',
    async (s) => {
      s.entries.set('far/vm', machine('far', 'web'));
      return { token: undefined, impersonate: undefined, clientNames: `URI:${web}` };
    },
    /no WorkloadEntry has its service account/,
  ],
  [
    "a machine's certificate impersonating, its own account too",
    async (s) => {
      s.entries.set('shop/vm', machine('shop', 'web'));
      return { token: undefined, clientNames: `URI:${web}` };
    },
    /CA_TRUSTED_NODE_ACCOUNTS/,
  ],
  [
    "a machine's certificate that has ended meanwhile",
    async (s) => {
      s.entries.set('shop/vm', machine('shop', 'web'));
      const clientUntil = 'Jan  1 00:00:00 2020 GMT';
      return { token: undefined, impersonate: undefined, clientNames: `URI:${web}`, clientUntil };
    },
    /has ended/,
  ],
  [
    'another cluster',
    async (s) => ({ token: await s.token({ pod: zt }), headers: { clusterid: 'far' } }),
    /"far" is not known/,
  ],
];

for (const [name, change, reason] of cases) {
  test(`refused: ${name}`, () =>
    withNodes(async (s) => {
      const answer = await s.ask({ csr: await csrFor(), impersonate: web, ...(await change(s)) });
      assert.deepEqual(answer, { code: status.UNAUTHENTICATED, details: 'request authenticate failure' });
      assert.equal(s.issued.length, 0);
      assert.equal(s.lines.length, 1);
      assert.match(JSON.parse(s.lines[0]!).reason, reason);
      const metrics = await s.registry.metrics();
      assert.match(metrics, /citadel_server_authentication_failure_count 1/);
      assert.match(metrics, /citadel_server_success_cert_issuance_count 0/);
    }));
}

test('an impersonated identity that is no text is as none: the caller gets its own', () =>
  withNodes(async (s) => {
    const odd = { kind: 'numberValue', numberValue: 1 };
    const chain = await s.ask({ token: await s.token({ pod: zt }), csr: await csrFor(), impersonate: odd });
    assert.ok(Array.isArray(chain));
    assert.match(new X509Certificate(chain[0]).subjectAltName ?? '', /sa\/ztunnel$/);
  }));

test('a machine renews its certificate with the one that it has, for its own account', () =>
  withNodes(async (s) => {
    s.entries.set('shop/vm', machine('shop', 'web'));
    const answer = await s.ask({ csr: await csrFor(), clientNames: `URI:${web}` });
    assert.ok(Array.isArray(answer), JSON.stringify(answer));
    assert.equal(new X509Certificate(answer[0]).subjectAltName, `URI:${web}`);
    assert.deepEqual([s.issued[0]?.impersonated, s.issued[0]?.caller.pod], [false, undefined]);
  }));

test('a caller may call the cluster by its alias', () =>
  withNodes(async (s) => {
    const headers = { clusterid: 'old-name' };
    const answer = await s.ask({ token: await s.token({ pod: zt }), csr: await csrFor(), impersonate: web, headers });
    assert.ok(Array.isArray(answer), JSON.stringify(answer));
  }));
