/** Events of controllers, written as they write everything. */
import type { Clock } from '../../../../common/core/clock.ts';
import type { Logger } from '../../../../common/core/log.ts';
import { EventRecorder } from '../../../../common/kube/event-recorder.ts';
import { eventKind } from '../../../../common/kube/schema/cluster.ts';
import { isCode, isTerminatingNamespace, type Writer } from './writer.ts';

export function eventRecorder(writer: Writer, component: string, clock: Clock, log: Logger): EventRecorder {
  return new EventRecorder(
    {
      create: async (event) => void (await writer.create(eventKind, event)),
      change: async ({ namespace = '', name }, changes) => {
        try {
          await writer.update(eventKind, { namespace, name }, (event) => {
            Object.assign(event, changes);
            return 'changed';
          });
          return true;
        } catch (e) {
          if (isCode(e, 404)) return false;
          throw e;
        }
      },
      isHarmless: isTerminatingNamespace,
    },
    { component },
    clock,
    log,
  );
}
