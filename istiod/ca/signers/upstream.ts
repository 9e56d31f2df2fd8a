/**
 * Registration authority by the protocol that istiod itself serves (EXTERNAL_CA=ISTIOD_RA_ISTIO_API, CA_ADDR): istio-csr, or another istiod.
 * It is shown the caller's own token, and so checks for itself who asks; or a token of ours, if it trusts us to have checked.
 */
import { structFromJson } from '../../../common/api/index.ts';
import { requestCertificate } from '../../../common/identity/ca-client.ts';
import { formatSpiffe } from '../../../common/identity/spiffe.ts';
import { controlPlaneConnection, type Roots, type Token } from '../../../common/xds/connect.ts';
import { BadRequest } from '../authority.ts';
import type { ExternalRoots } from './external-roots.ts';
import { readChain, requireOnlyName } from './foreign.ts';
import type { ServingNames, ServingPem, Signer } from './signer.ts';

export interface UpstreamSignerOptions {
  /** `https://host:port`. */
  readonly address: string;
  /** Of its TLS. */
  readonly tlsRoots: Roots;
  /** undefined: the caller's. */
  readonly token: Token | undefined;
  readonly clusterId: string;
  readonly roots: ExternalRoots;
  readonly serving: (names: ServingNames) => Promise<ServingPem>;
  readonly signal: AbortSignal;
}

export function createUpstreamSigner(options: UpstreamSignerOptions): Signer {
  const { address, tlsRoots, clusterId, roots, signal } = options;
  return {
    async sign({ csr, identity, ttlMs, call, impersonated }) {
      requireOnlyName(csr, identity);
      const header = call.get('authorization')[0]?.toString();
      const theirs = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
      const token: Token | undefined =
        options.token ?? (theirs === undefined ? undefined : { kind: 'literal', token: theirs });
      if (token === undefined) throw new BadRequest('the CA elsewhere wants a token, and this call came without one');
      const connection = await controlPlaneConnection({ address, roots: tlsRoots, token, clusterId });
      // A CA that sees our token must be told whom we ask for.
      const asks = impersonated || options.token !== undefined;
      const request = {
        csr,
        validityDuration: Math.ceil(ttlMs / 1000),
        ...(asks && { metadata: structFromJson({ ImpersonatedIdentity: formatSpiffe(identity) }) }),
      };
      const { certChain } = await requestCertificate(connection, request, signal);
      return readChain(certChain, roots.current());
    },
    serving: (names) => options.serving(names),
    roots: () => roots.current(),
    expiry: () => undefined,
    onChange: (listener) => roots.onChange(listener),
  };
}
