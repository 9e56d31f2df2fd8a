/** Which libraries programs are linked with, and which packages of this machine they are from. */
import { basename } from 'node:path';
import { MeshError } from '../../common/core/errors.ts';
import { run, tryRun } from '../../lab/system/run.ts';

/** Names of libraries that a file wants (ELF's DT_NEEDED), and the path of its loader; by file. */
export async function wantedLibraries(files: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
  if (files.length === 0) return new Map();
  // readelf names a file only where it is asked for several: nothing needs this one.
  return parseReadelf(await run(['readelf', '--wide', '--dynamic', '--program-headers', ...files]));
}

/** `File: x`, then ` 0x...01 (NEEDED)  Shared library: [libc.so.6]` and `[Requesting program interpreter: /lib64/ld...]`. */
export function parseReadelf(text: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of text.split('\n')) {
    const file = /^File: (.*)$/.exec(line)?.[1];
    if (file !== undefined) {
      current = [];
      found.set(file, current);
    }
    const name =
      /\(NEEDED\)\s+Shared library: \[(.*)\]/.exec(line)?.[1] ??
      /Requesting program interpreter: (.*)\]/.exec(line)?.[1];
    if (name !== undefined) current.push(name);
  }
  return found;
}

/** The packages of this machine that have these libraries and loaders, by library. MeshError CONFIG when none has one. */
export async function ownersOf(libraries: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await tryRun(['dpkg', '-S', ...libraries.map((library) => `*/${basename(library)}`)]);
  return new Map(
    libraries.map((library) => {
      const name = ownerIn(stdout, basename(library));
      if (name !== undefined) return [library, name];
      const remedy = 'install the one that has it, as on any machine where the programs run';
      throw new MeshError('CONFIG', `no package of this machine has the library ${library}; ${remedy}`);
    }),
  );
}

/** Lines of `libelf1:amd64: /usr/lib/x86_64-linux-gnu/libelf.so.1`; those of other folders are of other programs. */
export function ownerIn(text: string, library: string): string | undefined {
  const found = text.matchAll(/^([^:\s]+)(?::\w+)?: (?:\/usr)?\/lib(?:64)?\/(?:[^/\n]+-linux-gnu\/)?([^/\n]+)$/gm);
  return [...found].find((m) => m[2] === library)?.[1];
}
