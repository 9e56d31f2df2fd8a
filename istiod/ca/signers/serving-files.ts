/** The certificate of istiod's own TLS port from files (--tlsCertFile, --tlsKeyFile), which somebody renews. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { type FollowedFiles, followFiles } from '../../../common/core/followed-files.ts';
import type { ServingPem, Signer } from './signer.ts';

/** MeshError CONFIG. */
export async function withServingFiles(
  signer: Signer,
  files: { readonly certificate: string; readonly key: string },
  options: Omit<FollowedFiles, 'paths' | 'use'>,
): Promise<Signer> {
  const listeners = new Set<() => void>();
  let pem: ServingPem = { key: '', chain: '' };
  await followFiles({
    ...options,
    paths: [files.certificate, files.key],
    use([chain = '', key = '']) {
      if (!new X509Certificate(chain).checkPrivateKey(createPrivateKey(key)))
        throw new Error('key and certificate do not belong together');
      pem = { key, chain };
      for (const listener of listeners) listener();
    },
  });
  return {
    sign: (request) => signer.sign(request),
    serving: async () => pem,
    roots: () => signer.roots(),
    expiry: () => signer.expiry(),
    onChange(listener) {
      listeners.add(listener);
      signer.onChange(listener);
    },
  };
}
