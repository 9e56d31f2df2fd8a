/** Empties namespaces that are being deleted, then lets them go. */
import { isDeepStrictEqual } from 'node:util';
import { describeError } from '../../../../common/core/errors.ts';
import { type Condition, namespaceKind } from '../../../../common/kube/kinds/core.ts';
import { fromJson } from '../../objects.ts';
import { qualified } from '../../status.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { splitKey } from '../runtime/collection.ts';
import { forEachFew, readEverything, storedResources } from '../runtime/every-resource.ts';
import { deletionConditions, type Remaining } from './deletion.ts';

const own = 'kubernetes';
/** Looks again at what remains, in ms, though deletions are seen at once. */
const again = 5_000;

export function namespaceController(cluster: Cluster): void {
  const { writer, queue } = cluster.desk('namespace-controller');
  const { store } = cluster.rest;
  const terminating = new Set<string>();

  const work = queue(async (key) => {
    const { name } = splitKey(key);
    const namespace = cluster.namespaces.get('', name);
    if (namespace?.metadata.deletionTimestamp === undefined) return;
    const finalizers = (namespace['spec'] as { finalizers?: readonly string[] } | undefined)?.finalizers ?? [];
    if (!finalizers.includes(own)) return;
    const target = { namespace: '', name, uid: namespace.metadata.uid };
    const { remaining, failures } = await empty(name);
    if (remaining.length > 0 || failures.length > 0) {
      const old = (namespace.status as { conditions?: readonly Condition[] } | undefined)?.conditions ?? [];
      const conditions = deletionConditions(old, remaining, failures, cluster.clock.wall());
      await writer.update(
        namespaceKind,
        target,
        (object) => {
          const status = (object['status'] ?? {}) as Record<string, unknown>;
          if (isDeepStrictEqual(status['conditions'], conditions)) return 'unchanged';
          object['status'] = { ...status, conditions };
          return 'changed';
        },
        'status',
      );
      work.addAfter(key, again);
      return;
    }
    await writer.update(
      namespaceKind,
      target,
      (object) => {
        const spec = object['spec'] as { finalizers?: string[] };
        object['spec'] = { ...spec, finalizers: (spec.finalizers ?? []).filter((f) => f !== own) };
        return 'changed';
      },
      'finalize',
    );
  });

  async function empty(name: string): Promise<{ remaining: readonly Remaining[]; failures: readonly string[] }> {
    const remaining: Remaining[] = [];
    const failures: string[] = [];
    for (const resource of storedResources(cluster.registry)) {
      if (!resource.namespaced) continue;
      const items = () => store.list({ resource: resource.stored.resource, namespace: name }).items;
      await forEachFew(items(), async ({ key }) => {
        try {
          await writer.deleteResource(resource, key, { propagation: 'Background' });
        } catch (e) {
          failures.push(`${qualified(resource)} ${key.name}: ${describeError(e)}`);
        }
      });
      const left = items();
      if (left.length === 0) continue;
      const finalizers = left.flatMap((i) => fromJson(i.json).metadata.finalizers ?? []);
      remaining.push({ resource: qualified(resource), count: left.length, finalizers });
    }
    return { remaining, failures };
  }

  cluster.namespaces.onChange((current, previous) => {
    const { name } = (current ?? previous)!.metadata;
    if (current?.metadata.deletionTimestamp === undefined) {
      terminating.delete(name);
      return;
    }
    terminating.add(name);
    if (previous?.metadata.deletionTimestamp === undefined) work.add(`/${name}`);
  });
  readEverything(cluster.feeds, cluster.registry, ({ key, deleted }) => {
    if (deleted && terminating.has(key.namespace)) work.add(`/${key.namespace}`);
  });
}
