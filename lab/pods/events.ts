/** Events of a node's kubelet about its pods. */
import { MeshError } from '../../common/core/errors.ts';
import { EventRecorder } from '../../common/kube/event-recorder.ts';
import { eventKind } from '../../common/kube/schema/cluster.ts';
import type { Runtime } from '../daemon/runtime.ts';

export function nodeEvents({ cluster, clock, log }: Runtime, node: string): EventRecorder {
  const { source } = cluster;
  return new EventRecorder(
    {
      create: async (event) => void (await source.create(eventKind, event)),
      change: async (key, changes) => {
        try {
          await source.patch(eventKind, key, changes);
          return true;
        } catch (e) {
          if (e instanceof MeshError && e.code === 'NOT_FOUND') return false;
          throw e;
        }
      },
      // Of a namespace that ends or has ended.
      isHarmless: (e) => e instanceof MeshError && (e.code === 'NOT_FOUND' || /being terminated/.test(e.message)),
    },
    { component: 'kubelet', host: node },
    clock,
    log,
  );
}
