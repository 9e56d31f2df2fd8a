/** The programs in /usr/local/bin: as in bin/ of the checkout, but for where they are. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { MeshError } from '../common/core/errors.ts';
import { checkout } from '../lab/config.ts';

/** Where our own files are in the image. */
export const homeInImage = '/usr/local/lib/aquifer';

/** `main`: without its extension. */
export const programs = [
  { name: 'ztunnel', main: 'ztunnel/main' },
  { name: 'waypoint', main: 'waypoint/main' },
  { name: 'istiod', main: 'istiod/main' },
  { name: 'aquifer', main: 'cli/main' },
  { name: 'cni-agent', main: 'cni/main' },
] as const;

export function writePrograms(rootfs: string): void {
  for (const { name, main } of programs) {
    const path = join(rootfs, 'usr/local/bin', name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, startScript(readFileSync(join(checkout, 'bin', name), 'utf8'), main));
    chmodSync(path, 0o755);
  }
}

/** Node's options stay those of the checkout's script. MeshError CONFIG when that is no script of the kind that is known here. */
export function startScript(script: string, main: string): string {
  const changes = [
    [/^# Starts a program of this checkout.*$/gm, '# Starts a program with the Node beside it.'],
    [/^here=.*$/gm, `here=${homeInImage}`],
    [/"\$here\/scripts\/pinned-node"/g, '"$here/node" --disable-warning=ExperimentalWarning'],
    [new RegExp(`"\\$here/${main}\\.ts"`, 'g'), `"$here/${main}.js"`],
  ] as const;
  return changes.reduce((text, [from, to]) => {
    const times = text.match(from)?.length ?? 0;
    if (times !== 1)
      throw new MeshError('CONFIG', `the script that starts ${main} has ${times} times ${from}, not once`);
    return text.replace(from, () => to);
  }, script);
}
