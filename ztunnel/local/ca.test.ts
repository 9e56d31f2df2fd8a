import assert from 'node:assert/strict';
import { generateKeyPairSync, webcrypto, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { X509CertificateGenerator } from '../../common/identity/x509.ts';
import { checkFolder, createLocalCa } from './ca.ts';

const folder = mkdtempSync(join(tmpdir(), 'aq-local-ca-'));
after(() => rmSync(folder, { recursive: true }));
const never = new AbortController().signal;
const identity = { trustDomain: 'cluster.local', namespace: 'a', serviceAccount: 'b' };
const options = { folder, lifetime: 3_600_000, clock: systemClock };

async function writeRoot(algorithm: typeof rsa | typeof ec): Promise<void> {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const root = await X509CertificateGenerator.createSelfSigned(
    { name: 'O=cluster.local', keys, signingAlgorithm: algorithm, notAfter: new Date(Date.now() + 7_200_000) },
    webcrypto as Crypto,
  );
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  writeFileSync(join(folder, 'root-cert.pem'), root.toString('pem'));
  writeFileSync(join(folder, 'ca-key.pem'), `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`);
}

const rsa = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
};
const ec = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-256' };

for (const algorithm of [rsa, ec]) {
  test(`signs for anybody with a key of ${algorithm.name}`, async () => {
    await writeRoot(algorithm);
    const certificate = await (await createLocalCa(options)).fetch(identity, never);
    const leaf = new X509Certificate(certificate.chain[0]!);
    assert.equal(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/a/sa/b');
    assert.ok(leaf.verify(new X509Certificate(certificate.roots[0]!).publicKey));
    assert.ok(certificate.notAfter - Date.now() > 3_590_000 && certificate.notAfter - Date.now() < 3_610_000);
  });
}

test('nothing outlives the root', async () => {
  await writeRoot(ec);
  const certificate = await (await createLocalCa({ ...options, lifetime: 86_400_000 })).fetch(identity, never);
  assert.ok(certificate.notAfter - Date.now() < 7_300_000);
});

test('what is wrong with the folder is told', async () => {
  await assert.rejects(
    createLocalCa({ ...options, folder: '/nonexistent' }),
    /AQUIFER_FAKE_CA_DIR: .*root-cert.pem: ENOENT/,
  );
  assert.throws(() => checkFolder('/nonexistent'), /AQUIFER_FAKE_CA_DIR: ENOENT.*root-cert.pem/);
  await writeRoot(ec);
  checkFolder(folder);
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  writeFileSync(join(folder, 'ca-key.pem'), other.export({ type: 'pkcs8', format: 'pem' }));
  await assert.rejects(createLocalCa(options), /ca-key.pem is not the key of/);
  writeFileSync(join(folder, 'ca-key.pem'), 'no key');
  await assert.rejects(createLocalCa(options), /AQUIFER_FAKE_CA_DIR: .*ca-key.pem/);
});
