/** A certificate authority in the test's own process, which also issues what a good one never would. */
import { KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { formatSpiffe } from '../identity/spiffe.ts';
import type { CertificateAuthority, WorkloadCertificate } from '../identity/types.ts';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
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
      ],
    },
    webcrypto as Crypto,
  );
  const rootPem = root.toString('pem');
  const requests: Identity[] = [];

  async function issue(identity: Identity, options: IssueOptions = {}): Promise<WorkloadCertificate> {
    const leafKeys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const notBefore = options.notBefore ?? wall() - 120_000;
    const notAfter = options.notAfter ?? wall() + 86_400_000;
    const leaf = await X509CertificateGenerator.create(
      {
        serialNumber: serial(),
        issuer: root.subject,
        notBefore: new Date(notBefore),
        notAfter: new Date(notAfter),
        publicKey: leafKeys.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
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
    return {
      identity,
      privateKey: KeyObject.from(leafKeys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string,
      chain: [leaf.toString('pem')],
      roots: [rootPem],
      notBefore,
      notAfter,
    };
  }

  return {
    root: rootPem,
    requests,
    issue,
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
