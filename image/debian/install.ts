/** Puts Debian's part of the image into its root file system: what the table names, and the libraries that all of it is linked with. */
import { cpSync, lstatSync, mkdirSync, readFileSync, readlinkSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { MeshError } from '../../common/core/errors.ts';
import { ownersOf, wantedLibraries } from './closure.ts';
import { programsIn } from './elf.ts';
import { type DebianPackage, inUsr, type Packages } from './packages.ts';
import { movedToUsr, triple, type Wanted, wanted } from './table.ts';

const libraryFolders = [`/usr/lib/${triple}`, '/usr/lib'];

/** Links like /bin, and what the table names. */
export async function installWanted(rootfs: string, from: Packages): Promise<readonly DebianPackage[]> {
  for (const name of movedToUsr) {
    mkdirSync(join(rootfs, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, join(rootfs, name));
  }
  const packages = await from.get(wanted.map((w) => w.package));
  for (const [i, w] of wanted.entries()) install(w, packages[i]!, rootfs);
  return packages;
}

function install(w: Wanted, p: DebianPackage, rootfs: string): void {
  for (const pattern of w.files) {
    const paths = matching(p, pattern);
    if (paths.length === 0) throw new MeshError('CONFIG', `package ${p.name} ${p.version} has no ${pattern}`);
    for (const path of paths) copyWithTarget(p, path, rootfs);
  }
  for (const [path, target] of Object.entries(w.links ?? {})) symlinkSync(target, join(rootfs, path));
}

/** `*` is part of a name. */
function matching(p: DebianPackage, pattern: string): readonly string[] {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
  const form = new RegExp(`^${parts.join('[^/]*')}$`);
  return [...p.files.keys()].filter((path) => form.test(path));
}

/** A link comes with what it leads to. */
function copyWithTarget(p: DebianPackage, path: string, rootfs: string): void {
  const source = p.files.get(path);
  if (source === undefined) throw new MeshError('CONFIG', `package ${p.name} ${p.version} has no ${path}`);
  const to = join(rootfs, path);
  mkdirSync(dirname(to), { recursive: true });
  cpSync(source, to, { verbatimSymlinks: true, recursive: true });
  if (!lstatSync(source).isSymbolicLink()) return;
  const target = readlinkSync(source);
  copyWithTarget(p, inUsr(target.startsWith('/') ? target : join(dirname(path), target)), rootfs);
}

/** Packages of libraries that files in the root file system are linked with, until nothing is missing. */
export async function installLibraries(rootfs: string, from: Packages): Promise<readonly DebianPackage[]> {
  const installed = new Map<string, DebianPackage>();
  for (;;) {
    const missing = await missingLibraries(rootfs);
    if (missing.length === 0) return [...installed.values()];
    const owners = await ownersOf(missing);
    const fresh = [...new Set(owners.values())].filter((name) => !installed.has(name)).sort();
    for (const p of await from.get(fresh)) installed.set(p.name, p);
    for (const [library, owner] of owners) {
      const p = installed.get(owner)!;
      const path = placesOf(library).find((place) => p.files.has(place));
      if (path === undefined) throw new MeshError('CONFIG', `package ${owner} ${p.version} has no ${library}`);
      copyWithTarget(p, path, rootfs);
    }
  }
}

/** Libraries and loaders that a file of the root file system wants and that are not in it. */
export async function missingLibraries(rootfs: string): Promise<readonly string[]> {
  const names = new Set([...(await wantedLibraries(programsIn(rootfs))).values()].flat());
  return [...names].filter((name) => !placesOf(name).some((place) => exists(join(rootfs, place)))).sort();
}

/** A loader is where programs say that it is. */
function placesOf(library: string): readonly string[] {
  return library.startsWith('/') ? [inUsr(library)] : libraryFolders.map((folder) => `${folder}/${library}`);
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** The copyright file of a package; some have another package's folder. */
export async function copyrightOf(p: DebianPackage, from: Packages): Promise<string> {
  const folder = `/usr/share/doc/${p.name}`;
  const own = p.files.get(folder);
  if (own !== undefined && lstatSync(own).isSymbolicLink()) {
    const [other] = await from.get([basename(readlinkSync(own))]);
    return copyrightOf(other!, from);
  }
  const file = p.files.get(`${folder}/copyright`);
  if (file === undefined) throw new MeshError('CONFIG', `package ${p.name} ${p.version} has no copyright file`);
  return readFileSync(file, 'utf8');
}
