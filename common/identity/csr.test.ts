import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { it } from 'node:test';
import { MeshError } from '../core/errors.ts';
import { createCsr } from './csr.ts';
import { Pkcs10CertificateRequest, SubjectAlternativeNameExtension } from './x509.ts';

const identity = { trustDomain: 'cluster.local', namespace: 'apps', serviceAccount: 'client' };

it('asks for one critical URI and nothing else, with a fresh P-256 key', async () => {
  const first = await createCsr(identity);
  const request = new Pkcs10CertificateRequest(first.csr);
  assert.equal(request.toString('pem'), first.csr.trimEnd());
  assert.ok(await request.verify());
  assert.equal(request.subject, '');
  assert.equal(request.extensions.length, 1);
  const names = new SubjectAlternativeNameExtension(request.extensions[0]!.rawData);
  assert.ok(names.critical);
  assert.deepEqual(
    names.names.items.map((n) => [n.type, n.value]),
    [['url', 'spiffe://cluster.local/ns/apps/sa/client']],
  );
  const key = createPrivateKey(first.privateKey);
  assert.equal(key.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.match(first.privateKey, /BEGIN PRIVATE KEY/);
  assert.notEqual((await createCsr(identity)).privateKey, first.privateKey);
});

it('writes lengths of one, two and three bytes', async () => {
  for (const size of [1, 40, 63, 120, 200]) {
    const long = { ...identity, serviceAccount: 'x'.repeat(size) };
    const request = new Pkcs10CertificateRequest((await createCsr(long)).csr);
    assert.ok(await request.verify());
    const names = new SubjectAlternativeNameExtension(request.extensions[0]!.rawData).names.items;
    assert.deepEqual(
      names.map((n) => n.value),
      [`spiffe://cluster.local/ns/apps/sa/${long.serviceAccount}`],
    );
  }
});

it('asks for nothing that is no SPIFFE id', async () => {
  await assert.rejects(
    createCsr({ ...identity, namespace: 'a/sa/b' }),
    (e) => e instanceof MeshError && e.code === 'IDENTITY_UNAVAILABLE',
  );
});
