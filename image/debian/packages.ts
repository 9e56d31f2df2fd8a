/** Debian packages, fetched by apt as this machine trusts them and unpacked one by one; none of their scripts runs. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { MeshError } from '../../common/core/errors.ts';
import { run, tryRun } from '../../lab/system/run.ts';
import { pathsBelow } from '../tree.ts';
import { movedToUsr } from './table.ts';

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Of the archive, hex. */
  readonly sha256: string;
  /** All control fields, as in the archive. */
  readonly control: string;
  /** Where its files are unpacked. */
  readonly folder: string;
  /** Absolute path, with /bin and /lib in /usr -> the unpacked file, link or folder. */
  readonly files: ReadonlyMap<string, string>;
}

interface Archive {
  readonly file: string;
  readonly sha256: string;
}

/** Unpacks each package once, in the version that apt would install now. */
export class Packages {
  readonly #cache: string;
  readonly #work: string;
  readonly #unpacked = new Map<string, DebianPackage>();

  /** `cache`: folder of archives, where those that were fetched before are; `work`: folder to unpack in. */
  constructor(cache: string, work: string) {
    this.#cache = cache;
    this.#work = work;
  }

  /** In the order of `names`. MeshError CONFIG when apt knows no such package, KERNEL with apt's words when it cannot fetch it. */
  async get(names: readonly string[]): Promise<readonly DebianPackage[]> {
    const fresh = names.filter((name) => !this.#unpacked.has(name));
    for (const p of await unpackPackages(fresh, this.#cache, this.#work)) this.#unpacked.set(p.name, p);
    return names.map((name) => this.#unpacked.get(name)!);
  }
}

async function unpackPackages(
  names: readonly string[],
  cache: string,
  work: string,
): Promise<readonly DebianPackage[]> {
  if (names.length === 0) return [];
  await mkdir(cache, { recursive: true });
  const archives = await locate(names, work);
  const missing = archives.filter(({ file }) => !existsSync(join(cache, file)));
  if (missing.length > 0) await fetchInto(cache, names);
  return Promise.all(archives.map((archive, i) => unpackOne(names[i]!, archive, cache, work)));
}

/** In the order of `names`. */
async function locate(names: readonly string[], work: string): Promise<readonly Archive[]> {
  // What apt makes of its lists takes a second; where containers are made it is set not to keep it.
  const ask = ['apt-get', `--option=Dir::Cache::pkgcache=${join(work, 'apt')}`, 'download', '--print-uris', ...names];
  let answer = await tryRun(ask);
  if (answer.code !== 0) {
    // A fresh machine has no lists of packages.
    await run(['apt-get', '-q', 'update']);
    answer = await tryRun(ask);
  }
  if (answer.code !== 0) throw new MeshError('CONFIG', `apt cannot fetch ${names.join(', ')}: ${answer.stderr.trim()}`);
  const found = parseUris(answer.stdout);
  return names.map((name) => {
    const archive = found.find(({ file }) => file.startsWith(`${name}_`));
    if (archive === undefined) throw new MeshError('CONFIG', `apt says of package ${name} not where it is`);
    return archive;
  });
}

/** Lines of `'http://.../libc6_2.36-9_amd64.deb' libc6_2.36-9_amd64.deb 2756808 SHA256:7a0a...`. */
export function parseUris(text: string): readonly Archive[] {
  return [...text.matchAll(/^'[^']*' (\S+\.deb) \d+ SHA256:([0-9a-f]{64})$/gm)].map((m) => ({
    file: m[1]!,
    sha256: m[2]!,
  }));
}

/** apt checks what it fetches; others that fetch the same at the same time put the same there. */
async function fetchInto(cache: string, names: readonly string[]): Promise<void> {
  const fresh = await mkdtemp(join(cache, 'fetching-'));
  try {
    await run(['sh', '-c', 'cd "$0" && exec apt-get -q download "$@"', fresh, ...names]);
    for (const file of await readdir(fresh)) await rename(join(fresh, file), join(cache, file));
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

async function unpackOne(name: string, { file, sha256 }: Archive, cache: string, work: string): Promise<DebianPackage> {
  const archive = join(cache, file);
  const folder = join(work, basename(file, '.deb'));
  const sum = createHash('sha256')
    .update(await readFile(archive))
    .digest('hex');
  if (sum !== sha256) throw new MeshError('CONFIG', `${archive} is damaged: remove it`);
  await run(['dpkg-deb', '-x', archive, folder]);
  const control = await run(['dpkg-deb', '-f', archive]);
  const field = (key: string) => new RegExp(`^${key}: (.*)$`, 'm').exec(control)?.[1] ?? '';
  const files = new Map(pathsBelow(folder).map((path) => [inUsr(`/${path}`), join(folder, path)]));
  return { name, version: field('Version'), architecture: field('Architecture'), sha256, control, folder, files };
}

/** `/lib/x` is `/usr/lib/x`. */
export function inUsr(path: string): string {
  return movedToUsr.some((top) => path === `/${top}` || path.startsWith(`/${top}/`)) ? `/usr${path}` : path;
}
