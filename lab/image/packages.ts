/** Debian packages unpacked into the cache folder, each with those of its dependencies that this machine lacks. */
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { run, tryRun } from '../system/run.ts';
import type { DebianPackage } from './image.ts';

/** Folders that hold links into /usr on every machine since Debian 12; packages may still name them. */
const movedToUsr = ['bin', 'sbin', 'lib', 'lib64'] as const;

export function layerFolder(cache: string, p: DebianPackage): string {
  return join(cache, 'packages', p.name);
}

export function isInstalled(p: DebianPackage): boolean {
  return existsSync(p.file);
}

export function isUnpacked(cache: string, p: DebianPackage): boolean {
  return existsSync(layerFolder(cache, p));
}

/** Unpacks beside the cache's folder and renames, so that a layer is there whole or not at all. */
export async function unpack(cache: string, p: DebianPackage): Promise<void> {
  await mkdir(join(cache, 'packages'), { recursive: true });
  const work = await mkdtemp(join(cache, `unpack-${p.name}-`));
  try {
    const packages = await missingPackages(p.name);
    const root = join(work, 'root');
    await mkdir(root);
    await run(['sh', '-c', 'cd "$0" && exec apt-get -q download "$@"', work, ...packages]);
    const files = (await readdir(work)).filter((f) => f.endsWith('.deb'));
    for (const file of files) await run(['dpkg-deb', '-x', join(work, file), root]);
    for (const folder of movedToUsr) await moveToUsr(root, folder);
    await publish(root, layerFolder(cache, p));
  } catch (e) {
    throw new MeshError('CONFIG', `package ${p.name} cannot be unpacked: ${describeError(e)}`, { cause: e });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** `name=version` of the package and of the dependencies that are not installed, as apt-get would install them. */
async function missingPackages(name: string): Promise<string[]> {
  const ask = ['apt-get', 'install', '--simulate', '--no-install-recommends', '--no-upgrade', name];
  let answer = await tryRun(ask);
  if (answer.code !== 0) {
    // A fresh machine has no lists of packages.
    await run(['apt-get', '-q', 'update']);
    answer = { code: 0, stdout: await run(ask), stderr: '' };
  }
  return parseSimulation(answer.stdout);
}

/** `Inst nginx (1.22.1-9 Debian:12 [amd64])`; an installed package that would be upgraded has `[old version]` before the brace. */
export function parseSimulation(text: string): string[] {
  return [...text.matchAll(/^Inst (\S+) \((\S+) /gm)].map((m) => `${m[1]}=${m[2]}`);
}

async function moveToUsr(root: string, folder: string): Promise<void> {
  const from = join(root, folder);
  if (!existsSync(from)) return;
  await cp(from, join(root, 'usr', folder), { recursive: true, verbatimSymlinks: true });
  await rm(from, { recursive: true });
}

/** Another process may have been quicker: its layer is as good. */
async function publish(root: string, layer: string): Promise<void> {
  try {
    await rename(root, layer);
  } catch (e) {
    if (!(await stat(layer).catch(() => undefined))) throw e;
  }
}
