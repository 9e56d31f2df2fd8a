/**
 * The CA's key and root certificate in one file, made once. Both are in one file because two can be half present; it is
 * linked to its name, so that it is whole or not there, and an existing one is never replaced.
 */
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import { createDurably, readIfPresent, syncFolder } from '../../common/core/files.ts';
import type { Logger } from '../../common/core/log.ts';
import { type Issuer, readIssuer, UnusableIssuer } from './issuer.ts';
import { makeRoot } from './self-signed.ts';

export const rootFile = 'ca.pem';

export interface RootOptions {
  readonly dataDir: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** The root that the mesh trusts so far, read before this call; undefined when there is none. */
  readonly published: string | undefined;
}

/**
 * Reads the root, or makes it when there is none. MeshError CONFIG, with file and remedy, when the file is no usable root,
 * and when it is missing although one is published.
 */
export async function loadOrCreateRoot(options: RootOptions): Promise<Issuer> {
  const { dataDir, clock } = options;
  const path = join(dataDir, rootFile);
  const present = (await readIfPresent(path)) ?? (await createRoot(path, options));
  // Also for a file that was there: whoever made it may have been killed before this.
  await syncFolder(dataDir);
  await syncFolder(dirname(dataDir));
  return parseRoot(path, present, clock);
}

/** The text of the file, which may be another process's. */
async function createRoot(path: string, { dataDir, trustDomain, clock, log, published }: RootOptions): Promise<string> {
  if (published !== undefined) {
    throw new MeshError(
      'CONFIG',
      `there is no root of the CA in ${path}, but the mesh trusts one: it is published as ConfigMap istio-ca-root-cert. Restore ` +
        'the file from a backup. Only if there is none: delete that ConfigMap in the namespace of istiod to start with a new ' +
        'root; every workload then needs a new certificate and every client the new root',
    );
  }
  const { key, certificate } = await makeRoot(trustDomain, clock);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  if (await createDurably(path, `${key}${certificate}`))
    log.info('made a new root: nothing signed by another one is trusted', { file: path });
  return (await readIfPresent(path)) ?? '';
}

async function parseRoot(path: string, text: string, clock: Clock): Promise<Issuer> {
  try {
    return await readIssuer({ key: text, certificate: text, chain: '', roots: text }, clock.wall());
  } catch (e) {
    if (!(e instanceof UnusableIssuer)) throw e;
    throw new MeshError(
      'CONFIG',
      `${path} is not a usable root of the CA: ${e.message}. Restore the file from a backup. Only if there is none: remove it to ` +
        'start with a new root; every workload then needs a new certificate and every client the new root',
      { cause: e },
    );
  }
}
