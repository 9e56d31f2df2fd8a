/** A write of an object, judged: by the webhook, and by the API server of our own. Pure. */
import { isDeepStrictEqual } from 'node:util';
import { formatPath, isObject } from '../../common/kube/schema/validate.ts';
import type { Finding } from './finding.ts';
import { validateObject } from './validate-object.ts';

export interface Verdict {
  readonly errors: readonly { readonly field: string; readonly message: string }[];
  /** For whoever writes. */
  readonly warnings: readonly string[];
}

const fine: Verdict = { errors: [], warnings: [] };

/** `old`: what was there; an object whose meaning does not change is let pass, so that controllers can always clean up. */
export function judgeWrite(object: unknown, old: unknown): Verdict {
  if (!isObject(object)) return { errors: [{ field: '', message: 'an object is expected' }], warnings: [] };
  const metadata = isObject(object['metadata']) ? object['metadata'] : {};
  if (isObject(old)) {
    if (metadata['deletionTimestamp'] !== undefined) return fine;
    const annotations = (of: unknown) => (isObject(of) ? of['annotations'] : undefined);
    const same =
      isDeepStrictEqual(object['spec'], old['spec']) &&
      isDeepStrictEqual(annotations(metadata), annotations(old['metadata']));
    if (same) return fine;
  }
  // At a creation with generateName there is no name yet.
  const named = metadata['name'] === undefined ? { ...object, metadata: { ...metadata, name: 'unnamed' } } : object;
  const findings = validateObject(named, isObject(old) ? old : undefined) ?? [];
  return {
    errors: findings
      .filter((f) => f.level === 'error')
      .map((f) => ({ field: formatPath(f.path), message: sentence(f) })),
    warnings: findings.filter((f) => f.level === 'warning').map((f) => `${formatPath(f.path)}: ${sentence(f)}`),
  };
}

function sentence({ reason, remedy }: Finding): string {
  return remedy === undefined ? reason : `${reason}; ${remedy}`;
}
