import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { it } from 'node:test';
import fc from 'fast-check';
import * as x509 from '../identity/x509.ts';
import { createFakeCa } from '../testing/fake-ca.ts';
import { readLeaf } from './leaf.ts';

const someone = { trustDomain: 'cluster.local', namespace: 'a', serviceAccount: 'b' };
const der = async (...names: Parameters<Awaited<ReturnType<typeof createFakeCa>>['issue']>) =>
  new X509Certificate((await (await createFakeCa()).issue(...names)).chain[0]!).raw;

/** What the X.509 library reads of it. */
function byLibrary(bytes: Buffer) {
  const certificate = new x509.X509Certificate(new Uint8Array(bytes));
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
  return { names: names.map((n) => `${n.type}:${n.value}`), notAfter: certificate.notAfter.getTime() };
}

const keys = crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']);
const ascii = fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 80 });
const name = fc.oneof(
  fc.record({ type: fc.constantFrom('dns', 'url', 'email'), value: ascii }),
  fc.record({
    type: fc.constant('ip'),
    value: fc.oneof(fc.ipV4(), fc.constantFrom('fd00::1', '::1', '2001:db8::ffff:1')),
  }),
) as fc.Arbitrary<x509.JsonGeneralName>;

it('reads names of every type, their order and the end of validity as the X.509 library does', async () => {
  const pair = await keys;
  await fc.assert(
    fc.asyncProperty(
      fc.array(name, { maxLength: 6 }),
      fc.date({ min: new Date('1960-01-01'), max: new Date('2090-01-01'), noInvalidDate: true }),
      async (names, notAfter) => {
        const made = await x509.X509CertificateGenerator.createSelfSigned({
          keys: pair,
          notBefore: new Date('1955-01-01'),
          notAfter,
          extensions: [
            new x509.BasicConstraintsExtension(false),
            ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names, names.length % 2 === 0)] : []),
          ],
        });
        const bytes = Buffer.from(made.rawData);
        const { names: read, notAfter: end } = readLeaf(bytes);
        assert.deepEqual({ names: read, notAfter: end }, byLibrary(bytes));
      },
    ),
    { numRuns: 100 },
  );
});

it('reads no more names out of a damaged certificate, or refuses it by an error of ours', async () => {
  const bytes = await der(someone, { uris: ['spiffe://cluster.local/ns/a/sa/b'], dns: ['x.example'] });
  let refused = 0;
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, by, cut) => {
      const damaged = Buffer.from(cut ? bytes.subarray(0, at) : bytes);
      if (!cut) damaged[at] = damaged[at]! ^ by;
      try {
        const { names, notAfter } = readLeaf(damaged);
        assert.equal(typeof notAfter, 'number');
        assert.ok(names.length <= 2);
      } catch (e) {
        refused++;
        assert.match(String(e), /MeshError/);
      }
    }),
    { numRuns: 2_000 },
  );
  assert.ok(refused > 100);
});
