/** Certificates from istiod or anything else that speaks IstioCertificateService (ambient-wire 4). */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { certificateService, type PbCertificateResponse, structFromJson } from '../api/index.ts';
import { describeError, MeshError } from '../core/errors.ts';
import type { Identity } from '../mesh/types.ts';
import { spiffeIdentities } from '../tls/verify.ts';
import { createCsr } from './csr.ts';
import { formatSpiffe, sameIdentity } from './spiffe.ts';
import type { CertificateAuthority, WorkloadCertificate } from './types.ts';

export interface CaClientOptions {
  /** `host:port` of istiod's TLS port. */
  readonly address: string;
  /** Name that istiod's serving certificate must have, where it is not the host of the address (`ALT_CA_HOSTNAME`). */
  readonly serverName?: string;
  /** File with the PEM roots that istiod's serving certificate must chain to; read for each request. */
  readonly rootFile: string;
  /** File with the bearer token; read for each request, since the kubelet rotates it. */
  readonly tokenFile: string;
  /** Sent as `clusterid`. */
  readonly clusterId: string;
  /** Seconds asked for; 86,400 in ztunnel (`SECRET_TTL`). */
  readonly ttlSeconds: number;
}

export interface CaClient extends CertificateAuthority {
  close(): void;
}

/** An answer takes milliseconds; a CA that is gone shall not hold one of the few places in the store's queue. */
const requestTimeout = 10_000;

/** CreateCertificate for an impersonated identity. All failures are MeshError IDENTITY_UNAVAILABLE. */
export function createCaClient(options: CaClientOptions): CaClient {
  let current: { readonly roots: string; readonly client: Client } | undefined;

  /** The channel is kept until the roots on disk change. */
  function clientFor(roots: string): Client {
    if (current?.roots !== roots) {
      current?.client.close();
      const client = new Client(
        options.address,
        credentials.createSsl(Buffer.from(roots)),
        options.serverName === undefined
          ? {}
          : { 'grpc.ssl_target_name_override': options.serverName, 'grpc.default_authority': options.serverName },
      );
      current = { roots, client };
    }
    return current.client;
  }

  async function fetch(identity: Identity, signal: AbortSignal): Promise<WorkloadCertificate> {
    const { csr, privateKey } = await createCsr(identity);
    const [roots, token] = await Promise.all([
      readSetting(options.rootFile, 'the root certificates of istiod'),
      readSetting(options.tokenFile, 'the token of the node proxy'),
    ]);
    signal.throwIfAborted();
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${token.trim()}`);
    metadata.set('clusterid', options.clusterId);
    const request = {
      csr,
      validityDuration: options.ttlSeconds,
      metadata: structFromJson({ ImpersonatedIdentity: formatSpiffe(identity) }),
    };
    const response = await call(clientFor(roots), request, metadata, signal);
    return readResponse(identity, privateKey, response);
  }

  function call(
    client: Client,
    request: Parameters<typeof certificateService.CreateCertificate.requestSerialize>[0],
    metadata: Metadata,
    signal: AbortSignal,
  ): Promise<PbCertificateResponse> {
    const method = certificateService.CreateCertificate;
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        pending.cancel();
        reject(signal.reason);
      };
      const pending = client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadata,
        { deadline: Date.now() + requestTimeout },
        (error: ServiceError | null, response?: PbCertificateResponse) => {
          signal.removeEventListener('abort', onAbort);
          if (response) resolve(response);
          else reject(new MeshError('IDENTITY_UNAVAILABLE', `${options.address}: ${error?.message}`, { cause: error }));
        },
      );
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  return {
    fetch,
    close() {
      current?.client.close();
      current = undefined;
    },
  };
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
    names = spiffeIdentities(new Uint8Array(leaf.raw));
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

async function readSetting(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new MeshError('IDENTITY_UNAVAILABLE', `${what} cannot be read: ${describeError(error)}`, { cause: error });
  }
}
