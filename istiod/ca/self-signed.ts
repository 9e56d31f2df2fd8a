/** Makes a root that signs itself. */
import { KeyObject, randomBytes, webcrypto } from 'node:crypto';
import type { Clock } from '../../common/core/clock.ts';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '../../common/identity/x509.ts';

export interface RootPem {
  /** PKCS#8. */
  readonly key: string;
  readonly certificate: string;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
/** Ms. */
export const tenYears = 10 * 365 * 86_400_000;

/** EC P-256, for ten years. */
export async function makeRoot(trustDomain: string, clock: Clock, lifetime = tenYears): Promise<RootPem> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: newSerial(),
      name: [{ O: [trustDomain] }],
      notBefore: new Date(clock.wall() - 120_000),
      notAfter: new Date(clock.wall() + lifetime),
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto as Crypto),
      ],
    },
    webcrypto as Crypto,
  );
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string;
  return { key, certificate: `${certificate.toString('pem')}\n` };
}

/** 128 random bits, positive and without leading zero bytes (RFC 5280 4.1.2.2), in hex. */
export function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}
