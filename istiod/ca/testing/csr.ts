/** Signing requests as attackers write them: asking for more than a name, or damaged. Only for tests. */
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ChallengePasswordAttribute,
  ExtendedKeyUsageExtension,
  Extension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from '../../../common/identity/x509.ts';

export type Random = () => number;

const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random() * from.length)]!;

const names: JsonGeneralNames = [
  { type: 'url', value: 'spiffe://cluster.local/ns/istio-system/sa/istiod' },
  { type: 'url', value: 'spiffe://cluster.local/ns/shop/sa/admin' },
  { type: 'url', value: 'spiffe://cluster.local/ns/shop/sa/web' },
  { type: 'url', value: 'spiffe://*/ns/*/sa/*' },
  { type: 'url', value: 'https://evil.test/' },
  { type: 'dns', value: 'istiod.istio-system.svc' },
  { type: 'dns', value: '*.cluster.local' },
  { type: 'ip', value: '127.0.0.1' },
  { type: 'email', value: 'root@cluster.local' },
];

const extensions: readonly ((random: Random) => Extension)[] = [
  (r) =>
    new SubjectAlternativeNameExtension(
      names.filter(() => r() < 0.4),
      r() < 0.5,
    ),
  () => new BasicConstraintsExtension(true, undefined, true),
  () => new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
  () => new ExtendedKeyUsageExtension(['2.5.29.37.0', '1.3.6.1.5.5.7.3.9']),
  // Name constraints, an issuer's alternative name, something nobody knows.
  (r) => new Extension(pick(r, ['2.5.29.30', '2.5.29.18', '1.2.3.4.5']), r() < 0.5, new Uint8Array([0x30, 0x00])),
];

/** Signed rightly, asking for anything. PEM. */
export async function greedyCsr(keys: webcrypto.CryptoKeyPair, random: Random): Promise<string> {
  const request = await Pkcs10CertificateRequestGenerator.create(
    {
      name: pick(random, ['', 'CN=istiod', 'O=system:masters,CN=admin', 'CN=spiffe://cluster.local/ns/shop/sa/admin']),
      keys,
      signingAlgorithm: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
      extensions: extensions.filter(() => random() < 0.5).map((make) => make(random)),
      attributes: random() < 0.2 ? [new ChallengePasswordAttribute('secret')] : [],
    },
    webcrypto as Crypto,
  );
  return request.toString('pem');
}

/** Bytes changed, cut, repeated or put in, also in the armour around them. */
export function damagedCsr(pem: string, random: Random): string {
  if (random() < 0.15) return spoilt(Buffer.from(pem), random).toString('latin1');
  const der = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  const spoiltDer = spoilt(der, random);
  return `-----BEGIN CERTIFICATE REQUEST-----\n${spoiltDer.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
}

function spoilt(bytes: Buffer, random: Random): Buffer {
  let out = Buffer.from(bytes);
  for (let n = 1 + Math.floor(random() * 3); n > 0; n--) {
    const at = Math.floor(random() * out.length);
    const length = Math.floor(random() * 16);
    switch (Math.floor(random() * 4)) {
      case 0:
        out[at] = Math.floor(random() * 256);
        break;
      case 1:
        out = out.subarray(0, at);
        break;
      case 2:
        out = Buffer.concat([out.subarray(0, at), out.subarray(at, at + length), out.subarray(at)]);
        break;
      default:
        out = Buffer.concat([out.subarray(0, at), Buffer.alloc(length, Math.floor(random() * 256)), out.subarray(at)]);
    }
    if (out.length === 0) break;
  }
  return out;
}
