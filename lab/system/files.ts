/** Files that others read at any moment. */
import { chown, rename, writeFile } from 'node:fs/promises';

/** Readers see the old or the new content, never a part. */
export async function replaceFile(
  path: string,
  content: string | Uint8Array,
  { mode = 0o644, uid }: { readonly mode?: number /** Of the group too. */; readonly uid?: number } = {},
): Promise<void> {
  await writeFile(`${path}.new`, content, { mode });
  if (uid !== undefined) await chown(`${path}.new`, uid, uid);
  await rename(`${path}.new`, path);
}
