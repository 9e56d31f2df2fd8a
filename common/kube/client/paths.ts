/** Paths of the Kubernetes API. Pure. */
import type { Kind, Within } from '../types.ts';

export interface ResourcePath {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

/** `/api/v1` or `/apis/apps/v1`. */
export function groupPath({ group, version }: Pick<Kind, 'group' | 'version'>): string {
  return group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
}

/** Of all objects, in one namespace or in all. */
export function collectionPath(resource: ResourcePath, namespace?: string): string {
  const inNamespace =
    namespace === undefined || !resource.namespaced ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${groupPath(resource)}${inNamespace}/${resource.plural}`;
}

/** What of `within` is no part of the path. */
export function selectorOf({ name }: Within): Readonly<Record<string, string>> {
  return name === undefined ? {} : { fieldSelector: `metadata.name=${name}` };
}

export function objectPath(
  resource: ResourcePath,
  { namespace = 'default', name }: { readonly namespace?: string; readonly name: string },
): string {
  return `${collectionPath(resource, namespace)}/${encodeURIComponent(name)}`;
}
