/** Events go an hour after they were written last. */

import { kindName } from '../../../../common/kube/names.ts';
import { eventKind } from '../../../../common/kube/schema/cluster.ts';
import { textAt } from '../../kinds/columns.ts';
import type { ApiObject } from '../../objects.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { keyOf, splitKey } from '../runtime/collection.ts';
import { forEachFew } from '../runtime/every-resource.ts';

/** Ms. */
export const lifetime = 3_600_000;
const sweepEvery = 60_000;

export function eventExpiry(cluster: Cluster): void {
  const { writer, queue } = cluster.desk('event-expiry');
  /** Wall time of the last write; those of before the start come first, then in the order of writes. */
  const written = new Map<string, number>();
  let started = false;
  cluster.feeds.read(kindName(eventKind), ({ key, deleted, object }) => {
    const id = keyOf(key.namespace, key.name);
    written.delete(id);
    if (!deleted) written.set(id, started ? cluster.clock.wall() : lastSeen(object(), cluster.clock.wall()));
  });
  started = true;

  const sweep = queue(async (key) => {
    const oldest = cluster.clock.wall() - lifetime;
    const expired = [...written].filter(([, at]) => at <= oldest).map(([id]) => id);
    await forEachFew(expired, (id) => writer.delete(eventKind, splitKey(id)));
    sweep.addAfter(key, sweepEvery);
  });
  sweep.add('');
}

function lastSeen(event: ApiObject, now: number): number {
  const times = [
    textAt(event, 'series', 'lastObservedTime'),
    textAt(event, 'lastTimestamp'),
    textAt(event, 'eventTime'),
  ];
  const at = [...times, event.metadata.creationTimestamp ?? ''].map(Date.parse).find((t) => !Number.isNaN(t));
  return at ?? now;
}
