import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { X509Certificate as ParsedCertificate } from '../../common/identity/x509.ts';
import { writeCaFolder } from '../../common/testing/ca-folder.ts';
import { checkFolder, createLocalCa } from './ca.ts';

const folder = mkdtempSync(join(tmpdir(), 'aq-local-ca-'));
after(() => rmSync(folder, { recursive: true }));
const never = new AbortController().signal;
const identity = { trustDomain: 'cluster.local', namespace: 'a', serviceAccount: 'b' };
const options = { folder, lifetime: 3_600_000, clock: systemClock };

for (const kind of ['rsa', 'ec'] as const) {
  test(`signs for anybody with a key of ${kind}`, async () => {
    await writeCaFolder(folder, kind);
    const certificate = await (await createLocalCa(options)).fetch(identity, never);
    const leaf = new X509Certificate(certificate.chain[0]!);
    assert.equal(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/a/sa/b');
    const issuer = new ParsedCertificate(leaf.raw).issuerName.toArrayBuffer();
    const subject = new ParsedCertificate(certificate.roots[0]!).subjectName.toArrayBuffer();
    assert.deepEqual(Buffer.from(issuer), Buffer.from(subject));
    assert.ok(leaf.verify(new X509Certificate(certificate.roots[0]!).publicKey));
    assert.ok(certificate.notAfter - Date.now() > 3_590_000 && certificate.notAfter - Date.now() < 3_610_000);
  });
}

test('nothing outlives the root', async () => {
  await writeCaFolder(folder);
  const certificate = await (await createLocalCa({ ...options, lifetime: 86_400_000 })).fetch(identity, never);
  assert.ok(certificate.notAfter - Date.now() < 7_300_000);
});

test('what is wrong with the folder is told', async () => {
  await assert.rejects(
    createLocalCa({ ...options, folder: '/nonexistent' }),
    /AQUIFER_FAKE_CA_DIR: .*root-cert.pem: ENOENT/,
  );
  assert.throws(() => checkFolder('/nonexistent'), /AQUIFER_FAKE_CA_DIR: ENOENT.*root-cert.pem/);
  await writeCaFolder(folder);
  checkFolder(folder);
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  writeFileSync(join(folder, 'ca-key.pem'), other.export({ type: 'pkcs8', format: 'pem' }));
  await assert.rejects(createLocalCa(options), /ca-key.pem is not the key of/);
  writeFileSync(join(folder, 'ca-key.pem'), 'no key');
  await assert.rejects(createLocalCa(options), /AQUIFER_FAKE_CA_DIR: .*ca-key.pem/);
});
