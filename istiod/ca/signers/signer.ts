/** What istiod asks of whatever signs for the mesh: its own CA, or one elsewhere that it is the registration authority of. */
import type { Metadata } from '@grpc/grpc-js';
import type { Identity } from '../../../common/mesh/types.ts';
import type { VerifiedCsr } from '../authority.ts';
import type { TrustedRoot } from '../trust.ts';

export interface WorkloadRequest {
  /** PKCS#10, PEM, as the caller sent it. */
  readonly csr: string;
  readonly key: VerifiedCsr;
  /** Whom the caller may be: the only name that the certificate may have. */
  readonly identity: Identity;
  /** Ms. */
  readonly ttlMs: number;
  /** The caller's own call, whose token a CA elsewhere is shown. */
  readonly call: Metadata;
  /** Whether the caller asked for another identity than its own. */
  readonly impersonated: boolean;
}

export interface Signed {
  /** PEM, leaf first, without the root. */
  readonly chain: readonly string[];
  /** What the holder shall trust. */
  readonly roots: readonly TrustedRoot[];
  /** Id of the root that the chain leads to. */
  readonly under: string;
}

/** Of istiod's own TLS port. */
export interface ServingPem {
  /** PKCS#8. */
  readonly key: string;
  /** Leaf first. */
  readonly chain: string;
}

export interface Signer {
  /** Rejects with BadRequest when the request cannot be signed as it is; with any other error when the signer failed. */
  sign(request: WorkloadRequest): Promise<Signed>;
  serving(names: ServingNames): Promise<ServingPem>;
  /** What the mesh shall trust at this moment; at least one. */
  roots(): readonly TrustedRoot[];
  /** Ms since the epoch at which the certificate that signs ends; undefined where that is not known here. */
  expiry(): number | undefined;
  /** After the roots changed, or who signs. */
  onChange(listener: () => void): void;
}

export interface ServingNames {
  readonly dns: readonly string[];
  readonly ips: readonly string[];
  /** Ms. */
  readonly ttlMs: number;
}
