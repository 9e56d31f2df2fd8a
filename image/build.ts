/** One root file system with all programs: our code, Node, and of Debian what these are linked with. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '../common/core/errors.ts';
import { version } from '../common/core/version.ts';
import { cacheFolder, checkout } from '../lab/config.ts';
import { run } from '../lab/system/run.ts';
import { type BundledPackage, bundle, licenseFile, readPackage } from './code.ts';
import { copyrightOf, installLibraries, installWanted } from './debian/install.ts';
import { type DebianPackage, Packages } from './debian/packages.ts';
import { copyFiles, joinCertificates, layOut, writableByAll } from './files.ts';
import { homeInImage, writePrograms } from './programs.ts';
import { licensesIn, type Part, sbom } from './sbom.ts';
import { digest, entriesOf, settle } from './tree.ts';

export interface Built {
  /** Bytes of all files. */
  readonly size: number;
  /** Hex; the same sources and packages give the same. */
  readonly digest: string;
  readonly parts: readonly Part[];
}

export const sbomInImage = '/usr/share/aquifer/sbom.cdx.json';
const node = join('node_modules', `node-linux-${process.arch}`);

/** `rootfs`: a folder that is not there yet, or empty; `time`: of its files, seconds since 1970. MeshError CONFIG, KERNEL. */
export async function buildImage({ rootfs, time }: { readonly rootfs: string; readonly time: number }): Promise<Built> {
  if (existsSync(rootfs) && readdirSync(rootfs).length > 0)
    throw new MeshError('CONFIG', `--rootfs: ${rootfs} is not empty; give a folder that is not there yet`);
  const cache = cacheFolder();
  mkdirSync(rootfs, { recursive: true });
  mkdirSync(cache, { recursive: true });
  const work = await mkdtemp(join(cache, 'image-'));
  try {
    const from = new Packages(join(cache, 'debs'), work);
    const home = join(rootfs, homeInImage);
    layOut(rootfs);
    const [bundled, named] = await Promise.all([makeCode(home), installWanted(rootfs, from)]);
    writePrograms(rootfs);
    await copyNode(home);
    await strip(['node', 'native/build/aquifer.node', 'cni/plugin/build/aquifer-cni'].map((f) => join(home, f)));
    const packages = new Set([...named, ...(await installLibraries(rootfs, from))]);
    joinCertificates(rootfs);
    const debian: Part[] = [];
    for (const p of packages) debian.push(await describePackage(p, rootfs, from));
    for (const p of bundled) copyLicense(p, rootfs);
    const parts = [...debian, ...bundled.map(npmPart)];
    writeSbom(rootfs, parts, time);
    settle(rootfs, writableByAll, time);
    return { size: entriesOf(rootfs).reduce((sum, e) => sum + e.size, 0), digest: digest(rootfs), parts };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Returns all npm packages that are in it. */
async function makeCode(home: string): Promise<readonly BundledPackage[]> {
  const code = await bundle(home);
  const packages = [...code.packages, ...copyFiles(home, code), readPackage(join(checkout, node))];
  return [...new Map(packages.map((p): [string, BundledPackage] => [`${p.name}@${p.version}`, p])).values()];
}

async function copyNode(home: string): Promise<void> {
  cpSync(join(checkout, node, 'bin/node'), join(home, 'node'));
}

/** Symbols for debuggers are a fifth of Node, and of ours say where they were built. */
async function strip(files: readonly string[]): Promise<void> {
  await run(['strip', '--strip-unneeded', '--remove-section=.note.gnu.build-id', ...files]);
}

/** Its license and, for scanners, its control fields. */
async function describePackage(p: DebianPackage, rootfs: string, from: Packages): Promise<Part> {
  const copyright = await copyrightOf(p, from);
  write(join(rootfs, 'usr/share/doc', p.name), 'copyright', copyright);
  write(join(rootfs, 'var/lib/dpkg/status.d'), p.name, p.control);
  const { name, version, architecture, sha256 } = p;
  return { kind: 'debian', name, version, architecture, sha256, licenses: licensesIn(copyright) };
}

function npmPart({ name, version, license }: BundledPackage): Part {
  return { kind: 'npm', name, version, licenses: [license] };
}

function copyLicense(p: BundledPackage, rootfs: string): void {
  const file = licenseFile(p);
  if (file !== undefined)
    write(join(rootfs, 'usr/share/doc/npm', `${p.name}@${p.version}`), 'LICENSE', readFileSync(file, 'utf8'));
}

function writeSbom(rootfs: string, parts: readonly Part[], time: number): void {
  const { license } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { readonly license: string };
  write(join(rootfs, 'usr/share/doc/aquifer'), 'LICENSE', readFileSync(join(checkout, 'LICENSE'), 'utf8'));
  const release = readFileSync(join(rootfs, 'usr/lib/os-release'), 'utf8');
  const distribution = /^VERSION_CODENAME=(.*)$/m.exec(release)?.[1] ?? 'sid';
  write(join(rootfs, 'usr/share/aquifer'), 'sbom.cdx.json', sbom({ version, license, time, distribution, parts }));
}

function write(folder: string, name: string, text: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), text);
}
