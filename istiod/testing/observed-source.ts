/** A source that knows what whoever reads it has read, so that a test can wait for it. Only for tests. */
import { keyOf } from '../../common/kube/informer.ts';
import type { KubeObject, KubeSource } from '../../common/kube/types.ts';
import { until } from '../../common/testing/until.ts';

export interface ObservedSource extends KubeSource {
  /** Resolves when the reader has worked in this version of the object, or a later one; at once where it does not read the kind. */
  read(object: KubeObject): Promise<void>;
}

/** `source`: of our own API server, whose versions are numbers. */
export function observe(source: KubeSource): ObservedSource {
  const versions = new Map<string, number>();
  const kinds = new Set<string>();
  const saw = ({ metadata: { uid, resourceVersion } }: KubeObject) => versions.set(uid, Number(resourceVersion));
  return {
    get: (kind, key) => source.get(kind, key),
    create: (kind, object) => source.create(kind, object),
    patch: (kind, key, patch, options) => source.patch(kind, key, patch, options),
    delete: (kind, key, options) => source.delete(kind, key, options),
    async list(kind, signal, options) {
      const list = await source.list(kind, signal, options);
      kinds.add(kind.kind);
      // The reader goes on first.
      setImmediate(() => list.items.forEach(saw));
      return list;
    },
    async *watch(kind, version, signal) {
      for await (const event of source.watch(kind, version, signal)) {
        yield event;
        // Who asks for the next has done with this one.
        if (event.type !== 'BOOKMARK') saw(event.object);
      }
    },
    async read(object) {
      const { uid, resourceVersion } = object.metadata;
      const title = `${object.kind} ${keyOf(object.metadata)} to be read`;
      if (kinds.has(object.kind)) await until(title, () => (versions.get(uid) ?? 0) >= Number(resourceVersion));
    },
  };
}
