import assert from 'node:assert/strict';
import { KeyObject, webcrypto } from 'node:crypto';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../../common/core/clock.ts';
import { createLogger, LogLevels } from '../../../common/core/log.ts';
import {
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '../../../common/identity/x509.ts';
import { until } from '../../../common/testing/until.ts';
import { loadOrCreateRoot } from '../../ca/root-store.ts';
import { type Json, startTestServer, type TestClient, type TestServer } from '../testing/client.ts';

let running: TestServer;
let client: TestClient;
before(async () => {
  running = await startTestServer();
  client = running.client;
});
after(() => running[Symbol.asyncDispose]());

const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const whoami = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const clientUsages = ['digital signature', 'client auth'];

interface Keys {
  readonly publicKey: CryptoKey;
  readonly privateKey: CryptoKey;
}
const makeKeys = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<Keys>;
const pemOf = (key: CryptoKey) => KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }) as string;

async function csr(keys: Keys, name: string, dns: readonly string[] = []): Promise<string> {
  const made = await Pkcs10CertificateRequestGenerator.create(
    {
      name,
      keys,
      signingAlgorithm: algorithm,
      extensions:
        dns.length === 0 ? [] : [new SubjectAlternativeNameExtension(dns.map((value) => ({ type: 'dns', value })))],
    },
    webcrypto as Crypto,
  );
  return Buffer.from(made.toString('pem')).toString('base64');
}

function ask(name: string, spec: object, headers: Record<string, string> = {}) {
  const body = { apiVersion: 'certificates.k8s.io/v1', kind: 'CertificateSigningRequest', metadata: { name }, spec };
  return client.ask(path, { method: 'POST', body, headers });
}

async function decide(name: string, type: 'Approved' | 'Denied', headers: Record<string, string> = {}) {
  const { json } = await client.ask(`${path}/${name}`);
  const conditions = [...(json.status.conditions ?? []), { type, status: 'True', reason: 'Test', message: '' }];
  return client.ask(`${path}/${name}/approval`, { method: 'PUT', body: { ...json, status: { conditions } }, headers });
}

const issued = async (name: string): Promise<string> =>
  Buffer.from(
    await until(
      'the certificate',
      async () => (await client.ask(`${path}/${name}`)).json.status.certificate as string | undefined,
    ),
    'base64',
  ).toString();

/** Who the server takes the holder of a certificate for, without a token. */
function whoamiWith(certificate: string, key: string): Promise<{ readonly code: number; readonly json: Json }> {
  const agent = new Agent({ ca: client.config.ca, cert: certificate, key });
  return new Promise((resolve, reject) => {
    const sent = request(
      new URL(whoami, client.config.server),
      { method: 'POST', agent, headers: { 'content-type': 'application/json' } },
      async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response) chunks.push(chunk as Buffer);
        agent.destroy();
        resolve({ code: response.statusCode ?? 0, json: JSON.parse(Buffer.concat(chunks).toString()) });
      },
    );
    sent.on('error', reject);
    sent.end('{}');
  });
}

describe('a user gets a certificate', () => {
  test('that is asked for, approved, signed, and names the user and groups', async () => {
    const keys = await makeKeys();
    const spec = {
      request: await csr(keys, 'CN=jane, O=crew, O=tea'),
      signerName: 'kubernetes.io/kube-apiserver-client',
      usages: clientUsages,
      expirationSeconds: 3600,
      username: 'forged',
    };
    const made = await ask('jane', spec);
    assert.deepEqual([made.code, made.json.spec.username], [201, 'admin'], JSON.stringify(made.json));
    assert.equal((await decide('jane', 'Approved')).code, 200);
    const certificate = await issued('jane');
    const parsed = new X509Certificate(certificate);
    assert.ok(Math.abs(parsed.notAfter.getTime() - Date.now() - 3_600_000) < 60_000);
    assert.deepEqual(
      [...(parsed.getExtension(ExtendedKeyUsageExtension)?.usages ?? [])],
      [ExtendedKeyUsage.clientAuth],
    );
    const { code, json } = await whoamiWith(certificate, pemOf(keys.privateKey));
    assert.equal(code, 201);
    assert.equal(json.status.userInfo.username, 'jane');
    assert.deepEqual(json.status.userInfo.groups, ['crew', 'tea', 'system:authenticated']);
    assert.match(
      json.status.userInfo.extra['authentication.kubernetes.io/credential-id'][0],
      /^X509SHA256=[0-9a-f]{64}$/,
    );
  });

  test('not when it is denied, and what was decided stays', async () => {
    const spec = {
      request: await csr(await makeKeys(), 'CN=joe'),
      signerName: 'kubernetes.io/kube-apiserver-client',
      usages: clientUsages,
    };
    await ask('joe', spec);
    assert.equal((await decide('joe', 'Denied')).code, 200);
    assert.match((await decide('joe', 'Approved')).json.message, /mutually exclusive/);
    const { json } = await client.ask(`${path}/joe`);
    const undone = await client.ask(`${path}/joe/approval`, {
      method: 'PUT',
      body: { ...json, status: { conditions: [] } },
    });
    assert.equal(undone.code, 422);
    assert.equal(json.status.certificate, undefined);
  });

  test('only from those who may approve for its signer, and by the subresource alone', async () => {
    const spec = {
      request: await csr(await makeKeys(), 'CN=jim'),
      signerName: 'kubernetes.io/kube-apiserver-client',
      usages: clientUsages,
    };
    await ask('jim', spec);
    const approver = { 'impersonate-user': 'approver' };
    const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'approve' } };
    const rules = [
      {
        verbs: ['update', 'get'],
        apiGroups: ['certificates.k8s.io'],
        resources: ['certificatesigningrequests/approval', 'certificatesigningrequests/status'],
      },
    ];
    await client.ask('/apis/rbac.authorization.k8s.io/v1/clusterroles', { method: 'POST', body: { ...role, rules } });
    const bind = (ref: string) =>
      client.ask('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
        method: 'POST',
        body: {
          ...role,
          kind: 'ClusterRoleBinding',
          metadata: { name: ref.replaceAll(':', '.') },
          roleRef: { kind: 'ClusterRole', name: ref },
          subjects: [{ kind: 'User', name: 'approver' }],
        },
      });
    await bind('approve');
    const refused = await decide('jim', 'Approved', approver);
    assert.equal(refused.code, 403);
    assert.match(
      refused.json.message,
      /user not permitted to approve requests with signerName "kubernetes.io\/kube-apiserver-client"/,
    );
    const { json } = await client.ask(`${path}/jim`);
    const status = { conditions: [{ type: 'Approved', status: 'True' }] };
    assert.equal((await client.ask(`${path}/jim/status`, { method: 'PUT', body: { ...json, status } })).code, 422);
    const forged = { ...json, status: { certificate: 'Zm9yZ2Vk' } };
    assert.match(
      (await client.ask(`${path}/jim/status`, { method: 'PUT', body: forged, headers: approver })).json.message,
      /not permitted to sign/,
    );
    assert.equal((await bind('system:certificates.k8s.io:kube-apiserver-client-approver')).code, 201);
    assert.equal((await decide('jim', 'Approved', approver)).code, 200);
    await issued('jim');
  });
});

describe('what is not signed', () => {
  test('is refused at once', async () => {
    const keys = await makeKeys();
    const [user, node, serving] = ['kube-apiserver-client', 'kube-apiserver-client-kubelet', 'kubelet-serving'].map(
      (n) => `kubernetes.io/${n}`,
    );
    const serverUsages = ['digital signature', 'server auth'];
    const cases: readonly [string, string, readonly string[], number, RegExp, (readonly string[])?][] = [
      ['CN=root, O=system:masters', user!, clientUsages, 403, /system:masters group is not allowed/],
      ['CN=a, CN=b', user!, clientUsages, 403, /2 common names/],
      ['O=x', user!, clientUsages, 403, /0 common names/],
      ['CN=a', user!, [...clientUsages, 'cert sign'], 403, /"cert sign" is not one of/],
      ['CN=a', user!, ['digital signature'], 403, /"client auth" is missing/],
      ['CN=a', user!, [], 422, /spec.usages/],
      ['CN=a', 'plain', clientUsages, 422, /spec.signerName/],
      ['CN=system:node:n1', node!, clientUsages, 403, /O system:nodes/],
      ['CN=n1, O=system:nodes', node!, clientUsages, 403, /CN system:node/],
      ['CN=system:node:n1, O=system:nodes, O=system:masters', serving!, serverUsages, 403, /alone/, ['n1']],
      ['CN=system:node:n1, O=system:nodes', serving!, serverUsages, 403, /DNS name or an IP/],
    ];
    for (const [subject, signerName, usages, code, message, dns] of cases) {
      const answer = await ask('bad', { request: await csr(keys, subject, dns), signerName, usages });
      assert.equal(answer.code, code, `${subject} ${JSON.stringify(answer.json)}`);
      assert.match(answer.json.message, message);
    }
    const { publicKey } = await makeKeys();
    const mixed = await csr({ publicKey, privateKey: keys.privateKey }, 'CN=a');
    for (const request of [Buffer.from('no request').toString('base64'), mixed]) {
      assert.equal((await ask('bad', { request, signerName: user, usages: clientUsages })).code, 422);
    }
  });

  test('is left for signers elsewhere', async () => {
    await ask('elsewhere', {
      request: await csr(await makeKeys(), 'CN=a'),
      signerName: 'example.com/own',
      usages: ['any'],
    });
    assert.equal((await decide('elsewhere', 'Approved')).code, 200);
    const own = {
      request: await csr(await makeKeys(), 'CN=z'),
      signerName: 'kubernetes.io/kube-apiserver-client',
      usages: clientUsages,
    };
    await ask('later', own);
    await decide('later', 'Approved');
    await issued('later');
    assert.equal((await client.ask(`${path}/elsewhere`)).json.status.certificate, undefined);
  });
});

describe('client certificates', () => {
  const sink = { levels: new LogLevels('off'), format: 'plain', write: () => undefined } as const;
  const rootIn = (dataDir: string) =>
    loadOrCreateRoot({
      dataDir,
      trustDomain: 'kubernetes',
      clock: systemClock,
      log: createLogger(sink, 'test'),
      published: undefined,
    });

  async function leaf(folder: string, subject: string, minutes: number, usage: ExtendedKeyUsage) {
    const root = await rootIn(folder);
    const keys = await makeKeys();
    const certificate = await X509CertificateGenerator.create(
      {
        subject,
        issuer: root.certificate.subjectName,
        notBefore: new Date(Date.now() - 3_600_000),
        notAfter: new Date(Date.now() + minutes * 60_000),
        publicKey: keys.publicKey,
        signingKey: root.key,
        signingAlgorithm: algorithm,
        extensions: [new ExtendedKeyUsageExtension([usage])],
      },
      webcrypto as Crypto,
    );
    return [certificate.toString('pem'), pemOf(keys.privateKey)] as const;
  }

  test('that prove nothing are nobody or refused', async () => {
    const own = join(running.dataDir, 'pki');
    const good = await whoamiWith(...(await leaf(own, 'CN=ok', 5, ExtendedKeyUsage.clientAuth)));
    assert.equal(good.json.status.userInfo.username, 'ok');
    for (const [folder, subject, minutes, usage] of [
      [own, 'CN=late, O=system:masters', -1, ExtendedKeyUsage.clientAuth],
      [own, 'CN=server, O=system:masters', 5, ExtendedKeyUsage.serverAuth],
      [own, 'O=system:masters', 5, ExtendedKeyUsage.clientAuth],
      [own, 'CN=a, CN=b, O=system:masters', 5, ExtendedKeyUsage.clientAuth],
      [join(running.dataDir, 'foreign'), 'CN=foreign, O=system:masters', 5, ExtendedKeyUsage.clientAuth],
    ] as const) {
      const { code } = await whoamiWith(...(await leaf(folder, subject, minutes, usage)));
      assert.ok(code === 401 || code === 403, `${subject}: ${code}`);
    }
  });

  test('of system:masters are administrators', async () => {
    const [certificate, key] = await leaf(
      join(running.dataDir, 'pki'),
      'CN=root, O=system:masters',
      5,
      ExtendedKeyUsage.clientAuth,
    );
    assert.deepEqual((await whoamiWith(certificate, key)).json.status.userInfo.groups, [
      'system:masters',
      'system:authenticated',
    ]);
  });
});
