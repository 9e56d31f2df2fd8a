/** @kubernetes/client-node, pinned by test/client-node/package-lock.json and installed into the cache: 80 MB that nobody else needs. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../../lab/config.ts';

export const clientNodeFolder: string = join(import.meta.dirname, '../client-node');

/** Where scripts/install-client-node.ts installs it. */
export function clientNodePath(): string {
  const lock = readFileSync(join(clientNodeFolder, 'package-lock.json'));
  const hash = createHash('sha256').update(lock).digest('hex').slice(0, 16);
  return join(cacheFolder(), 'programs', `client-node-${hash}`);
}

/** As a `skip` option. */
export function skipWithoutClientNode(): string | false {
  if (existsSync(clientNodePath())) return false;
  const reason = '@kubernetes/client-node is not installed: scripts/pinned-node scripts/install-client-node.ts';
  if (process.env['REQUIRE_ALL'] === '1') throw new Error(`REQUIRE_ALL=1, and these tests cannot run: ${reason}`);
  return reason;
}
