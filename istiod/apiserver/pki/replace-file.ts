import { rename } from 'node:fs/promises';
import { syncFolder, unlinkIfPresent, writeDurably } from '../../../common/core/files.ts';

/** The old content or the new one, also after a power cut. `folder`: where the file is. */
export async function replaceFile(path: string, text: string, folder: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await unlinkIfPresent(temporary);
  await writeDurably(temporary, text);
  await rename(temporary, path);
  await syncFolder(folder);
}
