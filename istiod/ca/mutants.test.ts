/** What stands in a signing request besides its key changes nothing: 2,000 of them, 100,000 in the long form (TEST_LONG=1). */
import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate as FastCertificate, KeyObject, webcrypto } from 'node:crypto';
import { test } from 'node:test';
import { status } from '@grpc/grpc-js';
import {
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  X509Certificate,
} from '../../common/identity/x509.ts';
import { generateKeys, type KeyKind } from './testing/authorities.ts';
import { damagedCsr, greedyCsr } from './testing/csr.ts';
import { withService } from './testing/service.ts';

const web = 'spiffe://cluster.local/ns/shop/sa/web';
const count = process.env['TEST_LONG'] === '1' ? 100_000 : 2_000;

/** Small and fast; a failure names the number that brings it back. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Each that asks for too much, and so many that are damaged. */
const damages = 7;
/** Of so many seeds one is also read by the other library, which takes as long as signing does. */
const closer = 10;

/** Server and client. */
const usages = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'];
/** Of every certificate that goes out: the object identifiers of its extensions. */
const expectedExtensions = ['2.5.29.19', '2.5.29.15', '2.5.29.37', '2.5.29.17', '2.5.29.35'];

function assertEntitled(chain: readonly string[], csr: string, what: string): void {
  const leaf = new FastCertificate(chain[0]!);
  const asked = new Pkcs10CertificateRequest(csr).publicKey.rawData;
  assert.equal(leaf.subjectAltName, `URI:${web}`, what);
  assert.equal(leaf.subject, undefined, what);
  assert.equal(leaf.ca, false, what);
  assert.deepEqual(leaf.keyUsage, usages, what);
  assert.deepEqual(leaf.publicKey.export({ type: 'spki', format: 'der' }), Buffer.from(asked), what);
}

function assertNothingElse(chain: readonly string[], what: string): void {
  const leaf = new X509Certificate(chain[0]!);
  const names = leaf.getExtension('2.5.29.17') as unknown as { names: { items: { type: string; value: string }[] } };
  assert.deepEqual(
    names.names.items.map((n) => `${n.type}:${n.value}`),
    [`url:${web}`],
    what,
  );
  assert.equal(leaf.extensions.map((e) => e.type).join(), expectedExtensions.join(), what);
  assert.equal(leaf.subject, '', what);
}

test(`${count} mutated requests bring no certificate with a name that its caller is not entitled to`, () =>
  withService(async (s) => {
    s.pod('zt', 'istio-system/ztunnel', 'node-1', { uid: 'uid-1' });
    s.pod('web', 'shop/web', 'node-1');
    const token = await s.token({ expiresIn: 86_400 });
    const keys = await Promise.all([1, 2, 3].map(() => generateKeys('p256')));
    const seen = { issued: 0, refused: 0 };
    const check = async (csr: string, what: string, isCloser: boolean) => {
      const answer = await s.ask({ token, csr, impersonate: web });
      if (Array.isArray(answer)) {
        seen.issued++;
        assertEntitled(answer, csr, what);
        if (isCloser) assertNothingElse(answer, what);
        return;
      }
      seen.refused++;
      assert.equal((answer as { code: status }).code, status.INVALID_ARGUMENT, what);
    };
    const each = async (seed: number) => {
      const random = randomFrom(seed);
      const greedy = await greedyCsr(keys[seed % keys.length]!, random);
      const isCloser = seed % closer === 0;
      await check(greedy, `seed ${seed}`, isCloser);
      for (let i = 0; i < damages; i++) await check(damagedCsr(greedy, random), `seed ${seed}, damage ${i}`, isCloser);
    };
    const seeds = count / (1 + damages);
    for (let seed = 0; seed < seeds; seed += 25)
      await Promise.all(Array.from({ length: Math.min(25, seeds - seed) }, (_, i) => each(seed + i)));
    assert.equal(seen.issued + seen.refused, count);
    assert.ok(seen.issued >= seeds && seen.refused > count / 3, JSON.stringify(seen));
  }));

test('weak, odd and foreign keys are refused, and requests that are too long', () =>
  withService(async (s) => {
    s.pod('zt', 'istio-system/ztunnel', 'node-1', { uid: 'uid-1' });
    s.pod('web', 'shop/web', 'node-1');
    const token = await s.token();
    const ask = (csr: string) => s.ask({ token, csr, impersonate: web });
    const requestFor = async (keys: webcrypto.CryptoKeyPair, signingAlgorithm: webcrypto.Algorithm) =>
      (await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm }, webcrypto as Crypto)).toString('pem');
    const algorithms: Record<KeyKind | 'ed25519', webcrypto.Algorithm & { hash?: string }> = {
      p256: { name: 'ECDSA', hash: 'SHA-256' },
      p384: { name: 'ECDSA', hash: 'SHA-384' },
      p521: { name: 'ECDSA', hash: 'SHA-512' },
      rsa: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
      rsa1024: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
      ed25519: { name: 'Ed25519' },
    };
    for (const kind of ['p256', 'p384', 'rsa'] as const) {
      const answer = await ask(await requestFor(await generateKeys(kind), algorithms[kind]));
      assert.ok(Array.isArray(answer), kind);
    }
    const ed = (await webcrypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
    const good = await generateKeys('p256');
    const other = await generateKeys('p256');
    const pem = await requestFor(good, algorithms.p256);
    const spki = (k: webcrypto.CryptoKeyPair) =>
      createPublicKey(KeyObject.from(k.publicKey).export({ type: 'spki', format: 'pem' })).export({
        type: 'spki',
        format: 'der',
      });
    const der = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
    const at = der.indexOf(spki(good));
    assert.ok(at > 0);
    const stolen = Buffer.concat([der.subarray(0, at), spki(other), der.subarray(at + spki(good).length)]);
    const armoured = (b: Buffer, label = 'CERTIFICATE REQUEST') =>
      `-----BEGIN ${label}-----\n${b.toString('base64')}\n-----END ${label}-----\n`;
    const refused: Record<string, [string, RegExp]> = {
      'RSA 1024': [await requestFor(await generateKeys('rsa1024'), algorithms.rsa1024), /must be EC P-256/],
      'P-521': [await requestFor(await generateKeys('p521'), algorithms.p521), /must be EC P-256/],
      Ed25519: [await requestFor(ed, algorithms.ed25519), /must be EC P-256/],
      'the key of another': [armoured(stolen), /does not fit its key/],
      'a point that is not on the curve': [
        armoured(Buffer.from(der).fill(0x55, at + 30, at + 60)),
        /cannot be read|does not fit its key/,
      ],
      'no PEM': ['x', /cannot be read/],
      empty: ['', /cannot be read/],
      'a certificate': [s.signer.roots()[0]!.pem, /cannot be read/],
      'too long': [`${pem}${'x'.repeat(40_000)}`, /more than 32768 characters/],
      'too long an attribute': [armoured(Buffer.concat([der, Buffer.alloc(64 * 1024)])), /more than 32768 characters/],
    };
    for (const [name, [csr, expected]] of Object.entries(refused)) {
      const answer = await ask(csr);
      assert.ok(!Array.isArray(answer), name);
      const { code, details } = answer as { code: status; details: string };
      assert.equal(code, status.INVALID_ARGUMENT, name);
      assert.match(details, expected, name);
    }
    assert.match(await s.registry.metrics(), /csr_parsing_err_count 10/);
  }));

test('a life that is too long is refused; none, or a negative one, is the default', () =>
  withService(async (s) => {
    s.pod('zt', 'istio-system/ztunnel', 'node-1', { uid: 'uid-1' });
    const csr = await greedyCsr(await generateKeys('p256'), randomFrom(1));
    for (const [seconds, expected] of [
      [0, 86_400],
      [-5, 86_400],
      [60, 60],
      [90 * 86_400, 90 * 86_400],
    ] as const) {
      const chain = await s.ask({ token: await s.token(), csr, seconds });
      assert.ok(Array.isArray(chain));
      const { notAfter } = new X509Certificate(chain[0]!);
      // The root of the test ends after a day.
      const limit = Math.min(Date.now() + expected * 1000, s.signer.expiry() ?? 0);
      assert.ok(Math.abs(notAfter.getTime() - limit) < 5_000, String(seconds));
    }
    const refused = await s.ask({ token: await s.token(), csr, seconds: 90 * 86_400 + 1 });
    assert.ok(!Array.isArray(refused) && /MAX_WORKLOAD_CERT_TTL/.test((refused as { details: string }).details));
  }));
