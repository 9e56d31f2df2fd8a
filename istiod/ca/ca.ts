/** The CA put together: what signs, and what follows from a change of the roots. */
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import type { Leadership } from '../leader/leader.ts';
import type { CaSettings } from './config.ts';
import { publishedRoots, publishInNamespaces, rootsMap } from './publish/namespaces.ts';
import { createFileVault } from './roots/file-vault.ts';
import { openRoot } from './roots/open-root.ts';
import { createSecretVault } from './roots/secret-vault.ts';
import { followVault } from './roots/self-signed-ca.ts';
import { createLocalSigner } from './signers/local.ts';
import type { Signer } from './signers/signer.ts';
import { bundleOf } from './trust.ts';

export interface CaOptions {
  readonly settings: CaSettings;
  /** Where istiod runs. */
  readonly namespace: string;
  readonly trustDomain: string;
  readonly source: KubeSource;
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface Ca {
  readonly signer: Signer;
}

/** MeshError CONFIG, API_UNAVAILABLE. */
export async function startCa(options: CaOptions): Promise<Ca> {
  const { source, leadership, clock, log } = options;
  const signer = await startSigner(options);
  const texts = [{ ...rootsMap, text: () => bundleOf(signer.roots()) }];
  leadership.whileLeading((signal) => {
    const publisher = publishInNamespaces({ source, texts, clock, log, signal });
    signer.onChange(() => publisher.republish());
  });
  return { signer };
}

async function startSigner(options: CaOptions): Promise<Signer> {
  const { settings, namespace, trustDomain, source, clock, log, signal } = options;
  const vault =
    settings.vault.kind === 'folder' ? createFileVault(settings.vault.dir) : createSecretVault(source, namespace);
  const published = () => publishedRoots(source, namespace);
  const opened = await openRoot({ vault, trustDomain, lifetime: settings.rootTtl, clock, log, published });
  const longestBlindness = settings.defaultCertTtl / 2;
  return createLocalSigner(followVault({ vault, opened, longestBlindness, clock, log, signal }), clock);
}
