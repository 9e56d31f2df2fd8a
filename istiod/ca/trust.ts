/** The roots that the mesh trusts: certificates alone, without what they sign. */
import { createHash, X509Certificate } from 'node:crypto';

export interface TrustedRoot {
  /** The first 16 hexadecimal digits of the SHA-256 of the certificate. */
  readonly id: string;
  /** With a line break at its end. */
  readonly pem: string;
  /** Ms since the epoch. */
  readonly notAfter: number;
}

/** PEM blocks of certificates, as they stand. */
export function certificatesIn(text: string): readonly string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

export function rootOf(certificate: X509Certificate): TrustedRoot {
  return {
    id: createHash('sha256').update(certificate.raw).digest('hex').slice(0, 16),
    pem: certificate.toString(),
    notAfter: certificate.validToDate.getTime(),
  };
}

/** Throws on a block that is no certificate. */
export function rootsIn(text: string): readonly TrustedRoot[] {
  return distinct(certificatesIn(text).map((block) => rootOf(new X509Certificate(block))));
}

/** The first of each. */
export function distinct(roots: readonly TrustedRoot[]): readonly TrustedRoot[] {
  return roots.filter((r, i) => roots.findIndex((other) => other.id === r.id) === i);
}

export function bundleOf(roots: readonly TrustedRoot[]): string {
  return roots.map((r) => r.pem).join('');
}

export function hasRoot(roots: readonly TrustedRoot[], id: string): boolean {
  return roots.some((r) => r.id === id);
}
