/** Unpacks the servers of test/harness/origins.ts into the cache folder: a step of the set-up (scripts/run.mjs). */
import { describeError } from '../common/core/errors.ts';
import { cacheFolder } from '../lab/config.ts';
import { isInstalled, isUnpacked, unpack } from '../lab/image/packages.ts';
import { originPackages } from '../test/harness/origins.ts';

try {
  const cache = cacheFolder();
  for (const p of Object.values(originPackages)) if (!isInstalled(p) && !isUnpacked(cache, p)) await unpack(cache, p);
} catch (e) {
  process.stderr.write(`${describeError(e)}\n`);
  process.exitCode = 1;
}
