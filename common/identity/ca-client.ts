/** Certificates from istiod or anything else that speaks IstioCertificateService (ambient-wire 4). */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { Client, type ServiceError } from '@grpc/grpc-js';
import { certificateService, type PbCertificateResponse, structFromJson } from '../api/index.ts';
import { describeError, MeshError } from '../core/errors.ts';
import type { Identity } from '../mesh/types.ts';
import { readLeaf } from '../tls/leaf.ts';
import { type Connection, type ControlPlane, controlPlaneConnection } from '../xds/connect.ts';
import { createCsr } from './csr.ts';
import { formatSpiffe, sameIdentity } from './spiffe.ts';
import type { CertificateAuthority, WorkloadCertificate } from './types.ts';

const method = certificateService.CreateCertificate;
type Request = Parameters<typeof method.requestSerialize>[0];

export interface CaClientOptions extends ControlPlane {
  /** Seconds asked for; 86,400 in ztunnel (`SECRET_TTL`). */
  readonly ttlSeconds: number;
  /** false: the caller asks for its own identity, as a dedicated proxy does; it names none. */
  readonly impersonate: boolean;
}

/** An answer takes milliseconds; a CA that is gone shall not hold one of the few places in the store's queue. */
const requestTimeout = 10_000;

/**
 * CreateCertificate for an impersonated identity, or for the caller's own. Roots and token are read again for each request, and each has a
 * connection of its own, so that gRPC's own back-off never comes on top of the store's. Failures are MeshError
 * IDENTITY_UNAVAILABLE, or the signal's reason.
 */
export function createCaClient(options: CaClientOptions): CertificateAuthority {
  return {
    async fetch(identity, signal) {
      const { csr, privateKey } = await createCsr(identity);
      const connection = await controlPlaneConnection(options).catch((error: unknown) => {
        throw new MeshError('IDENTITY_UNAVAILABLE', describeError(error), { cause: error });
      });
      signal.throwIfAborted();
      const request = {
        csr,
        validityDuration: options.ttlSeconds,
        ...(options.impersonate && {
          metadata: structFromJson({ ImpersonatedIdentity: formatSpiffe(identity) }),
        }),
      };
      return readResponse(identity, privateKey, await requestCertificate(connection, request, signal));
    },
  };
}

/** One CreateCertificate on a connection of its own. MeshError IDENTITY_UNAVAILABLE, or the signal's reason. */
export function requestCertificate(
  connection: Connection,
  request: Request,
  signal: AbortSignal,
): Promise<PbCertificateResponse> {
  const client = new Client(connection.target, connection.credentials, connection.options);
  return new Promise<PbCertificateResponse>((resolve, reject) => {
    const onAbort = () => {
      pending.cancel();
      reject(signal.reason);
    };
    const pending = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      connection.metadata,
      // grpc-js knows only the wall clock.
      { deadline: Date.now() + requestTimeout },
      (error: ServiceError | null, response?: PbCertificateResponse) => {
        signal.removeEventListener('abort', onAbort);
        if (response) resolve(response);
        else {
          const reason = `CreateCertificate at ${connection.target}: ${error?.message ?? 'no answer'}`;
          reject(new MeshError('IDENTITY_UNAVAILABLE', reason, { cause: error }));
        }
      },
    );
    signal.addEventListener('abort', onAbort, { once: true });
  }).finally(() => client.close());
}

/**
 * Leaf first, intermediates one by one, all roots in the last element. MeshError IDENTITY_UNAVAILABLE for a chain without
 * roots, a leaf for somebody else, or one that does not belong to the key.
 */
export function readResponse(
  identity: Identity,
  privateKey: string,
  response: PbCertificateResponse,
): WorkloadCertificate {
  const uri = formatSpiffe(identity);
  const invalid = (reason: string, cause?: unknown) =>
    new MeshError('IDENTITY_UNAVAILABLE', `the CA's answer for ${uri} is invalid: ${reason}`, { cause });
  if (response.certChain.length < 2) {
    throw invalid(`cert_chain has ${response.certChain.length} elements, expected the leaf and, last, the roots`);
  }
  const chain = response.certChain.slice(0, -1);
  const roots = splitPem(response.certChain.at(-1)!);
  if (roots.length === 0) throw invalid('the last element of cert_chain holds no certificate');
  let leaf: X509Certificate;
  let names: readonly Identity[];
  try {
    for (const root of roots) new X509Certificate(root);
    leaf = new X509Certificate(chain[0]!);
    names = readLeaf(leaf.raw).identities;
  } catch (error) {
    throw invalid(describeError(error), error);
  }
  const [name] = names;
  if (names.length !== 1 || !sameIdentity(name!, identity)) {
    throw invalid(`the leaf is for ${names.map(formatSpiffe).join(', ') || 'nobody'}`);
  }
  if (!leaf.checkPrivateKey(createPrivateKey(privateKey))) throw invalid('the leaf is for another key');
  return {
    identity,
    privateKey,
    chain,
    roots,
    notBefore: leaf.validFromDate.getTime(),
    notAfter: leaf.validToDate.getTime(),
  };
}

function splitPem(text: string): readonly string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}
