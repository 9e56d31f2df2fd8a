/** Certificates as config_dump shows them: what everybody may see of each, never a key. */
import { X509Certificate } from 'node:crypto';
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import type { CertificateEntry } from '../../common/identity/types.ts';

export interface CertificateDump {
  /** SPIFFE id. */
  readonly identity: string;
  /** `Available`, `Initializing`, or `Unavailable: ` with the reason. */
  readonly state: string;
  /** Leaf first. */
  readonly certChain: readonly PemDump[];
  readonly rootCerts: readonly PemDump[];
}

interface PemDump {
  /** PEM in base64. */
  readonly pem: string;
  /** Decimal. */
  readonly serialNumber: string;
  /** RFC 3339, whole seconds. */
  readonly validFrom: string;
  readonly expirationTime: string;
}

/** Sorted by identity. */
export function dumpCertificates(entries: readonly CertificateEntry[]): readonly CertificateDump[] {
  return entries.map(dumpEntry).toSorted((a, b) => (a.identity < b.identity ? -1 : 1));
}

function dumpEntry({ identity: id, state }: CertificateEntry): CertificateDump {
  const identity = formatSpiffe(id);
  switch (state.kind) {
    case 'initializing':
      return { identity, state: 'Initializing', certChain: [], rootCerts: [] };
    case 'unavailable':
      return { identity, state: `Unavailable: ${state.reason}`, certChain: [], rootCerts: [] };
    case 'available': {
      const { chain, roots } = state.certificate;
      return { identity, state: 'Available', certChain: chain.map(dumpPem), rootCerts: roots.map(dumpPem) };
    }
  }
}

function dumpPem(pem: string): PemDump {
  const certificate = new X509Certificate(pem);
  return {
    pem: Buffer.from(pem).toString('base64'),
    serialNumber: BigInt(`0x${certificate.serialNumber}`).toString(),
    validFrom: seconds(certificate.validFromDate),
    expirationTime: seconds(certificate.validToDate),
  };
}

function seconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}
