/** A folder as an image has it: the same rights and times wherever and whenever it is made, and one number that says so. */
import { createHash } from 'node:crypto';
import { chmodSync, lchownSync, lstatSync, lutimesSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

export interface Entry {
  /** Without a slash in front. */
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'link';
  /** Permission bits. */
  readonly mode: number;
  /** Bytes of a file; of what is linked twice each time. */
  readonly size: number;
}

/** Paths of all below `root`, without a slash in front. Links are not followed, as Node's recursive readdir does. */
export function pathsBelow(root: string, folder = ''): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? [path, ...pathsBelow(root, path)] : [path];
  });
}

/** All below `root`, by path in code units. */
export function entriesOf(root: string): readonly Entry[] {
  return [...pathsBelow(root)].sort().map((path): Entry => {
    const stat = lstatSync(join(root, path));
    const kind = stat.isDirectory() ? 'folder' : stat.isSymbolicLink() ? 'link' : 'file';
    return { path, kind, mode: stat.mode & 0o7777, size: kind === 'file' ? stat.size : 0 };
  });
}

/** Everybody may read, nobody write; what was executable stays so. `time`: seconds since 1970. */
export function settle(root: string, writable: ReadonlySet<string>, time: number): void {
  // Deepest first: a change below gives a folder another time.
  for (const { path, kind, mode } of [...entriesOf(root)].reverse()) {
    const file = join(root, path);
    if (kind !== 'link')
      chmodSync(file, kind === 'file' && (mode & 0o111) === 0 ? 0o644 : writable.has(path) ? 0o1777 : 0o755);
    own(file, time);
  }
  chmodSync(root, 0o755);
  own(root, time);
}

/** An image is root's; who builds it as somebody else leaves that to what copies it. */
function own(file: string, time: number): void {
  if (process.geteuid?.() === 0) lchownSync(file, 0, 0);
  lutimesSync(file, time, time);
}

/** SHA-256 over paths, kinds, rights, times and content. */
export function digest(root: string): string {
  const hash = createHash('sha256');
  for (const { path, kind, mode } of entriesOf(root)) {
    const file = join(root, path);
    const content =
      kind === 'file'
        ? createHash('sha256').update(readFileSync(file)).digest('hex')
        : kind === 'link'
          ? readlinkSync(file)
          : '';
    const { mtimeMs } = lstatSync(file);
    hash.update(`${JSON.stringify([path, kind, kind === 'link' ? 0 : mode, Math.trunc(mtimeMs / 1000), content])}\n`);
  }
  return hash.digest('hex');
}
