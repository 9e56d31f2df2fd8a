/** What the files say as a whole: which objects to apply, and which of those applied before to delete. Pure. */

import { type Documents, idOf, type ManifestObject } from '../../common/kube/manifests/documents.ts';
import type { Problem } from '../../common/kube/manifests/problem.ts';
import type { Applied } from './state.ts';

export interface ManifestPlan {
  /** In the order in which they can be made. */
  readonly apply: ReadonlyMap<string, ManifestObject>;
  /** Ids, in the order in which they can go. */
  readonly remove: readonly string[];
  readonly problems: readonly Problem[];
}

/** `files` by path. An object in two files is taken from the first by name. */
export function planManifests(files: ReadonlyMap<string, Documents>, applied: Applied): ManifestPlan {
  const wanted = new Map<string, ManifestObject>();
  const problems: Problem[] = [];
  for (const [, documents] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    problems.push(...documents.problems);
    for (const manifest of documents.objects) {
      const id = idOf(manifest.object);
      const first = wanted.get(id);
      if (first === undefined) wanted.set(id, manifest);
      else problems.push(manifest.problemAt(undefined, `is in ${first.file} too, which is taken`));
    }
  }
  const gone = [...applied].filter(([id, { file }]) => !wanted.has(id) && files.get(file)?.isWhole !== false);
  return {
    apply: new Map([...wanted].sort(([, a], [, b]) => rank(a.object.kind) - rank(b.object.kind))),
    remove: gone.sort(([, a], [, b]) => rank(b.kind) - rank(a.kind)).map(([id]) => id),
    problems,
  };
}

/** Others are made in it, or of it. */
const first = ['Namespace', 'CustomResourceDefinition', 'ServiceAccount', 'ConfigMap', 'Secret', 'Service'];

function rank(kind: string): number {
  const index = first.indexOf(kind);
  return index < 0 ? first.length : index;
}
