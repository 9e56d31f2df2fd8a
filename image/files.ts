/** What our programs read while they run, besides their code; at the checkout's paths below the image's folder. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { MeshError } from '../common/core/errors.ts';
import { checkout } from '../lab/config.ts';
import { type Bundle, type BundledPackage, readPackage } from './code.ts';

/** Of the checkout. Those below a build folder are made by its Makefile. */
const own: readonly string[] = [
  'package.json',
  'native/build/aquifer.node',
  'bpf/build/capture.bpf.o',
  'cni/plugin/build/aquifer-cni',
  'common/api/protos',
  'istiod/console/web',
  'charts',
];

/** Of npm packages, below node_modules: what code asks `require` for while it runs. */
const required: readonly { readonly package: string; readonly files: readonly string[] }[] = [
  { package: 'yaml', files: ['dist'] },
  { package: 'protobufjs', files: ['google/protobuf'] },
  { package: '@grpc/grpc-js-xds', files: ['deps'] },
];

const left = /\.(test\.ts|md)$|^tsconfig\.json$/;

/** Returns the packages that files were taken from. MeshError CONFIG when one is not there, or code names one that is not in the image. */
export function copyFiles(home: string, { named }: Pick<Bundle, 'named'>): readonly BundledPackage[] {
  for (const path of own) copy(path, home);
  const packages = required.map((r) => {
    const folder = join('node_modules', r.package);
    for (const path of ['package.json', ...r.files]) copy(join(folder, path), home);
    return readPackage(join(checkout, folder));
  });
  for (const { path, by } of named)
    if (!existsSync(join(home, path)))
      throw new MeshError('CONFIG', `${by} names ${path}, which is not in the image: add it to image/files.ts`);
  return packages;
}

function copy(path: string, home: string): void {
  const from = join(checkout, path);
  if (!existsSync(from))
    throw new MeshError('CONFIG', `${path} is not there; npm run image builds it, and npm ci the packages`);
  const to = join(home, path);
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, { recursive: true, filter: (source) => !left.test(basename(source)) });
}

/** Files of /etc, and users. Workers and whatever needs no right are 1337. */
const etc: Readonly<Record<string, string>> = {
  '/etc/passwd':
    'root:x:0:0:root:/root:/sbin/nologin\naquifer:x:1337:1337:aquifer:/tmp:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n',
  '/etc/group': 'root:x:0:\naquifer:x:1337:\nnogroup:x:65534:\n',
  '/etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};

/** Where others mount, and what is empty. */
const folders = ['dev', 'proc', 'sys', 'run', 'root', 'etc', 'usr/bin', 'usr/sbin', 'usr/lib', 'var'] as const;
const scratch = ['tmp', 'var/tmp'] as const;

export const writableByAll: ReadonlySet<string> = new Set(scratch);

/** Files of /etc, and empty folders. */
export function layOut(rootfs: string): void {
  for (const folder of [...folders, ...scratch]) mkdirSync(join(rootfs, folder), { recursive: true });
  for (const [path, text] of Object.entries(etc)) writeFileSync(join(rootfs, path), text);
  symlinkSync('../run', join(rootfs, 'var/run'));
}

/** As update-ca-certificates(8) does: all of Debian's in one file, which is what programs read. */
export function joinCertificates(rootfs: string): void {
  const folder = join(rootfs, 'usr/share/ca-certificates/mozilla');
  const text = readdirSync(folder)
    .sort()
    .map((name) => readFileSync(join(folder, name), 'utf8').trimEnd());
  mkdirSync(join(rootfs, 'etc/ssl/certs'), { recursive: true });
  writeFileSync(join(rootfs, 'etc/ssl/certs/ca-certificates.crt'), `${text.join('\n')}\n`);
  rmSync(join(rootfs, 'usr/share/ca-certificates'), { recursive: true });
}
