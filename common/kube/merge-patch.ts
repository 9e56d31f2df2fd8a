/** JSON merge patch (RFC 7386). */
import { isObject } from './schema/validate.ts';
import type { PatchOptions } from './types.ts';

/** Section 2 of the RFC: null removes, objects merge, everything else replaces. Neither argument is changed. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result = new Map<string, unknown>(isObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key);
    else result.set(key, applyMergePatch(result.get(key), value));
  }
  // fromEntries makes own properties also of names such as __proto__.
  return Object.fromEntries(result);
}

/** What KubeSource.patch sends for these options: the status, or everything else, and the version that must still be there. */
export function patchToSend(patch: object, { subresource, resourceVersion }: PatchOptions): object {
  const { status, ...rest } = patch as { readonly status?: unknown; readonly metadata?: object };
  const wanted = subresource === undefined ? rest : { status };
  if (resourceVersion === undefined) return wanted;
  return { ...wanted, metadata: { ...('metadata' in wanted ? wanted.metadata : {}), resourceVersion } };
}
