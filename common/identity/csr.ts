import type { Identity } from '../mesh/types.ts';

export interface SigningRequest {
  /** PKCS#8, PEM. */
  readonly privateKey: string;
  /** PKCS#10, PEM. */
  readonly csr: string;
}

/** A fresh EC P-256 key and its request: SHA-256, empty subject, one critical URI SAN (ambient-wire 4). */
export async function createCsr(_identity: Identity): Promise<SigningRequest> {
  throw new Error('being written');
}
