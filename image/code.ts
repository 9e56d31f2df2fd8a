/** Our programs as plain JavaScript in few files: they start in a third of the time that TypeScript in many takes, with nothing compiled before. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { rolldown } from 'rolldown';
import { MeshError } from '../common/core/errors.ts';
import { checkout } from '../lab/config.ts';
import { type NamedFile, placed } from './places.ts';
import { homeInImage, programs } from './programs.ts';

export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX expression, as its package.json has it. */
  readonly license: string;
  readonly folder: string;
}

export interface Bundle {
  readonly packages: readonly BundledPackage[];
  /** Files beside the code that it names by their place. */
  readonly named: readonly NamedFile[];
}

/** Folder of what programs share. */
const codeFolder = 'code';
/** Files of which a program starts another thread or process. */
const threads = [
  'ztunnel/worker',
  'waypoint/filters/script/isolate',
  'istiod/apiserver/pki/make-worker',
  'istiod/apiserver/storage/sqlite-worker',
] as const;
/** The lab starts programs of a checkout and its own: it is not in the image. */
const labCommand = 'cli/lab-command.ts';
const labAnswer = 'image/no-lab.ts';

/** Writes the code into `home`, each program at the path that it has in a checkout, as .js. MeshError CONFIG. */
export async function bundle(home: string): Promise<Bundle> {
  const entries = [...programs.map(({ main }) => main), ...threads];
  const named = new Map<string, NamedFile>();
  const warnings: string[] = [];
  const build = await rolldown({
    cwd: checkout,
    platform: 'node',
    input: Object.fromEntries(entries.map((entry) => [entry, join(checkout, `${entry}.ts`)])),
    onLog: (level, log) => level === 'warn' && warnings.push(log.message),
    plugins: [
      {
        name: 'no-lab',
        resolveId: (id, importer) =>
          importer !== undefined && join(dirname(importer), id) === join(checkout, labCommand)
            ? join(checkout, labAnswer)
            : null,
      },
      {
        name: 'places',
        transform: (code, id) => {
          const at = relative(checkout, id);
          if (at.startsWith('..') || at.startsWith('node_modules') || !code.includes('import.meta.')) return null;
          const result = placed(code, at, homeInImage);
          for (const file of result.named) named.set(file.path, file);
          return result.code;
        },
      },
    ],
  });
  try {
    const { output } = await build.write({
      dir: home,
      format: 'esm',
      entryFileNames: '[name].js',
      chunkFileNames: `${codeFolder}/[name]-[hash].js`,
    });
    if (warnings.length > 0) throw new MeshError('CONFIG', `the code cannot be bundled: ${warnings.join('; ')}`);
    const modules = output.flatMap((chunk) => (chunk.type === 'chunk' ? chunk.moduleIds : []));
    return { packages: packagesOf(modules), named: [...named.values()] };
  } finally {
    await build.close();
  }
}

/** Of modules below node_modules, each package once, by name. */
function packagesOf(modules: readonly string[]): readonly BundledPackage[] {
  const folders = new Set(modules.flatMap((id) => packageFolder(id) ?? []));
  return [...folders].map(readPackage).sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** `/x/node_modules/@grpc/grpc-js` of a file in it. */
function packageFolder(id: string): string | undefined {
  const [, folder] = /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id) ?? [];
  return folder;
}

export function readPackage(folder: string): BundledPackage {
  const file = join(folder, 'package.json');
  const { name, version, license } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  if (typeof name !== 'string' || typeof version !== 'string')
    throw new MeshError('CONFIG', `${file} has no name or version`);
  if (typeof license !== 'string') throw new MeshError('CONFIG', `${file} does not say its license`);
  return { name, version, license, folder };
}

/** Its license's text; undefined: the package has none. */
export function licenseFile({ folder }: BundledPackage): string | undefined {
  return ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'LICENCE', 'license', 'License', 'COPYING']
    .map((name) => join(folder, name))
    .find((path) => existsSync(path));
}
