/** A CA elsewhere, of which istiod is the registration authority. */
import { assertNever, MeshError } from '../../../common/core/errors.ts';
import type { ExternalCa } from '../config.ts';
import { followRoots } from '../signers/external-roots.ts';
import { createKubernetesSigner } from '../signers/kubernetes.ts';
import type { Signer } from '../signers/signer.ts';
import { createUpstreamSigner } from '../signers/upstream.ts';
import type { Backend, BackendOptions } from './backend.ts';

/** MeshError CONFIG. */
export async function externalBackend(external: ExternalCa, options: BackendOptions): Promise<Backend> {
  const roots = await followRoots(external.roots, options);
  const make = (): Signer => {
    switch (external.kind) {
      case 'kubernetes':
        return createKubernetesSigner({ ...options, signerName: external.signerName, roots });
      case 'upstream':
        return createUpstreamSigner({
          ...options,
          address: external.address,
          tlsRoots: { kind: 'file', path: external.tlsRoots },
          token: external.tokenFile === undefined ? undefined : { kind: 'file', path: external.tokenFile },
          roots,
          serving: () =>
            Promise.reject(new MeshError('CONFIG', 'the CA elsewhere signs for workloads only: set --tlsCertFile')),
        });
      default:
        return assertNever(external);
    }
  };
  // Its operator knows when a root may go: what the file holds is trusted.
  return { signer: make(), revoked: () => undefined, watch: () => undefined };
}
