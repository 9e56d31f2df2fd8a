/** Installs @kubernetes/client-node for the tests into the cache folder: a step of the set-up (scripts/run.mjs). */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describeError } from '../common/core/errors.ts';
import { clientNodeFolder, clientNodePath } from '../test/harness/client-node.ts';

const path = clientNodePath();
if (!existsSync(path)) {
  mkdirSync(dirname(path), { recursive: true });
  const work = mkdtempSync(`${path}-`);
  try {
    for (const file of ['package.json', 'package-lock.json'])
      copyFileSync(join(clientNodeFolder, file), join(work, file));
    execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'], { cwd: work });
    renameSync(work, path);
  } catch (e) {
    process.stderr.write(`@kubernetes/client-node cannot be had from the npm registry: ${describeError(e)}\n`);
    process.exitCode = 1;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
