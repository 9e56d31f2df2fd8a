/** The key of a workload and the request to sign it (ambient-wire 4). */
import { KeyObject, webcrypto } from 'node:crypto';
import { MeshError } from '../core/errors.ts';
import type { Identity } from '../mesh/types.ts';
import { formatSpiffe, parseSpiffe } from './spiffe.ts';
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from './x509.ts';

export interface SigningRequest {
  /** PKCS#8, PEM. */
  readonly privateKey: string;
  /** PKCS#10, PEM. */
  readonly csr: string;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/**
 * A fresh EC P-256 key and its request: SHA-256, empty subject, one critical URI SAN. MeshError IDENTITY_UNAVAILABLE when
 * the identity has characters that no SPIFFE id may have.
 */
export async function createCsr(identity: Identity): Promise<SigningRequest> {
  const uri = formatSpiffe(identity);
  if (!parseSpiffe(uri)) {
    throw new MeshError(
      'IDENTITY_UNAVAILABLE',
      `${JSON.stringify(uri)} is not a SPIFFE id, so no certificate can be asked for`,
    );
  }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const request = await Pkcs10CertificateRequestGenerator.create(
    {
      keys,
      signingAlgorithm: algorithm,
      extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: uri }], true)],
    },
    webcrypto as Crypto,
  );
  return {
    privateKey: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string,
    csr: request.toString('pem'),
  };
}
