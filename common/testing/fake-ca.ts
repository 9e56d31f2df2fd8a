/** A certificate authority in the test's own process, which also issues what a good one never would. */
import { KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { formatSpiffe } from '../identity/spiffe.ts';
import type { CertificateAuthority, WorkloadCertificate } from '../identity/types.ts';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  type PublicKeyType,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '../identity/x509.ts';
import type { Identity } from '../mesh/types.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const clientAuth = '1.3.6.1.5.5.7.3.2';
const serverAuth = '1.3.6.1.5.5.7.3.1';

export interface IssueOptions {
  /** Default: the SPIFFE id of the identity alone. */
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
  /** Ms since the epoch. Default two minutes ago. */
  readonly notBefore?: number;
  /** Default 24 h from now. */
  readonly notAfter?: number;
  /** Object identifiers; default client and server authentication. */
  readonly usages?: readonly string[];
}

export interface FakeCa extends CertificateAuthority {
  /** PEM. */
  readonly root: string;
  readonly requests: readonly Identity[];
  issue(identity: Identity, options?: IssueOptions): Promise<WorkloadCertificate>;
  /** A leaf, PEM, for the key of a PKCS#10 request. */
  sign(csr: string, identity: Identity): Promise<string>;
}

export const usage = { clientAuth, serverAuth };

/** `wall` gives the time that certificates are dated by; default the real one. */
export async function createFakeCa(wall: () => number = Date.now): Promise<FakeCa> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const root: X509Certificate = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serial(),
      name: 'O=fake-ca',
      notBefore: new Date(wall() - 86_400_000),
      notAfter: new Date(wall() + 10 * 365 * 86_400_000),
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
  const rootPem = root.toString('pem');
  const requests: Identity[] = [];

  async function leaf(publicKey: PublicKeyType, identity: Identity, options: IssueOptions): Promise<X509Certificate> {
    return X509CertificateGenerator.create(
      {
        serialNumber: serial(),
        issuer: root.subject,
        notBefore: new Date(options.notBefore ?? wall() - 120_000),
        notAfter: new Date(options.notAfter ?? wall() + 86_400_000),
        publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
          // Tells roots of one name apart, without which OpenSSL tries only the first of a bundle during CA rotation.
          await AuthorityKeyIdentifierExtension.create(keys.publicKey, false, webcrypto as Crypto),
          new ExtendedKeyUsageExtension([...(options.usages ?? [clientAuth, serverAuth])]),
          new SubjectAlternativeNameExtension(
            [
              ...(options.dns ?? []).map((value) => ({ type: 'dns' as const, value })),
              ...(options.uris ?? [formatSpiffe(identity)]).map((value) => ({ type: 'url' as const, value })),
            ],
            true,
          ),
        ],
      },
      webcrypto as Crypto,
    );
  }

  async function issue(identity: Identity, options: IssueOptions = {}): Promise<WorkloadCertificate> {
    const leafKeys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const certificate = await leaf(leafKeys.publicKey, identity, options);
    return {
      identity,
      privateKey: KeyObject.from(leafKeys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string,
      chain: [certificate.toString('pem')],
      roots: [rootPem],
      notBefore: certificate.notBefore.getTime(),
      notAfter: certificate.notAfter.getTime(),
    };
  }

  return {
    root: rootPem,
    requests,
    issue,
    async sign(csr, identity) {
      return (await leaf(new Pkcs10CertificateRequest(csr).publicKey, identity, {})).toString('pem');
    },
    async fetch(identity, signal) {
      signal.throwIfAborted();
      requests.push(identity);
      return issue(identity);
    },
  };
}

/** Positive, so that it is encoded as it stands. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = 0x40 | (bytes[0]! & 0x3f);
  return bytes.toString('hex');
}
