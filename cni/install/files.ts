/** Puts files into folders that other programs read at any moment: they see the old one or the new one, also after a power cut. */
import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isCode } from '../../common/core/files.ts';

/** A name that no container runtime takes for a configuration or a plugin. */
function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.aquifer-new`);
}

/** `still` is asked at the last moment; false leaves everything as it is. Returns whether the file was put there. */
export function replaceFileDurably(
  path: string,
  content: string | Uint8Array,
  mode: number,
  still: () => boolean = () => true,
): boolean {
  const temporary = temporaryName(path);
  const file = openSync(temporary, 'w', 0o600);
  try {
    writeFileSync(file, content);
    fchmodSync(file, mode);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  if (!still()) {
    rmSync(temporary, { force: true });
    return false;
  }
  renameSync(temporary, path);
  syncFolder(dirname(path));
  return true;
}

export function removeDurably(path: string): void {
  rmSync(path, { force: true });
  rmSync(temporaryName(path), { force: true });
  syncFolder(dirname(path));
}

export interface ReadFile {
  readonly content: Buffer;
  readonly stat: Stats;
}

/** undefined when there is no such file. */
export function readWithStat(path: string): ReadFile | undefined {
  try {
    return { stat: statSync(path), content: readFileSync(path) };
  } catch (e) {
    if (isCode(e, 'ENOENT') || isCode(e, 'ENOTDIR')) return undefined;
    throw e;
  }
}

/** Nobody has put another file there, or written to this one. */
export function isUnchanged(path: string, { stat }: ReadFile): boolean {
  const now = readWithStat(path)?.stat;
  return now?.ino === stat.ino && now.mtimeMs === stat.mtimeMs && now.size === stat.size;
}

function syncFolder(path: string): void {
  let folder: number;
  try {
    folder = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (e) {
    if (isCode(e, 'ENOENT')) return;
    throw e;
  }
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
