/** Files that the user names, as objects with their places. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describeError, MeshError } from '../common/core/errors.ts';
import { type Documents, parseDocuments } from '../common/kube/manifests/documents.ts';

/** Folders with all that is below them; `-` is stdin. MeshError CONFIG. */
export async function readManifests(paths: readonly string[]): Promise<readonly Documents[]> {
  const documents: Documents[] = [];
  for (const path of paths) {
    if (path === '-') documents.push(parseDocuments('stdin', await text(process.stdin)));
    else for (const file of await filesOf(path)) documents.push(parseDocuments(file, await read(file)));
  }
  return documents;
}

async function filesOf(path: string): Promise<readonly string[]> {
  const is = await stat(path).catch((e: unknown) => {
    throw new MeshError('CONFIG', `${path} cannot be read: ${describeError(e)}`);
  });
  if (!is.isDirectory()) return [path];
  const names = await readdir(path, { recursive: true });
  return names
    .filter((name) => /\.(ya?ml|json)$/.test(name))
    .sort()
    .map((name) => join(path, name));
}

async function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((e: unknown) => {
    throw new MeshError('CONFIG', `${file} cannot be read: ${describeError(e)}`);
  });
}
