/** Controllers on objects in memory, with a clock that the test moves. */
import { createLogger, LogLevels } from '../../../../common/core/log.ts';
import type { Kind } from '../../../../common/kube/types.ts';
import { FakeClock } from '../../../../common/testing/fake-clock.ts';
import { Admission } from '../../admission/admission.ts';
import { builtInResources } from '../../kinds/table.ts';
import type { ApiObject } from '../../objects.ts';
import { Registry } from '../../resources/registry.ts';
import { Rest } from '../../rest/rest.ts';
import { openStore } from '../../storage/store.ts';
import { MemoryJournal } from '../../testing/memory-journal.ts';
import { Cluster } from '../runtime/cluster.ts';
import { type Draft, Writer } from '../runtime/writer.ts';

export interface Rig extends Disposable {
  readonly cluster: Cluster;
  readonly clock: FakeClock;
  /** The test's own hand: a client, or a kubelet. */
  readonly writer: Writer;
  make(kind: Kind, draft: Draft): Promise<ApiObject>;
  setStatus(kind: Kind, namespace: string, name: string, status: object): Promise<void>;
}

export async function startRig(controllers: readonly ((cluster: Cluster) => void)[]): Promise<Rig> {
  const clock = new FakeClock();
  const store = await openStore(new MemoryJournal());
  const registry = new Registry(builtInResources);
  let uid = 0;
  const rest = new Rest({ store, admission: new Admission([]), clock, newUid: () => `uid-${++uid}` });
  const log = (target: string) =>
    createLogger({ levels: new LogLevels('off'), format: 'plain', write: () => undefined }, target);
  const cluster = new Cluster({ rest, registry, clock, log });
  for (const add of controllers) add(cluster);
  const stop = new AbortController();
  cluster.start(stop.signal);
  const writer = new Writer(rest, registry, 'test');
  return {
    cluster,
    clock,
    writer,
    make: (kind, draft) => writer.create(kind, draft),
    setStatus: (kind, namespace, name, status) =>
      writer.update(
        kind,
        { namespace, name },
        (object) => {
          object['status'] = status;
          return 'changed';
        },
        'status',
      ),
    [Symbol.dispose]: () => stop.abort(),
  };
}
