/** Files whose absence is no error, and writes that survive a power cut. Other errors of the system pass through. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chown, link, open, readdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Whether it is an error of the system with this code, such as `ENOENT`. */
export function isCode(e: unknown, code: string): boolean {
  return e instanceof Error && 'code' in e && e.code === code;
}

/** A new file for its owner alone, on the disk when this resolves; EEXIST when the name is taken. See {@link syncFolder}. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Gives a new file its name only when it is whole and on the disk; an existing one is never replaced. False: the name was
 * taken. The entry itself survives a power cut after {@link syncFolder}.
 */
export async function createDurably(path: string, text: string): Promise<boolean> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`;
  let created = false;
  try {
    await writeDurably(temporary, text);
    await link(temporary, path);
    created = true;
  } catch (e) {
    // Another process was quicker, and may have tidied our file away: there is one file, and it is theirs.
    if (!isCode(e, 'EEXIST') && !isCode(e, 'ENOENT')) throw e;
  } finally {
    await unlinkIfPresent(temporary);
  }
  // Of processes that ended while they wrote a first one, which nothing has used.
  for (const name of await readdir(dirname(path))) {
    if (name.startsWith(`${basename(path)}.`) && name.endsWith('.tmp'))
      await unlinkIfPresent(join(dirname(path), name));
  }
  return created;
}

/** Readers see the old content or the new one, also after a power cut. One process at a time; readable for its owner alone. */
export async function replaceDurably(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await unlinkIfPresent(temporary);
  await writeDurably(temporary, text);
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

/** Readers see the old content or the new one; for what is made anew after a power cut. `uid`: of the group too. */
export async function replaceFile(
  path: string,
  content: string | Uint8Array,
  { mode = 0o644, uid }: { readonly mode?: number; readonly uid?: number } = {},
): Promise<void> {
  const temporary = `${path}.new`;
  await writeFile(temporary, content, { mode });
  if (uid !== undefined) await chown(temporary, uid, uid);
  await rename(temporary, path);
}

/** Makes a new directory entry survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Empty when there is no such folder. */
export async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir);
  } catch (e) {
    if (isCode(e, 'ENOENT') || isCode(e, 'ENOTDIR')) return [];
    throw e;
  }
}

export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (e) {
    if (isCode(e, 'ENOENT')) return undefined;
    throw e;
  }
}

export async function unlinkIfPresent(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (e) {
    if (!isCode(e, 'ENOENT')) throw e;
  }
}
