/** What was applied from which file, on disk, so that a file that goes while nobody looks takes its objects along too. */
import { MeshError } from '../../common/core/errors.ts';
import { readIfPresent, replaceDurably } from '../../common/core/files.ts';
import { isObject } from '../../common/kube/schema/validate.ts';

/** What is needed to delete it. */
export interface AppliedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly file: string;
}

/** By id. */
export type Applied = ReadonlyMap<string, AppliedObject>;

/** MeshError CONFIG when the file is damaged. */
export async function readApplied(path: string): Promise<Map<string, AppliedObject>> {
  const text = await readIfPresent(path);
  if (text === undefined) return new Map();
  try {
    const content: unknown = JSON.parse(text);
    if (isObject(content)) return new Map(Object.entries(content) as [string, AppliedObject][]);
  } catch {
    // The same answer as for JSON of another shape.
  }
  throw new MeshError('CONFIG', `${path} is damaged: remove it, and by kubectl what is not in the manifests any more`);
}

/** The old content or the new one, also after a power cut. */
export async function writeApplied(path: string, applied: Applied): Promise<void> {
  await replaceDurably(path, JSON.stringify(Object.fromEntries(applied)));
}
