/** Dumps that a user kept. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { describeError, MeshError } from '../../common/core/errors.ts';

/** `-` is stdin. MeshError CONFIG. */
export async function readDump(file: string): Promise<string> {
  if (file === '-') return text(process.stdin);
  return readFile(file, 'utf8').catch((e: unknown) => {
    throw new MeshError('CONFIG', `${file} cannot be read: ${describeError(e)}`);
  });
}
