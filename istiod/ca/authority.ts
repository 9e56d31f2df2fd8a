/** Checks signing requests, and signs with an issuer's key. */
import { createPublicKey, type KeyObject, webcrypto } from 'node:crypto';
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  type PublicKey,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '../../common/identity/x509.ts';
import type { Identity } from '../../common/mesh/types.ts';
import type { Issuer } from './issuer.ts';
import { newSerial } from './self-signed.ts';

const clientAuth = '1.3.6.1.5.5.7.3.2';
const serverAuth = '1.3.6.1.5.5.7.3.1';
/** Ms that clocks of peers may be behind ours. */
const backdating = 120_000;
/** A request with an RSA key of 16,384 bits has 6 KB. */
const longestCsr = 32_768;

/** What is wrong with the caller's request; the text is for the caller. */
export class BadRequest extends Error {}

export type VerifiedCsr = PublicKey;

/** Checks the form, the key's strength and the proof that the caller holds it. BadRequest. */
export async function verifyCsr(pem: string): Promise<VerifiedCsr> {
  if (pem.length > longestCsr) throw new BadRequest(`the CSR has more than ${longestCsr} characters`);
  let csr: Pkcs10CertificateRequest;
  try {
    csr = new Pkcs10CertificateRequest(pem);
    checkKey(createPublicKey({ key: Buffer.from(csr.publicKey.rawData), type: 'spki', format: 'der' }));
  } catch (e) {
    throw e instanceof BadRequest ? e : new BadRequest(`the CSR cannot be read: ${describeError(e)}`);
  }
  const proven = await csr.verify(webcrypto as Crypto).catch(() => false);
  if (!proven) throw new BadRequest('the signature of the CSR does not fit its key');
  return csr.publicKey;
}

function checkKey(key: KeyObject): void {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const strong =
    (key.asymmetricKeyType === 'ec' && (namedCurve === 'prime256v1' || namedCurve === 'secp384r1')) ||
    (key.asymmetricKeyType === 'rsa' && modulusLength >= 2048);
  if (!strong) throw new BadRequest('the key must be EC P-256, EC P-384 or RSA with at least 2,048 bits');
}

/** PEM. The SAN is the identity alone, critical since the subject is empty; what the CSR asked for is not looked at. */
export function signWorkload(
  issuer: Issuer,
  key: VerifiedCsr,
  identity: Identity,
  ttlMs: number,
  clock: Clock,
): Promise<string> {
  return sign(issuer, key, [{ type: 'url', value: formatSpiffe(identity) }], ttlMs, clock);
}

export function signServing(
  issuer: Issuer,
  key: CryptoKey,
  dns: readonly string[],
  ips: readonly string[],
  ttlMs: number,
  clock: Clock,
): Promise<string> {
  const names = [
    ...dns.map((value) => ({ type: 'dns' as const, value })),
    ...ips.map((value) => ({ type: 'ip' as const, value })),
  ];
  return sign(issuer, key, names, ttlMs, clock);
}

async function sign(
  issuer: Issuer,
  publicKey: VerifiedCsr | CryptoKey,
  names: JsonGeneralNames,
  ttlMs: number,
  clock: Clock,
): Promise<string> {
  const now = clock.wall();
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: newSerial(),
      issuer: issuer.certificate.subjectName,
      notBefore: new Date(now - backdating),
      // Nothing outlives its issuers, or peers would see a valid leaf under an expired root.
      notAfter: new Date(Math.min(now + ttlMs, issuer.notAfter)),
      publicKey,
      signingKey: issuer.key,
      signingAlgorithm: issuer.signing,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
        new ExtendedKeyUsageExtension([serverAuth, clientAuth]),
        new SubjectAlternativeNameExtension(names, true),
        await AuthorityKeyIdentifierExtension.create(issuer.certificate.publicKey, false, webcrypto as Crypto),
      ],
    },
    webcrypto as Crypto,
  );
  return `${certificate.toString('pem')}\n`;
}
