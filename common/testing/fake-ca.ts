/** A certificate authority in the test's own process, which also issues what a good one never would. */
import { KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { formatSpiffe } from '../identity/spiffe.ts';
import type { CertificateAuthority, WorkloadCertificate } from '../identity/types.ts';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  type PublicKeyType,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  X509CrlGenerator,
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
  /** An authority below this one: what it issues comes with its own certificate and the same root. */
  intermediate(name: string): Promise<FakeCa>;
  /** A revocation list, PEM, of this authority's own certificates; `certificates` are PEM. */
  revoke(certificates: readonly string[], options?: RevokeOptions): Promise<string>;
}

export interface RevokeOptions {
  /** Ms since the epoch; default a day from now. */
  readonly nextUpdate?: number;
  readonly extensions?: readonly Extension[];
}

/** One certificate of a chain of authorities, and what stands above it. */
interface Authority {
  readonly certificate: X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
  /** PEM, this one's first and without the root's. */
  readonly chain: readonly string[];
  readonly root: string;
}

export const usage = { clientAuth, serverAuth };

/** `wall` gives the time that certificates are dated by; default the real one. */
export async function createFakeCa(wall: () => number = Date.now): Promise<FakeCa> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    { ...validity(wall), serialNumber: serial(), name: 'O=fake-ca', keys, extensions: await ofAuthority(keys) },
    webcrypto as Crypto,
  );
  return fakeCa({ certificate, keys, chain: [], root: certificate.toString('pem') }, wall);
}

function validity(wall: () => number) {
  const notBefore = new Date(wall() - 86_400_000);
  return { notBefore, notAfter: new Date(wall() + 10 * 365 * 86_400_000), signingAlgorithm: algorithm };
}

async function ofAuthority(keys: webcrypto.CryptoKeyPair): Promise<Extension[]> {
  return [
    new BasicConstraintsExtension(true, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto as Crypto),
  ];
}

function fakeCa(authority: Authority, wall: () => number): FakeCa {
  const { certificate: own, keys } = authority;
  const requests: Identity[] = [];

  async function leaf(publicKey: PublicKeyType, identity: Identity, options: IssueOptions): Promise<X509Certificate> {
    return X509CertificateGenerator.create(
      {
        serialNumber: serial(),
        issuer: own.subject,
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
      chain: [certificate.toString('pem'), ...authority.chain],
      roots: [authority.root],
      notBefore: certificate.notBefore.getTime(),
      notAfter: certificate.notAfter.getTime(),
    };
  }

  return {
    root: authority.root,
    requests,
    issue,
    async sign(csr, identity) {
      return (await leaf(new Pkcs10CertificateRequest(csr).publicKey, identity, {})).toString('pem');
    },
    async intermediate(name) {
      const below = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
      const certificate = await X509CertificateGenerator.create(
        {
          ...validity(wall),
          serialNumber: serial(),
          issuer: own.subject,
          subject: name,
          publicKey: below.publicKey,
          signingKey: keys.privateKey,
          extensions: await ofAuthority(below),
        },
        webcrypto as Crypto,
      );
      const chain = [certificate.toString('pem'), ...authority.chain];
      return fakeCa({ certificate, keys: below, chain, root: authority.root }, wall);
    },
    revoke: (certificates, options) => revocationList(own, keys.privateKey, certificates, { wall, ...options }),
    async fetch(identity, signal) {
      signal.throwIfAborted();
      requests.push(identity);
      return issue(identity);
    },
  };
}

/** A revocation list, PEM, of an authority's certificates, which are PEM too. */
export async function revocationList(
  issuer: X509Certificate,
  signingKey: webcrypto.CryptoKey,
  certificates: readonly string[],
  options: RevokeOptions & { readonly wall?: () => number } = {},
): Promise<string> {
  const now = (options.wall ?? Date.now)();
  const list = await X509CrlGenerator.create(
    {
      issuer: issuer.subject,
      thisUpdate: new Date(now - 60_000),
      nextUpdate: new Date(options.nextUpdate ?? now + 86_400_000),
      entries: certificates.map((pem) => ({ serialNumber: new X509Certificate(pem).serialNumber })),
      extensions: [...(options.extensions ?? [])],
      signingAlgorithm: algorithm,
      signingKey,
    },
    webcrypto as Crypto,
  );
  // The library's label is not that of RFC 7468.
  return list.toString('pem').replaceAll(' CRL-----', ' X509 CRL-----');
}

/** Positive, so that it is encoded as it stands. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = 0x40 | (bytes[0]! & 0x3f);
  return bytes.toString('hex');
}
