/** Keys, certificates and where they come from. Only workers hold these (DESIGN 8). */
import type { Identity } from '../mesh/types.ts';

/** What a workload presents and trusts. Immutable; rotation makes a new one. */
export interface WorkloadCertificate {
  readonly identity: Identity;
  /** PKCS#8, PEM. */
  readonly privateKey: string;
  /** Leaf first, PEM. */
  readonly chain: readonly string[];
  /** Trust bundle that came with the chain, PEM, one certificate an entry. */
  readonly roots: readonly string[];
  /** Ms since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Signs for an identity; the gRPC client of IstioCertificateService, or a fake CA. MeshError IDENTITY_UNAVAILABLE. */
export interface CertificateAuthority {
  fetch(identity: Identity, signal: AbortSignal): Promise<WorkloadCertificate>;
}

/** ambient-wire 4: renewal at half life, back-off 1 s doubling to 150 s with 20 % jitter, a valid old certificate is kept. */
export interface CertificateStore {
  /** Waits for the first issue; MeshError IDENTITY_UNAVAILABLE when it failed, or when the certificate has expired. */
  get(identity: Identity, signal: AbortSignal): Promise<WorkloadCertificate>;
  /** Starts fetching in the background. */
  prefetch(identity: Identity): void;
  /** Stops renewing and drops the key. */
  forget(identity: Identity): void;
  entries(): readonly CertificateEntry[];
  close(): void;
}

export interface CertificateEntry {
  readonly identity: Identity;
  readonly state:
    | { readonly kind: 'initializing' }
    | { readonly kind: 'available'; readonly certificate: WorkloadCertificate }
    | { readonly kind: 'unavailable'; readonly reason: string };
}
