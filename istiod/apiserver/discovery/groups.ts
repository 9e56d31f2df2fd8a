/** What is served, in the forms that clients ask for: one document a group and version, and the aggregated one. Pure. */
import { isDeepStrictEqual } from 'node:util';
import { apiVersionOf, type Resource } from '../resources/resource.ts';

export interface GroupVersions {
  readonly group: string;
  /** The preferred one first. */
  readonly versions: readonly string[];
}

/** A subresource as discovery tells it. */
export interface SubresourceInfo {
  readonly name: string;
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly verbs: readonly string[];
}

/** Subresources of a resource, in the order of their names; `extra` are those that special endpoints serve. */
export type SubresourcesOf = (resource: Resource) => readonly SubresourceInfo[];

/** Groups in the order in which they first appear, without the core group. */
export function groupsOf(resources: readonly Resource[]): readonly GroupVersions[] {
  const groups = new Map<string, Set<string>>();
  for (const { group, version } of resources) {
    if (group === '') continue;
    const versions = groups.get(group) ?? new Set<string>();
    groups.set(group, versions.add(version));
  }
  return [...groups].map(([group, versions]) => ({ group, versions: [...versions].sort(byStability) }));
}

/** v2 before v1 before v1beta2 before v1beta1 before v1alpha1; anything else after, by name. */
export function byStability(a: string, b: string): number {
  const [x, y] = [rank(a), rank(b)];
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return y[i]! - x[i]!;
  return a < b ? -1 : a > b ? 1 : 0;
}

function rank(version: string): readonly number[] {
  const m = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
  if (m === null) return [0, 0, 0];
  const stage = m[2] === undefined ? 3 : m[2] === 'beta' ? 2 : 1;
  return [stage, Number(m[1]), Number(m[3] ?? 0)];
}

export function apiVersions(address: string): object {
  return {
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: address }],
  };
}

export function apiGroup({ group, versions }: GroupVersions): object {
  const named = versions.map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return { name: group, versions: named, preferredVersion: named[0] };
}

export function apiGroupList(resources: readonly Resource[]): object {
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groupsOf(resources).map(apiGroup) };
}

export function resourceList(
  resources: readonly Resource[],
  group: string,
  version: string,
  subresources: SubresourcesOf,
): object | undefined {
  const own = resources.filter((r) => r.group === group && r.version === version);
  if (own.length === 0) return undefined;
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf({ group, version }),
    resources: own.flatMap((r) => [
      {
        name: r.resource,
        singularName: r.singular,
        namespaced: r.namespaced,
        kind: r.kind,
        verbs: r.verbs,
        ...(r.shortNames.length === 0 ? {} : { shortNames: r.shortNames }),
        ...(r.categories.length === 0 ? {} : { categories: r.categories }),
        storageVersionHash: '',
      },
      ...subresources(r).map((s) => ({
        name: `${r.resource}/${s.name}`,
        singularName: '',
        namespaced: r.namespaced,
        ...(isDeepStrictEqual([s.group, s.version], [r.group, r.version])
          ? {}
          : { group: s.group, version: s.version }),
        kind: s.kind,
        verbs: s.verbs,
      })),
    ]),
  };
}

/** `/api` or `/apis` with everything below it in one document: apidiscovery.k8s.io/v2. */
export function aggregated(resources: readonly Resource[], core: boolean, subresources: SubresourcesOf): object {
  const groups = core ? [{ group: '', versions: ['v1'] }] : groupsOf(resources);
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: 'apidiscovery.k8s.io/v2',
    metadata: {},
    items: groups.map(({ group, versions }) => ({
      metadata: { name: group === '' ? undefined : group, creationTimestamp: null },
      versions: versions.map((version) => ({
        version,
        freshness: 'Current',
        resources: resources
          .filter((r) => r.group === group && r.version === version)
          .map((r) => ({
            resource: r.resource,
            responseKind: { group, version, kind: r.kind },
            scope: r.namespaced ? 'Namespaced' : 'Cluster',
            singularResource: r.singular,
            verbs: r.verbs,
            ...(r.shortNames.length === 0 ? {} : { shortNames: r.shortNames }),
            ...(r.categories.length === 0 ? {} : { categories: r.categories }),
            subresources: subresources(r).map((s) => ({
              subresource: s.name,
              responseKind: { group: s.group, version: s.version, kind: s.kind },
              verbs: s.verbs,
            })),
          })),
      })),
    })),
  };
}
