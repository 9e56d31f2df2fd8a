/** The key of a workload and the request to sign it (ambient-wire 4). */
import { generateKeyPair, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { MeshError } from '../core/errors.ts';
import type { Identity } from '../mesh/types.ts';
import { der, tag } from '../tls/der.ts';
import { formatSpiffe, parseSpiffe } from './spiffe.ts';

export interface SigningRequest {
  /** PKCS#8, PEM. */
  readonly privateKey: string;
  /** PKCS#10, PEM. */
  readonly csr: string;
}

const generateKey = promisify(generateKeyPair);

/** Object identifiers, DER: RFC 5758 3.2, RFC 2985 5.4.2, RFC 5280 4.2.1.6. */
const oid = {
  ecdsaWithSha256: Buffer.from('2a8648ce3d040302', 'hex'),
  extensionRequest: Buffer.from('2a864886f70d01090e', 'hex'),
  subjectAltName: Buffer.from('551d11', 'hex'),
};
/** `[0] IMPLICIT` of CertificationRequestInfo, and `[6] IMPLICIT` of GeneralName. */
const attributes = 0xa0;
const uriName = 0x86;
const yes = Buffer.from([0xff]);
const version0 = Buffer.from([0]);

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
  const keys = await generateKey('ec', { namedCurve: 'P-256' });
  const info = requestInfo(keys.publicKey.export({ type: 'spki', format: 'der' }), uri);
  // The first byte of a bit string counts unused bits.
  const signature = Buffer.concat([version0, sign('sha256', info, keys.privateKey)]);
  const algorithm = der(tag.sequence, der(tag.objectId, oid.ecdsaWithSha256));
  const request = der(tag.sequence, info, algorithm, der(tag.bitString, signature));
  return {
    privateKey: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    csr: pem('CERTIFICATE REQUEST', request),
  };
}

/** RFC 2986 4.1. */
function requestInfo(publicKey: Buffer, uri: string): Buffer {
  const names = der(tag.sequence, der(uriName, Buffer.from(uri, 'latin1')));
  const extension = der(
    tag.sequence,
    der(tag.objectId, oid.subjectAltName),
    der(tag.boolean, yes),
    der(tag.octetString, names),
  );
  const attribute = der(
    tag.sequence,
    der(tag.objectId, oid.extensionRequest),
    der(tag.set, der(tag.sequence, extension)),
  );
  return der(tag.sequence, der(tag.integer, version0), der(tag.sequence), publicKey, der(attributes, attribute));
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
