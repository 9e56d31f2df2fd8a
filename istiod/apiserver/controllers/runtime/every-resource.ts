/** Changes of all resources that are served, also of those that come later. */
import type { Registry } from '../../resources/registry.ts';
import type { Resource } from '../../resources/resource.ts';
import type { FeedReader, Feeds } from './feed.ts';

export function readEverything(feeds: Feeds, registry: Registry, reader: FeedReader): void {
  const read = new Set<string>();
  const more = (): void => {
    for (const { stored } of registry.all()) {
      if (read.has(stored.resource)) continue;
      read.add(stored.resource);
      feeds.read(stored.resource, reader);
    }
  };
  more();
  registry.onChange(more);
}

/** One for each resource that is stored, whatever number of versions it is served in. */
export function storedResources(registry: Registry): readonly Resource[] {
  return [...new Map(registry.all().map((r) => [r.stored.resource, r])).values()];
}

/** Calls `work` for all items, at most 64 at a time: writes that come together share a sync of the disk. The first error ends it. */
export async function forEachFew<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let i = 0; i < items.length; i += 64) await Promise.all(items.slice(i, i + 64).map(work));
}
