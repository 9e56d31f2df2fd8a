import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { createCsr } from '../../common/identity/csr.ts';
import { KeyUsageFlags } from '../../common/identity/x509.ts';
import { signWorkload, verifyCsr } from './authority.ts';
import { type IssuerPem, readIssuer, UnusableIssuer } from './issuer.ts';
import { type KeyKind, makeAuthority } from './testing/authorities.ts';

const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };

async function signed(pem: IssuerPem): Promise<readonly X509Certificate[]> {
  const issuer = await readIssuer(pem, Date.now());
  const { csr } = await createCsr(identity);
  const leaf = await signWorkload(issuer, await verifyCsr(csr), identity, 3_600_000, systemClock);
  return [leaf, ...issuer.chain, issuer.root.pem].map((c) => new X509Certificate(c));
}

for (const kind of ['p256', 'p384', 'rsa'] as const satisfies readonly KeyKind[]) {
  test(`a root with a key of kind ${kind} signs`, async () => {
    const root = await makeAuthority({ kind });
    const [leaf, last, ...more] = await signed({ ...root, chain: '', roots: root.certificate });
    assert.equal(more.length, 0);
    assert.ok(leaf!.verify(last!.publicKey) && leaf!.checkIssued(last!));
  });
}

test('the way up is found whatever the order, and goes out without the root', async () => {
  const root = await makeAuthority({ kind: 'rsa', name: 'O=root' });
  const upper = await makeAuthority({ above: root, name: 'O=upper' });
  const lower = await makeAuthority({ kind: 'p384', above: upper, name: 'O=lower' });
  const other = await makeAuthority({ name: 'O=other' });
  for (const parts of [
    [lower, upper, root],
    [root, upper],
    [upper, other],
  ]) {
    const chain = parts.map((p) => p.certificate).join('');
    const issuer = await readIssuer({ ...lower, chain, roots: other.certificate + root.certificate }, Date.now());
    assert.deepEqual(
      issuer.chain.map((c) => new X509Certificate(c).subject),
      ['O=lower', 'O=upper'],
    );
    assert.equal(issuer.root.pem, new X509Certificate(root.certificate).toString());
  }
  const path = await signed({ ...lower, chain: upper.certificate, roots: root.certificate });
  assert.equal(path.length, 4);
  for (const [i, c] of path.slice(0, -1).entries()) assert.ok(c.verify(path[i + 1]!.publicKey));
});

test('keys of older forms are read; leaves end with the first certificate above them', async () => {
  const root = await makeAuthority({ kind: 'rsa' });
  const soon = Date.now() + 600_000;
  const lower = await makeAuthority({ above: root, name: 'O=lower', notAfter: soon });
  const key = createPrivateKey(lower.key).export({ type: 'sec1', format: 'pem' }) as string;
  const [leaf] = await signed({ key, certificate: lower.certificate, chain: '', roots: root.certificate });
  assert.equal(leaf!.validToDate.getTime(), Math.floor(soon / 1000) * 1000);
  const pkcs1 = createPrivateKey(root.key).export({ type: 'pkcs1', format: 'pem' }) as string;
  await signed({ key: pkcs1, certificate: root.certificate, chain: '', roots: root.certificate });
});

test('what cannot work is refused with its reason', async () => {
  const root = await makeAuthority({ name: 'O=root' });
  const other = await makeAuthority({ name: 'O=root' });
  const leaf = await makeAuthority({ above: root, name: 'O=leaf', ca: false });
  const mute = await makeAuthority({ above: root, name: 'O=mute', usages: KeyUsageFlags.digitalSignature });
  const old = await makeAuthority({ above: root, name: 'O=old', notBefore: 0, notAfter: Date.now() - 1000 });
  const early = await makeAuthority({ above: root, name: 'O=early', notBefore: Date.now() + 3_600_000 });
  const weak = await makeAuthority({ kind: 'rsa1024' });
  const odd = await makeAuthority({ kind: 'p521' });
  const roots = root.certificate;
  const locked = createPrivateKey(root.key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'x',
  }) as string;
  const spki = createPublicKey(root.key).export({ type: 'spki', format: 'pem' }) as string;
  const cases: readonly [Partial<IssuerPem>, RegExp][] = [
    [{ key: '' }, /holds no private key/],
    [{ key: spki }, /holds no private key/],
    [{ key: locked }, /private key cannot be read/],
    [{ certificate: '' }, /holds no certificate/],
    [{ certificate: root.certificate.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA') }, /certificate cannot be read/],
    [{ certificate: other.certificate }, /do not belong together/],
    [{ ...other, roots }, /leads to none of its roots/],
    [{ roots: '' }, /leads to none of its roots/],
    [leaf, /O=leaf is not one of a CA/],
    [mute, /O=mute is not one of a CA/],
    [old, /O=old expired on/],
    [early, /O=early is valid from/],
    [{ ...weak, roots: weak.certificate }, /neither EC P-256, EC P-384 nor RSA/],
    [{ ...odd, roots: odd.certificate }, /neither EC P-256, EC P-384 nor RSA/],
  ];
  for (const [change, expected] of cases) {
    const pem = { key: root.key, certificate: root.certificate, chain: '', roots, ...change };
    await assert.rejects(readIssuer(pem, Date.now()), (e) => {
      assert.ok(e instanceof UnusableIssuer, String(e));
      assert.match(e.message, expected);
      return true;
    });
  }
});
