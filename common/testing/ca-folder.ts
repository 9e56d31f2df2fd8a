/** A folder with root-cert.pem and ca-key.pem, as AQUIFER_FAKE_CA_DIR names one. */
import { webcrypto } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BasicConstraintsExtension, Name, X509CertificateGenerator } from '../identity/x509.ts';

/** Keys that Istio's own test CA and ours have. */
export const caKeys = {
  rsa: {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
  },
  ec: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-256' },
} as const;

/** Writes both files, readable by everybody; the root is valid for two hours. */
export async function writeCaFolder(folder: string, kind: keyof typeof caKeys = 'ec'): Promise<void> {
  const algorithm = caKeys[kind];
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const root = await X509CertificateGenerator.createSelfSigned(
    {
      // OpenSSL writes names so, and who compares names by their bytes must find them in the leaf again.
      name: new Name([{ O: [{ utf8String: 'cluster.local' }] }]),
      keys,
      signingAlgorithm: algorithm,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 7_200_000),
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
    },
    webcrypto as Crypto,
  );
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  writeFileSync(join(folder, 'root-cert.pem'), root.toString('pem'));
  writeFileSync(join(folder, 'ca-key.pem'), `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`);
}
