/** Mounts below a folder, as /proc/self/mountinfo (proc(5)) lists them. */
import { readFileSync } from 'node:fs';
import { tryRun } from './run.ts';

/** Mount points below (or at) `folder`, deepest first. */
export function mountsBelow(folder: string, mountinfo = readFileSync('/proc/self/mountinfo', 'utf8')): string[] {
  return mountinfo
    .split('\n')
    .map((line) => unescapeMount(line.split(' ')[4] ?? ''))
    .filter((path) => path === folder || path.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length);
}

/** Lazily, so that a process which still looks does not keep it. */
export async function unmountBelow(folder: string): Promise<void> {
  for (const path of mountsBelow(folder)) await tryRun(['umount', '--lazy', path]);
}

function unescapeMount(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
