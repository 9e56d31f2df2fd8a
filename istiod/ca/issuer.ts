/**
 * A certificate that signs others, with its key and the way up to its root; made from PEM whose every part is checked, since a CA that
 * is half right fails in each of its clients instead of here.
 */
import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  X509Certificate as NodeCertificate,
  webcrypto,
} from 'node:crypto';
import { describeError } from '../../common/core/errors.ts';
import { X509Certificate } from '../../common/identity/x509.ts';
import { certificatesIn, rootOf, type TrustedRoot } from './trust.ts';

export interface Issuer {
  readonly certificate: X509Certificate;
  /** Of `certificate`, PEM with a line break at its end. */
  readonly pem: string;
  readonly key: CryptoKey;
  /** What WebCrypto signs with. */
  readonly signing: webcrypto.Algorithm & { readonly hash: string };
  /** What goes between a leaf and the root, PEM, lowest first; empty when this is the root itself. */
  readonly chain: readonly string[];
  readonly root: TrustedRoot;
  /** Ms since the epoch: the earliest end in the chain up to the root. Nothing signed may outlive it. */
  readonly notAfter: number;
}

export interface IssuerPem {
  /** PKCS#8, PKCS#1 or SEC 1, without a password. */
  readonly key: string;
  readonly certificate: string;
  /** Certificates between it and its root, in any order; may hold both of them too. */
  readonly chain: string;
  /** Roots, one of which it must lead to. */
  readonly roots: string;
}

/** What is wrong, to be put behind the name of the place: `it holds no private key`. */
export class UnusableIssuer extends Error {}

export async function readIssuer(pem: IssuerPem, now: number): Promise<Issuer> {
  const key = readKey(pem.key);
  const certificate = readCertificate(pem.certificate);
  const signing = signingOf(key);
  const ofKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
  if (!ofKey.equals(certificate.publicKey.export({ type: 'spki', format: 'der' })))
    throw new UnusableIssuer('key and certificate do not belong together');
  const path = pathOf(certificate, pem);
  for (const c of path) checkAuthority(c, now);
  const parsed = new X509Certificate(certificate.raw);
  const algorithm = signing as webcrypto.EcKeyImportParams | webcrypto.RsaHashedImportParams;
  return {
    certificate: parsed,
    pem: `${parsed.toString('pem')}\n`,
    key: await webcrypto.subtle.importKey('pkcs8', key.export({ type: 'pkcs8', format: 'der' }), algorithm, false, [
      'sign',
    ]),
    signing,
    chain: path.slice(0, -1).map((c) => c.toString()),
    root: rootOf(path.at(-1)!),
    notAfter: Math.min(...path.map((c) => c.validToDate.getTime())),
  };
}

function readKey(text: string): KeyObject {
  const block = /-----BEGIN ((?:RSA |EC |ENCRYPTED )?PRIVATE KEY)-----[^-]+-----END \1-----/.exec(text)?.[0];
  if (block === undefined) throw new UnusableIssuer('it holds no private key');
  try {
    return createPrivateKey(block);
  } catch (e) {
    throw new UnusableIssuer(`its private key cannot be read (${describeError(e)})`, { cause: e });
  }
}

function readCertificate(text: string): NodeCertificate {
  const [block] = certificatesIn(text);
  if (block === undefined) throw new UnusableIssuer('it holds no certificate');
  return parseCertificate(block);
}

function parseCertificate(block: string): NodeCertificate {
  try {
    return new NodeCertificate(block);
  } catch (e) {
    throw new UnusableIssuer(`its certificate cannot be read (${describeError(e)})`, { cause: e });
  }
}

function signingOf(key: KeyObject): Issuer['signing'] {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1')
    return { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as Issuer['signing'];
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'secp384r1')
    return { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' } as Issuer['signing'];
  if (key.asymmetricKeyType === 'rsa' && modulusLength >= 2048) return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  throw new UnusableIssuer('its private key is neither EC P-256, EC P-384 nor RSA with at least 2,048 bits');
}

/** From the certificate to a root, both included. */
function pathOf(certificate: NodeCertificate, { chain, roots }: IssuerPem): readonly NodeCertificate[] {
  const trusted = certificatesIn(roots).map(parseCertificate);
  const between = certificatesIn(chain).map(parseCertificate);
  const path = [certificate];
  for (;;) {
    const last = path.at(-1)!;
    const self = trusted.find((r) => r.raw.equals(last.raw));
    if (self !== undefined) {
      if (!last.verify(last.publicKey)) throw new UnusableIssuer('the signature of its certificate is wrong');
      return path;
    }
    const signs = (c: NodeCertificate) => last.checkIssued(c) && last.verify(c.publicKey);
    const root = trusted.find(signs);
    if (root !== undefined) {
      path.push(root);
      continue;
    }
    const next = between.find((c) => signs(c) && !path.some((p) => p.raw.equals(c.raw)));
    if (next === undefined)
      throw new UnusableIssuer(`${last.subject.replaceAll('\n', ', ')} leads to none of its roots`);
    path.push(next);
  }
}

function checkAuthority(certificate: NodeCertificate, now: number): void {
  const name = certificate.subject.replaceAll('\n', ', ');
  // OpenSSL also looks at the key usage: whoever may not sign is none.
  if (!certificate.ca) throw new UnusableIssuer(`the certificate of ${name} is not one of a CA`);
  if (certificate.validToDate.getTime() <= now)
    throw new UnusableIssuer(`${name} expired on ${certificate.validToDate.toISOString()}`);
  if (certificate.validFromDate.getTime() > now)
    throw new UnusableIssuer(`${name} is valid from ${certificate.validFromDate.toISOString()} only`);
}
