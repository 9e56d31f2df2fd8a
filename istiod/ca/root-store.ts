/** A CA of one process in a folder of its own: the API server's, and those of tests. */
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Issuer } from './issuer.ts';
import { createFileVault } from './roots/file-vault.ts';
import { openRoot } from './roots/open-root.ts';
import { tenYears } from './self-signed.ts';

export interface RootOptions {
  readonly dataDir: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** The root that the mesh trusts so far, read before this call; undefined when there is none. */
  readonly published: string | undefined;
}

/** Errors as those of openRoot. */
export async function loadOrCreateRoot({ dataDir, published, ...options }: RootOptions): Promise<Issuer> {
  const vault = createFileVault(dataDir);
  const { issuer } = await openRoot({ ...options, vault, lifetime: tenYears, published: async () => published });
  return issuer;
}
