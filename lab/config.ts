/** The only reader of the environment in lab/ and cli/. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export type Env = Readonly<Record<string, string | undefined>>;

/** Absolute path of this checkout. */
export const checkout = join(import.meta.dirname, '..');

/** Where workload programs are unpacked: `AQUIFER_CACHE`, default `~/.cache/aquifer`. */
export function cacheFolder(env: Env = process.env): string {
  return resolve(env['AQUIFER_CACHE'] || join(homedir(), '.cache', 'aquifer'));
}

/** What the lab's daemon inherits: nothing that would change how its Node runs. */
export function daemonEnv(env: Env = process.env): Record<string, string> {
  const { NODE_OPTIONS: _options, NODE_TEST_CONTEXT: _test, ...rest } = env;
  const kept = Object.entries(rest).filter((e): e is [string, string] => e[1] !== undefined);
  return { ...Object.fromEntries(kept), AQUIFER_CACHE: cacheFolder(env) };
}
