/** Deletes what has lost its owners, and finishes deletions in the foreground and those that orphan. */

import { fromJson, type OwnerReference } from '../../objects.ts';
import { apiVersionOf, type Resource } from '../../resources/resource.ts';
import type { StoreKey } from '../../storage/types.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { forEachFew, readEverything, storedResources } from '../runtime/every-resource.ts';
import type { FeedChange } from '../runtime/feed.ts';
import { unlessGone } from '../runtime/writer.ts';
import { blocks, fateOf, foregroundFinalizer, type OwnerState, orphanFinalizer } from './decide.ts';
import { type Item, OwnerGraph } from './graph.ts';

/** Looks again at an owner that waits for its dependents, in ms, though their ends are seen at once. */
const longestWait = 30_000;

export function garbageCollector(cluster: Cluster): void {
  const { writer, queue } = cluster.desk('garbage-collector');
  const { store } = cluster.rest;
  const graph = new OwnerGraph();
  /** Objects that are being deleted with one of the two finalizers, by uid. */
  const deleting = new Map<string, StoreKey>();

  let index = { generation: -1, resources: new Map<string, Resource>() };

  const dependents = queue(judge, { parallel: 64 });
  const owners = queue(finish, { parallel: 8 });

  readEverything(cluster.feeds, cluster.registry, see);

  function see(change: FeedChange): void {
    const { key, deleted, json } = change;
    const owned = json.includes('"ownerReferences"');
    const ending = json.includes('"deletionTimestamp"');
    if (!deleted && !owned && !ending) return;
    const { metadata } = change.object();
    const uid = metadata.uid ?? '';
    if (deleted) {
      deleting.delete(uid);
      const item = graph.remove(uid);
      for (const d of graph.dependentsOf(uid)) dependents.add(d.uid);
      for (const owner of item?.owners ?? []) if (deleting.has(owner.uid)) owners.add(owner.uid);
      return;
    }
    const refs = metadata.ownerReferences ?? [];
    const known = graph.get(uid);
    if (refs.length > 0) {
      if (graph.put({ uid, key, owners: refs })) dependents.add(uid);
    } else graph.remove(uid);
    // An owner that this one no longer holds.
    for (const owner of known?.owners ?? []) if (deleting.has(owner.uid)) owners.add(owner.uid);
    const finalizers = metadata.finalizers ?? [];
    const held = finalizers.includes(orphanFinalizer) || finalizers.includes(foregroundFinalizer);
    if (metadata.deletionTimestamp === undefined || !held) {
      deleting.delete(uid);
      return;
    }
    deleting.set(uid, key);
    owners.add(uid);
  }

  /** One with owners: whether it stays. */
  async function judge(uid: string): Promise<void> {
    const item = graph.get(uid);
    const resource = item && resourceOf(item.key);
    if (item === undefined || resource === undefined) return;
    const stored = store.get(item.key);
    if (stored === undefined) return;
    const { metadata } = fromJson(stored.json);
    if (metadata.uid !== uid) return;
    const fate = fateOf({
      owners: (metadata.ownerReferences ?? []).map((ref) => ({
        uid: ref.uid,
        state: stateOf(ref, item.key.namespace),
      })),
      finalizers: metadata.finalizers ?? [],
      hasDependents: graph.hasDependents(uid),
      deletionTimestamp: metadata.deletionTimestamp,
    });
    const target = { ...item.key, uid };
    if (fate.kind === 'delete') await writer.deleteResource(resource, target, { propagation: fate.propagation });
    if (fate.kind === 'drop-owners') await dropOwners(resource, target, fate.uids);
  }

  /** An owner that is deleted in the foreground, or orphans. */
  async function finish(uid: string): Promise<void> {
    const key = deleting.get(uid);
    const resource = key && resourceOf(key);
    if (key === undefined || resource === undefined) return;
    const stored = store.get(key);
    if (stored === undefined) return;
    const { metadata } = fromJson(stored.json);
    if (metadata.uid !== uid) return;
    const items = graph.dependentsOf(uid);
    if (metadata.finalizers?.includes(orphanFinalizer)) {
      await forEachFew(items, async (item) => {
        const dependent = resourceOf(item.key);
        if (dependent !== undefined) await dropOwners(dependent, { ...item.key, uid: item.uid }, [uid]);
      });
      await dropFinalizer(resource, { ...key, uid }, orphanFinalizer);
      return;
    }
    const blocking = items.filter((i) => blocks(i.owners, uid));
    if (blocking.length === 0) return dropFinalizer(resource, { ...key, uid }, foregroundFinalizer);
    for (const item of items) dependents.add(item.uid);
    await unblockCircle(metadata.ownerReferences ?? [], items, { ...key, uid }, resource);
    owners.addAfter(uid, longestWait);
  }

  /** Two that own each other and both wait for the other would wait for ever: this one no longer holds its owners. */
  async function unblockCircle(
    refs: readonly OwnerReference[],
    items: readonly Item[],
    target: StoreKey & { readonly uid: string },
    resource: Resource,
  ): Promise<void> {
    if (!items.some((i) => deleting.has(i.uid)) || !refs.some((r) => r.blockOwnerDeletion)) return;
    await writer.updateResource(resource, target, ({ metadata }) => {
      for (const ref of metadata.ownerReferences ?? []) if (ref.blockOwnerDeletion) ref.blockOwnerDeletion = false;
      return 'changed';
    });
  }

  function stateOf(ref: OwnerReference, namespace: string): OwnerState {
    const resource = resourceOfOwner(ref);
    // A cluster-scoped object cannot have an owner in a namespace: which one would it be?
    if (resource === undefined || (resource.namespaced && namespace === '')) return 'solid';
    const key = { resource: resource.stored.resource, namespace: resource.namespaced ? namespace : '', name: ref.name };
    const stored = store.get(key);
    if (stored === undefined) return 'gone';
    const { metadata } = fromJson(stored.json);
    if (metadata.uid !== ref.uid) return 'gone';
    const waiting = metadata.deletionTimestamp !== undefined && metadata.finalizers?.includes(foregroundFinalizer);
    return waiting ? 'waiting' : 'solid';
  }

  function resourceOfOwner({ apiVersion, kind }: OwnerReference): Resource | undefined {
    const group = apiVersion.includes('/') ? apiVersion.split('/', 1)[0] : '';
    const all = cluster.registry.all().filter((r) => r.kind === kind && r.group === group);
    return all.find((r) => apiVersionOf(r) === apiVersion) ?? all[0];
  }

  function resourceOf(key: StoreKey): Resource | undefined {
    if (index.generation !== cluster.registry.generation) {
      const all = storedResources(cluster.registry).map((r) => [r.stored.resource, r] as const);
      index = { generation: cluster.registry.generation, resources: new Map(all) };
    }
    return index.resources.get(key.resource);
  }

  async function dropOwners(resource: Resource, target: StoreKey & { uid: string }, uids: readonly string[]) {
    await unlessGone(() =>
      writer.updateResource(resource, target, ({ metadata }) => {
        const refs = metadata.ownerReferences ?? [];
        const kept = refs.filter((r) => !uids.includes(r.uid));
        if (kept.length === refs.length) return 'unchanged';
        if (kept.length === 0) delete metadata.ownerReferences;
        else metadata.ownerReferences = kept;
        return 'changed';
      }),
    );
  }

  async function dropFinalizer(resource: Resource, target: StoreKey & { uid: string }, finalizer: string) {
    await unlessGone(() =>
      writer.updateResource(resource, target, ({ metadata }) => {
        const all = metadata.finalizers ?? [];
        if (!all.includes(finalizer)) return 'unchanged';
        metadata.finalizers = all.filter((f) => f !== finalizer);
        return 'changed';
      }),
    );
  }
}
