/**
 * The files of a volume, changed all at once: each is a link into `..data`, which is a link to the folder of one version. Whoever has
 * a file open keeps the version that it opened.
 */
import { randomInt } from 'node:crypto';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface VolumeFile {
  /** Relative, without `..`. */
  readonly path: string;
  readonly content: Uint8Array;
  /** Permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

const current = '..data';

/** `now`: ms since the epoch, part of the version's name. Writes nothing when the files are as they should be. */
export async function writeVersion(folder: string, files: readonly VolumeFile[], now: number): Promise<void> {
  const old = await readlink(join(folder, current)).catch(() => undefined);
  if (old !== undefined && (await isVersion(join(folder, old), files))) return;
  const time = new Date(now).toISOString().replaceAll(/[-:T]/g, '_').slice(0, 19);
  const version = `..${time}.${randomInt(1e9, 1e10)}`;
  await mkdir(join(folder, version), { mode: 0o755 });
  for (const file of files) await writeOne(join(folder, version), file);
  await symlink(version, join(folder, `${current}_tmp`));
  await rename(join(folder, `${current}_tmp`), join(folder, current));
  await showFiles(folder, new Set(files.map((f) => f.path.split('/')[0]!)));
  if (old !== undefined) await rm(join(folder, old), { recursive: true, force: true });
}

async function writeOne(folder: string, { path, content, mode, uid, gid }: VolumeFile): Promise<void> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
  await chown(file, uid, gid);
  await chmod(file, mode);
}

/** Links to what there is; those to what there was go. */
async function showFiles(folder: string, names: ReadonlySet<string>): Promise<void> {
  const shown = new Set<string>();
  for (const name of await readdir(folder)) {
    if (name.startsWith('..')) continue;
    const link = await readlink(join(folder, name)).catch(() => undefined);
    if (link !== `${current}/${name}`) continue;
    if (names.has(name)) shown.add(name);
    else await rm(join(folder, name));
  }
  for (const name of names) if (!shown.has(name)) await symlink(`${current}/${name}`, join(folder, name));
}

async function isVersion(folder: string, files: readonly VolumeFile[]): Promise<boolean> {
  const there = await regularFiles(folder).catch(() => undefined);
  if (there === undefined || there.length !== files.length) return false;
  for (const { path, content, mode, uid, gid } of files) {
    const file = join(folder, path);
    if (!there.includes(file)) return false;
    const is = await stat(file);
    if ((is.mode & 0o7777) !== mode || is.uid !== uid || is.gid !== gid) return false;
    if (!(await readFile(file)).equals(content)) return false;
  }
  return true;
}

async function regularFiles(folder: string): Promise<string[]> {
  const paths = (await readdir(folder, { recursive: true })).map((name) => join(folder, name));
  const kinds = await Promise.all(paths.map(async (p) => (await lstat(p)).isFile()));
  return paths.filter((_, i) => kinds[i]);
}
