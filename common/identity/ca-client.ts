import type { CertificateAuthority } from './types.ts';

export interface CaClientOptions {
  /** `host:port` of istiod's TLS port. */
  readonly address: string;
  /** File with the PEM roots that istiod's serving certificate must chain to; read again for each new connection. */
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

/** IstioCertificateService.CreateCertificate for an impersonated identity (ambient-wire 4). */
export function createCaClient(_options: CaClientOptions): CaClient {
  throw new Error('being written');
}
