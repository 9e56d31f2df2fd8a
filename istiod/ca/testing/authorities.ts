/** CAs as operators bring them: any key, any depth, also wrong ones. Only for tests. */
import { KeyObject, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '../../../common/identity/x509.ts';
import { newSerial } from '../self-signed.ts';

const algorithms = {
  p256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  p384: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  p521: { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' },
  rsa: {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
  },
  rsa1024: {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 1024,
    publicExponent: new Uint8Array([1, 0, 1]),
  },
} as const;

export type KeyKind = keyof typeof algorithms;

export interface TestAuthority {
  readonly key: string;
  readonly certificate: string;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly signing: (typeof algorithms)[KeyKind];
  readonly subject: string;
}

export interface AuthorityOptions {
  readonly kind?: KeyKind;
  /** Default: it signs itself. */
  readonly above?: TestAuthority;
  readonly name?: string;
  /** Ms since the epoch. */
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly ca?: boolean;
  readonly usages?: number;
}

export function generateKeys(kind: KeyKind): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithms[kind], true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>;
}

export async function makeAuthority(options: AuthorityOptions = {}): Promise<TestAuthority> {
  const {
    kind = 'p256',
    above,
    name = 'O=test',
    notBefore = Date.now() - 60_000,
    notAfter = Date.now() + 86_400_000,
  } = options;
  const keys = await generateKeys(kind);
  const signing = above?.signing ?? algorithms[kind];
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: newSerial(),
      subject: name,
      issuer: above?.subject ?? name,
      notBefore: new Date(notBefore),
      notAfter: new Date(notAfter),
      publicKey: keys.publicKey,
      signingKey: (above?.keys ?? keys).privateKey,
      signingAlgorithm: signing,
      extensions: [
        new BasicConstraintsExtension(options.ca ?? true, undefined, true),
        new KeyUsagesExtension(options.usages ?? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto as Crypto),
        await AuthorityKeyIdentifierExtension.create((above?.keys ?? keys).publicKey, false, webcrypto as Crypto),
      ],
    },
    webcrypto as Crypto,
  );
  return {
    key: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string,
    certificate: `${new X509Certificate(certificate.rawData).toString('pem')}\n`,
    keys,
    signing: algorithms[kind],
    subject: name,
  };
}
