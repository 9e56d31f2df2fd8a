/** A root of istiod's own. */
import { millis } from '../../../common/core/brand.ts';
import { publishedRoots } from '../publish/namespaces.ts';
import { createFileVault } from '../roots/file-vault.ts';
import { openRoot } from '../roots/open-root.ts';
import { createSecretVault } from '../roots/secret-vault.ts';
import { followVault } from '../roots/self-signed-ca.ts';
import { runRotation } from '../rotation/rotation.ts';
import { createLocalSigner } from '../signers/local.ts';
import type { Backend, BackendOptions } from './backend.ts';

/** Ms between two looks at requests for a rotation. */
const interval = millis(2_000);

export async function selfSignedBackend(options: BackendOptions): Promise<Backend> {
  const { settings, namespace, trustDomain, source, leadership, clock, log, signal } = options;
  const vault =
    settings.vault.kind === 'folder' ? createFileVault(settings.vault.dir) : createSecretVault(source, namespace);
  const published = () => publishedRoots(source, namespace);
  const opened = await openRoot({ vault, trustDomain, lifetime: settings.rootTtl, clock, log, published });
  const longestBlindness = settings.defaultCertTtl / 2;
  const ca = followVault({ vault, opened, longestBlindness, clock, log, signal });
  return {
    signer: createLocalSigner(ca, clock),
    revoked: () => undefined,
    watch(mesh) {
      const { defaultCertTtl: defaultTtl, rootTtl, rootGrace: grace, rootCheckInterval: ageInterval } = settings;
      const rotation = { ...options, vault, ca, mesh, defaultTtl, rootTtl, grace, ageInterval, interval };
      leadership.whileLeading((term) => void runRotation(rotation, term));
    },
  };
}
