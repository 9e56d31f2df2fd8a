/** Unpacks the workload programs of lab/images.ts into the cache folder: a step of the set-up (scripts/run.mjs). */
import { describeError } from '../common/core/errors.ts';
import { ensureImages } from '../lab/images.ts';

try {
  await ensureImages();
} catch (e) {
  process.stderr.write(`${describeError(e)}\n`);
  process.exit(1);
}
