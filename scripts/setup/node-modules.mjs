// npm ci, when what is installed is not what package-lock.json says.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './steps.mjs';

/** @param {string} root */
export async function installNodeModules(root) {
  if (matchesLockfile(root)) return 'up to date';
  // Nothing that we depend on needs an install script, so none gets to run.
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: root,
    remedy: 'Check that the npm registry can be reached (npm ping), then run the command again.',
  });
  return undefined;
}

/** npm writes what it installed into node_modules/.package-lock.json, in the lockfile's own form. */
function matchesLockfile(root) {
  const wanted = packages(join(root, 'package-lock.json'));
  const installed = packages(join(root, 'node_modules/.package-lock.json'));
  if (wanted === undefined || installed === undefined) return false;
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const found = installed[path];
    // Optional packages for other machine types are left out on purpose.
    if (found === undefined ? !entry.optional : found.version !== entry.version) return false;
  }
  return Object.keys(installed).every((path) => path in wanted);
}

function packages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch (e) {
    if (e.code === 'ENOENT' || e instanceof SyntaxError) return undefined;
    throw e;
  }
}
