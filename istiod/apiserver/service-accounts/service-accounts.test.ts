import assert from 'node:assert/strict';
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  importPKCS8,
  type JWTPayload,
  jwtVerify,
  SignJWT,
} from 'jose';
import { systemClock } from '../../../common/core/clock.ts';
import { createApiReviewer } from '../../ca/tokens/api.ts';
import { createJwksReviewer, issuerInFile } from '../../ca/tokens/jwks.ts';
import { type Json, startTestServer, TestClient, type TestServer } from '../testing/client.ts';
import { issuer } from './claims.ts';

let running: TestServer;
let client: TestClient;
before(async () => {
  running = await startTestServer();
  client = running.client;
  await post('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } });
  await post('/api/v1/namespaces/default/serviceaccounts', account('app'));
  await post('/api/v1/namespaces/default/serviceaccounts', account('other'));
});
after(() => running[Symbol.asyncDispose]());

const accounts = '/api/v1/namespaces/default/serviceaccounts';
const pods = '/api/v1/namespaces/default/pods';
const account = (name: string) => ({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } });
const pod = (name: string, serviceAccountName = 'app') => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { serviceAccountName, nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] },
});

async function post(path: string, body: object): Promise<Json> {
  const { code, json } = await client.ask(path, { method: 'POST', body });
  assert.equal(code, 201, JSON.stringify(json));
  return json;
}

const ask = (spec: object, name = 'app') =>
  client.ask(`${accounts}/${name}/token`, {
    method: 'POST',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec },
  });

async function token(spec: object = {}): Promise<string> {
  const { code, json } = await ask(spec);
  assert.equal(code, 201, JSON.stringify(json));
  return json.status.token;
}

async function review(value: string, audiences: readonly string[] = []): Promise<Json> {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token: value, audiences } };
  return (await post('/apis/authentication.k8s.io/v1/tokenreviews', body)).status;
}

/** The server's answer to a request with this token: 401, or 403 where it is known who asks. */
async function codeWith(value: string): Promise<number> {
  return (await client.ask(`${pods}?limit=1`, { headers: { authorization: `Bearer ${value}` } })).code;
}

async function assertRefused(value: string, why: RegExp): Promise<void> {
  const status = await review(value);
  assert.notEqual(status.authenticated, true);
  assert.deepEqual(status.user, {});
  assert.match(status.error, why);
  assert.equal(await codeWith(value), 401);
}

describe('TokenRequest', () => {
  test('gives a token with the claims of Kubernetes, for an hour', async () => {
    const { json } = await ask({});
    const { uid } = (await client.ask(`${accounts}/app`)).json.metadata;
    const claims = decodeJwt(json.status.token);
    assert.deepEqual(json.spec, { audiences: [issuer], expirationSeconds: 3600 });
    assert.deepEqual([json.kind, json.metadata.name, json.metadata.namespace], ['TokenRequest', 'app', 'default']);
    assert.deepEqual(
      [claims.iss, claims.sub, claims.aud, claims['kubernetes.io']],
      [
        issuer,
        'system:serviceaccount:default:app',
        [issuer],
        { namespace: 'default', serviceaccount: { name: 'app', uid } },
      ],
    );
    assert.equal(claims.exp! - claims.iat!, 3600);
    assert.equal(claims.nbf, claims.iat);
    assert.equal(Date.parse(json.status.expirationTimestamp), claims.exp! * 1000);
    assert.match(claims.jti!, /^[0-9a-f-]{36}$/);
    assert.deepEqual(Object.keys(decodeProtectedHeader(json.status.token)).sort(), ['alg', 'kid']);
  });

  test('binds it to a pod and its node, a Secret or a node', async () => {
    const { metadata } = await post(pods, pod('bound'));
    const node = (await client.ask('/api/v1/nodes/n1')).json.metadata.uid;
    const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name: 'bound', uid: metadata.uid };
    const claims = decodeJwt(await token({ boundObjectRef }))['kubernetes.io'] as Json;
    assert.deepEqual(claims.pod, { name: 'bound', uid: metadata.uid });
    assert.deepEqual(claims.node, { name: 'n1', uid: node });
    const ofNode = decodeJwt(await token({ boundObjectRef: { kind: 'Node', apiVersion: 'v1', name: 'n1' } }));
    assert.deepEqual((ofNode['kubernetes.io'] as Json).node, { name: 'n1', uid: node });
    await post('/api/v1/namespaces/default/secrets', { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' } });
    const ofSecret = decodeJwt(await token({ boundObjectRef: { kind: 'Secret', apiVersion: 'v1', name: 's' } }));
    assert.equal((ofSecret['kubernetes.io'] as Json).secret.name, 's');
  });

  test('gives what kubelets ask for by default a year, and says when it is old', async () => {
    await post(pods, pod('long'));
    const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name: 'long' };
    const claims = decodeJwt(await token({ boundObjectRef, expirationSeconds: 3607 }));
    assert.equal(claims.exp! - claims.iat!, 365 * 86_400);
    assert.equal((claims['kubernetes.io'] as Json).warnafter, claims.iat! + 3607);
    const foreign = decodeJwt(await token({ boundObjectRef, expirationSeconds: 3607, audiences: ['istio-ca'] }));
    assert.equal(foreign.exp! - foreign.iat!, 3607);
  });

  test('refuses what cannot be', async () => {
    await post(pods, pod('foreign', 'other'));
    const ref = (kind: string, name: string, uid?: string) => ({
      boundObjectRef: { kind, apiVersion: 'v1', name, uid },
    });
    const cases: readonly [object, number, RegExp][] = [
      [{ expirationSeconds: 599 }, 422, /spec.expirationSeconds: .*less than 10 minutes/],
      [{ expirationSeconds: 2 ** 32 + 1 }, 422, /larger than 2\^32/],
      [{ expirationSeconds: 'x' }, 422, /spec.expirationSeconds/],
      [ref('Pod', 'none'), 404, /pods "none" not found/],
      [ref('Pod', 'foreign'), 400, /different serviceaccount name/],
      [ref('ConfigMap', 'x'), 400, /cannot bind/],
      [ref('Node', 'n1', 'wrong'), 409, /UID in the bound object reference \(wrong\)/],
    ];
    for (const [spec, code, message] of cases) {
      const answer = await ask(spec);
      assert.deepEqual([answer.code, answer.json.kind], [code, 'Status'], JSON.stringify(answer.json));
      assert.match(answer.json.message, message);
    }
    assert.equal((await ask({}, 'nobody')).code, 404);
    assert.equal((await client.ask(`${accounts}/app/token`)).code, 405);
  });
});

describe('a new pod', () => {
  const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
  let made = 0;
  const mounts = async (spec: object, mount?: object) => {
    const container = { name: 'c', image: 'i', ...(mount && { volumeMounts: [mount] }) };
    const init = [{ name: 'i', image: 'i' }];
    const body = {
      metadata: { name: `mounts-${++made}` },
      spec: { initContainers: init, containers: [container], ...spec },
    };
    const { spec: got } = await post(pods, { apiVersion: 'v1', kind: 'Pod', ...body });
    const of = (list: Json[]) => list.map((c) => (c.volumeMounts ?? []).map((m: Json) => `${m.name} ${m.mountPath}`));
    return {
      account: got.serviceAccountName,
      volumes: got.volumes ?? [],
      mounts: [...of(got.initContainers), ...of(got.containers)],
    };
  };

  test("shows its account's token in its spec", async () => {
    const { account, volumes, mounts: where } = await mounts({});
    assert.equal(account, 'default');
    const [{ name, projected }] = volumes;
    assert.match(name, /^kube-api-access-[a-z0-9]{5}$/);
    assert.deepEqual(where, [[`${name} ${mountPath}`], [`${name} ${mountPath}`]]);
    assert.deepEqual(
      projected.sources.map((s: Json) => Object.keys(s)[0]),
      ['serviceAccountToken', 'configMap', 'downwardAPI'],
    );
  });

  test('has none where it, or its account, says so, nor over what is mounted there', async () => {
    const none = { account: 'default', volumes: [], mounts: [[], []] };
    assert.deepEqual(await mounts({ automountServiceAccountToken: false }), none);
    await post(accounts, { ...account('shy'), automountServiceAccountToken: false });
    assert.deepEqual(await mounts({ serviceAccountName: 'shy' }), { ...none, account: 'shy' });
    assert.equal((await mounts({ serviceAccountName: 'shy', automountServiceAccountToken: true })).volumes.length, 1);
    const own = await mounts(
      { initContainers: [], volumes: [{ name: 'own', emptyDir: {} }] },
      { name: 'own', mountPath },
    );
    assert.deepEqual([own.volumes.length, own.mounts], [1, [[`own ${mountPath}`]]]);
  });
});

describe('TokenReview', () => {
  test('says who it is, with the pod and the node', async () => {
    const made = await post(pods, pod('reviewed'));
    const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name: 'reviewed' };
    const status = await review(await token({ boundObjectRef, audiences: ['istio-ca', 'b'] }), ['x', 'istio-ca']);
    assert.equal(status.authenticated, true);
    assert.deepEqual(status.audiences, ['istio-ca']);
    assert.equal(status.user.username, 'system:serviceaccount:default:app');
    assert.deepEqual(status.user.groups, [
      'system:serviceaccounts',
      'system:serviceaccounts:default',
      'system:authenticated',
    ]);
    assert.deepEqual(status.user.extra['authentication.kubernetes.io/pod-uid'], [made.metadata.uid]);
    assert.deepEqual(status.user.extra['authentication.kubernetes.io/node-name'], ['n1']);
    assert.match(status.user.extra['authentication.kubernetes.io/credential-id'][0], /^JTI=/);
  });

  test("knows the administrator's token, for the API server alone", async () => {
    const status = await review(client.config.token);
    assert.deepEqual([status.authenticated, status.user.username], [true, 'admin']);
    assert.match((await review(client.config.token, ['istio-ca'])).error, /none of/);
    assert.equal((await review('nonsense')).error, 'invalid bearer token');
  });

  test('a token for another audience is nobody here', async () => {
    const value = await token({ audiences: ['istio-ca'] });
    await assertRefused(value, /audiences \["istio-ca"\] is invalid for the target audiences/);
    assert.equal((await review(value, ['istio-ca'])).authenticated, true);
    assert.equal(await codeWith(await token()), 403);
  });

  test('a token ends with what it is bound to, and with its account', async () => {
    for (const [kind, path, body] of [
      ['Pod', pods, pod('gone')],
      [
        'Secret',
        '/api/v1/namespaces/default/secrets',
        { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'gone' } },
      ],
      ['Node', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'gone' } }],
    ] as const) {
      await post(path, body);
      const value = await token({ boundObjectRef: { kind, apiVersion: 'v1', name: 'gone' } });
      assert.equal(await codeWith(value), 403);
      await client.ask(`${path}/gone?gracePeriodSeconds=0`, { method: 'DELETE' });
      await assertRefused(value, /gone does not exist/);
      await post(path, body);
      await assertRefused(value, /another one/);
    }
    await post(accounts, account('short'));
    const value = (await ask({}, 'short')).json.status.token;
    await client.ask(`${accounts}/short`, { method: 'DELETE' });
    await assertRefused(value, /short does not exist/);
    await post(accounts, account('short'));
    await assertRefused(value, /another one/);
  });
});

describe('forged tokens', () => {
  let key: Awaited<ReturnType<typeof importPKCS8>>;
  let good: JWTPayload;
  let kid: string;
  before(async () => {
    key = await importPKCS8(await readFile(join(running.dataDir, 'pki', 'service-accounts.pem'), 'utf8'), 'ES256');
    const value = await token();
    good = decodeJwt(value);
    kid = decodeProtectedHeader(value).kid!;
  });

  const signed = (payload: JWTPayload, by: KeyObject | typeof key = key, header: object = { alg: 'ES256', kid }) =>
    new SignJWT(payload).setProtectedHeader(header as { alg: string }).sign(by);
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

  test('the real key signs what is taken', async () => {
    assert.equal((await review(await signed(good))).authenticated, true);
    assert.equal((await review(await signed(good, key, { alg: 'ES256' }))).authenticated, true);
  });

  test('times', async () => {
    const now = Math.floor(Date.now() / 1000);
    await assertRefused(await signed({ ...good, exp: now - 1 }), /exp/);
    await assertRefused(await signed({ ...good, nbf: now + 60 }), /nbf/);
    const { exp: _exp, ...endless } = good;
    await assertRefused(await signed(endless), /exp/);
  });

  test('signatures: none, by a shared secret, by another key, of another text', async () => {
    const body = part(good);
    for (const alg of ['none', 'None', 'NONE', '']) await assertRefused(`${part({ alg, kid })}.${body}.`, /./);
    const { keys } = (await client.ask('/openid/v1/jwks')).json;
    const publicKey = createPublicKey({ key: keys[0], format: 'jwk' });
    for (const secret of [
      publicKey.export({ type: 'spki', format: 'pem' }),
      publicKey.export({ type: 'spki', format: 'der' }),
      JSON.stringify(keys[0]),
      '',
    ]) {
      const text = `${part({ alg: 'HS256', kid })}.${body}`;
      await assertRefused(`${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`, /alg/);
    }
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await assertRefused(await signed(good, stranger.privateKey), /signature/);
    const [head, , signature] = (await token()).split('.');
    const raised = part({ ...good, sub: 'system:serviceaccount:kube-system:admin' });
    await assertRefused(`${head}.${raised}.${signature}`, /signature/);
  });

  test('headers: an unknown kid, a path as kid, a key of its own, crit', async () => {
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = stranger.publicKey.export({ format: 'jwk' });
    for (const header of [
      { kid: 'unknown' },
      { kid: '../../../../dev/null' },
      { kid: "' OR 1=1 --" },
      { kid: '', jwk },
      { kid: 'x', jku: 'https://127.0.0.1:1/keys' },
      { kid: 'x', x5u: 'https://127.0.0.1:1/cert' },
    ]) {
      await assertRefused(await signed(good, stranger.privateKey, { alg: 'ES256', ...header }), /./);
    }
    const body = part(good);
    await assertRefused(`${part({ alg: 'ES256', kid, crit: ['b64'], b64: false })}.${body}.AA`, /./);
  });

  test('issuers and claims', async () => {
    assert.equal((await review(await signed({ ...good, iss: 'https://elsewhere' }))).error, 'invalid bearer token');
    const own = good['kubernetes.io'] as Json;
    await assertRefused(await signed({ ...good, sub: 'system:serviceaccount:default:other' }), /claims/);
    await assertRefused(await signed({ ...good, sub: 'admin' }), /claims/);
    await assertRefused(await signed({ ...good, 'kubernetes.io': { ...own, serviceaccount: undefined } }), /claims/);
    await assertRefused(await signed({ ...good, 'kubernetes.io': { ...own, pod: {} } }), /claims/);
    const other = { ...own, serviceaccount: { ...own.serviceaccount, uid: 'x' } };
    await assertRefused(await signed({ ...good, 'kubernetes.io': other }), /another one/);
    // As a Secret's token it has no end, so that a Secret must hold it.
    await assertRefused(await signed({ ...good, iss: 'kubernetes/serviceaccount' }), /claims/);
  });

  test('no tokens at all', async () => {
    for (const value of ['a.b.c', '..', 'e30.e30.', `${'A'.repeat(8000)}.e30.`]) {
      assert.equal(await codeWith(value), 401);
      assert.equal((await review(value)).authenticated, undefined);
    }
  });
});

describe('tokens in Secrets', () => {
  const secrets = '/api/v1/namespaces/default/secrets';
  const secret = (name: string, of: string) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/service-account-token',
    metadata: { name, annotations: { 'kubernetes.io/service-account.name': of } },
  });
  const text = (value: string) => Buffer.from(value, 'base64').toString();

  test('are there with the Secret, and live as long as it holds them', async () => {
    const made = await post(secrets, secret('old', 'app'));
    const value = text(made.data.token);
    assert.equal(text(made.data.namespace), 'default');
    assert.equal(text(made.data['ca.crt']), client.config.ca);
    assert.equal(made.metadata.ownerReferences[0].kind, 'ServiceAccount');
    const status = await review(value);
    assert.deepEqual([status.authenticated, status.audiences], [true, [issuer]]);
    assert.equal(status.user.username, 'system:serviceaccount:default:app');
    assert.match((await review(value, ['istio-ca'])).error, /audiences/);
    const merge = { method: 'PATCH', type: 'application/merge-patch+json' };
    const renewed = (await client.ask(`${secrets}/old`, { ...merge, body: { data: { token: null } } })).json;
    assert.notEqual(text(renewed.data.token), value);
    await assertRefused(value, /holds another token/);
    await client.ask(`${secrets}/old`, { method: 'DELETE' });
    await assertRefused(text(renewed.data.token), /does not exist/);
  });

  test('are named after the Secret, also when the server names it', async () => {
    const { metadata, ...rest } = secret('', 'app');
    const made = await post(secrets, { ...rest, metadata: { ...metadata, generateName: 'gen-' } });
    assert.equal((await review(text(made.data.token))).authenticated, true);
  });

  test('are of accounts that are there', async () => {
    const refused = await client.ask(secrets, { method: 'POST', body: secret('x', 'nobody') });
    assert.equal(refused.code, 422);
    const { metadata: _m, ...bare } = secret('x', 'app');
    assert.equal((await client.ask(secrets, { method: 'POST', body: { ...bare, metadata: { name: 'x' } } })).code, 422);
  });
});

describe('others verify tokens', () => {
  test('by the keys that discovery names', async () => {
    const found = await client.ask('/.well-known/openid-configuration');
    assert.equal(found.json.issuer, issuer);
    const jwks = await client.ask(new URL(found.json.jwks_uri).pathname);
    assert.equal(jwks.headers['content-type'], 'application/jwk-set+json');
    const value = await token({ audiences: ['x'] });
    await jwtVerify(value, createLocalJWKSet(jwks.json), { issuer, audience: 'x' });
  });

  test("istiod's CA: offline, and by TokenReview, which knows that the pod is gone", async () => {
    const { metadata } = await post(pods, pod('meshed'));
    const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name: 'meshed' };
    const [value, unbound] = [
      await token({ audiences: ['istio-ca'], boundObjectRef }),
      await token({ audiences: ['istio-ca'] }),
    ];
    const expected = { namespace: 'default', serviceAccount: 'app', pod: { name: 'meshed', uid: metadata.uid } };
    const online = createApiReviewer({ create: (_kind, body) => ask2(body) }, ['istio-ca']);
    const file = join(running.dataDir, 'jwks.json');
    await writeFile(file, JSON.stringify((await client.ask('/openid/v1/jwks')).json));
    const offline = createJwksReviewer({
      issuer: issuerInFile(file, issuer),
      audiences: ['istio-ca'],
      clock: systemClock,
    });
    for (const reviewer of [offline, online]) {
      assert.deepEqual(await reviewer.review(value), expected);
      await assert.rejects(reviewer.review(unbound), /not bound to a pod/);
      await assert.rejects(reviewer.review(await token({ boundObjectRef })), /aud/);
    }
    await client.ask(`${pods}/meshed?gracePeriodSeconds=0`, { method: 'DELETE' });
    await assert.rejects(online.review(value), /does not exist/);
    await assert.rejects(online.review(client.config.token), /none of/);
  });

  const ask2 = (body: object): Promise<Json> => post('/apis/authentication.k8s.io/v1/tokenreviews', body);
});

test('tokens outlive a restart of the server', async () => {
  const first = await startTestServer();
  const [path, body] = [
    `${accounts}/app/token`,
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
  ];
  await first.client.ask(accounts, { method: 'POST', body: account('app') });
  const value = (await first.client.ask(path, { method: 'POST', body })).json.status.token;
  await first.server.stop();
  const second = await startTestServer(first.dataDir);
  const caller = new TestClient({ ...second.client.config, token: value });
  const { code } = await caller.ask(pods);
  caller.close();
  await second[Symbol.asyncDispose]();
  first.client.close();
  assert.equal(code, 403);
});
