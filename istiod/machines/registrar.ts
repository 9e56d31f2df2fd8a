/** Makes a WorkloadEntry for each machine that connects and names its WorkloadGroup, says what it says of its health, and takes it away. */
import { type Millis, millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import {
  type WorkloadEntry,
  type WorkloadGroup,
  workloadEntryKind,
  workloadGroupKind,
} from '../../common/kube/kinds/istio/workload-entry.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import { type WithConditions, writeConditions } from '../model/condition.ts';
import {
  connected,
  connectedAnnotation,
  controllerAnnotation,
  disconnectedAnnotation,
  entryName,
  entryOf,
  groupAnnotation,
  healthy,
  isLeft,
  type Machine,
  objection,
} from './entry.ts';
import type { MachineMetrics } from './metrics.ts';

export interface RegistrarOptions {
  readonly source: KubeSource;
  /** Of this istiod among others. */
  readonly instance: string;
  /** Between the end of a machine's last connection and that of its entry. */
  readonly grace: Millis;
  /** By `namespace/name`, as they were a moment ago. */
  readonly entries: () => ReadonlyMap<string, WorkloadEntry>;
  readonly metrics: MachineMetrics;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** A connection of a machine. */
export interface Guest {
  readonly machine: Machine;
  /** Ends it. */
  refuse(reason: string): void;
}

/** Ms after which an istiod says again that a machine is connected, and after how many of them nobody believes it. */
const renewal = millis(10 * 60_000);
const lease = 3 * renewal;
/** Ms after the API server failed. */
const retryDelay = millis(1_000);

interface Seat {
  readonly machine: Machine;
  readonly guests: Set<Guest>;
  /** What is to be done, one after another. */
  work: Promise<void>;
}

export class Registrar {
  readonly #options: RegistrarOptions;
  readonly #seats = new Map<string, Seat>();

  constructor(options: RegistrarOptions) {
    this.#options = options;
    void this.#renew();
  }

  came(guest: Guest): void {
    const seat = this.#seatOf(guest.machine);
    seat.guests.add(guest);
    this.#then(seat, () => this.#register(seat));
  }

  went(guest: Guest): void {
    const seat = this.#seats.get(keyOf(guest.machine));
    if (seat === undefined || !seat.guests.delete(guest) || seat.guests.size > 0) return;
    this.#then(seat, () => this.#unregister(seat));
  }

  /** `fault` undefined: it is healthy. */
  health({ machine }: Guest, fault: string | undefined): void {
    const seat = this.#seats.get(keyOf(machine));
    if (seat !== undefined) this.#then(seat, () => this.#judge(seat, fault));
  }

  /** Takes away what istiods that are gone have left; while this one leads. */
  async clean(signal: AbortSignal): Promise<void> {
    const { clock, entries, grace, metrics, log } = this.#options;
    while (!signal.aborted) {
      for (const entry of entries().values()) {
        if (signal.aborted || !isLeft(entry, clock.wall(), grace, lease)) continue;
        await this.#remove(entry.metadata.namespace ?? 'default', entry.metadata.name).catch((e: unknown) => {
          metrics.failed.inc();
          log.warn('an entry of a machine that is gone stays', { error: describeError(e) });
        });
      }
      await sleep(clock, millis(10 * grace), signal);
    }
  }

  #seatOf(machine: Machine): Seat {
    const key = keyOf(machine);
    const found = this.#seats.get(key) ?? { machine, guests: new Set(), work: Promise.resolve() };
    this.#seats.set(key, found);
    return found;
  }

  /** Again until it is done, or no longer wanted. */
  #then(seat: Seat, work: () => Promise<void>): void {
    const { clock, metrics, log, signal } = this.#options;
    seat.work = seat.work.then(async () => {
      while (!signal.aborted) {
        try {
          return await work();
        } catch (e) {
          const met = e instanceof MeshError && e.code === 'CONFLICT';
          if (!met) {
            metrics.failed.inc();
            const entry = keyOf(seat.machine);
            log.warn('the entry of a machine cannot be written', { entry, error: describeError(e) });
          }
          await sleep(clock, retryDelay, signal);
        }
      }
    });
  }

  async #register(seat: Seat): Promise<void> {
    const { source, instance, metrics, clock, log } = this.#options;
    const { machine, guests } = seat;
    if (guests.size === 0) return;
    const refuse = (reason: string) => {
      metrics.failed.inc();
      log.warn('a machine cannot join', { entry: keyOf(machine), reason });
      for (const guest of [...guests]) guest.refuse(reason);
    };
    const { namespace } = machine;
    const name = entryName(machine);
    const there = await source.get(workloadEntryKind, { namespace, name });
    if (there !== undefined) {
      const made = there.metadata.annotations?.[groupAnnotation];
      const reason = made === undefined ? 'somebody made it' : objection(machine, there.spec);
      if (reason !== undefined) return refuse(`WorkloadEntry ${namespace}/${name}: ${reason}`);
      const { resourceVersion } = there.metadata;
      const annotations = { ...connected(instance, clock.wall()), [disconnectedAnnotation]: null };
      await source.patch(workloadEntryKind, { namespace, name }, { metadata: { annotations } }, { resourceVersion });
      metrics.renewed.inc();
      return;
    }
    const group = await source.get<WorkloadGroup>(workloadGroupKind, { namespace, name: machine.group });
    if (group === undefined) return refuse(`there is no WorkloadGroup ${namespace}/${machine.group}`);
    const entry = entryOf(machine, group);
    const reason = objection(machine, entry.spec);
    if (reason !== undefined) return refuse(`WorkloadGroup ${namespace}/${machine.group}: ${reason}`);
    const annotations = { ...entry.metadata.annotations, ...connected(instance, clock.wall()) };
    await source.create(workloadEntryKind, { ...entry, metadata: { ...entry.metadata, annotations } });
    metrics.joined.inc();
    log.info('a machine joined', { entry: keyOf(machine), group: machine.group });
  }

  async #unregister(seat: Seat): Promise<void> {
    const { source, instance, metrics, clock, grace, signal } = this.#options;
    const { machine, guests } = seat;
    const { namespace } = machine;
    const key = { namespace, name: entryName(machine) };
    if (guests.size > 0) return;
    const entry = await source.get(workloadEntryKind, key);
    const isOurs = entry?.metadata.annotations?.[controllerAnnotation] === instance;
    if (entry === undefined || !isOurs) {
      this.#leave(seat);
      return;
    }
    const { resourceVersion } = entry.metadata;
    const annotations = { [connectedAnnotation]: null, [disconnectedAnnotation]: new Date(clock.wall()).toISOString() };
    await source.patch(workloadEntryKind, key, { metadata: { annotations } }, { resourceVersion });
    metrics.left.inc();
    clock.after(grace, () => {
      if (signal.aborted) return;
      this.#then(seat, async () => {
        if (guests.size > 0) return;
        await this.#remove(namespace, key.name);
        this.#leave(seat);
      });
    });
  }

  #leave(seat: Seat): void {
    if (seat.guests.size === 0) this.#seats.delete(keyOf(seat.machine));
  }

  /** As it is now: it may be connected again, to another istiod. */
  async #remove(namespace: string, name: string): Promise<void> {
    const { source, metrics, clock, grace, log } = this.#options;
    const entry = await source.get(workloadEntryKind, { namespace, name });
    if (entry === undefined || !isLeft(entry, clock.wall(), grace, lease)) return;
    await source.delete(workloadEntryKind, { namespace, name }, { uid: entry.metadata.uid });
    metrics.deleted.inc();
    log.info('the entry of a machine that is gone was deleted', { entry: `${namespace}/${name}` });
  }

  async #judge({ machine }: Seat, fault: string | undefined): Promise<void> {
    const { source, clock, log } = this.#options;
    const entry = await source.get(workloadEntryKind, { namespace: machine.namespace, name: entryName(machine) });
    if (entry === undefined) return;
    const says =
      fault === undefined
        ? ({ status: 'True', reason: 'Probed', message: '' } as const)
        : ({ status: 'False', reason: 'Probed', message: fault.slice(0, 1_000) } as const);
    const outcome = await writeConditions(
      { source, clock, log },
      workloadEntryKind,
      entry as WorkloadEntry & WithConditions,
      new Map([[healthy, says]]),
    );
    if (outcome === 'met' || outcome === 'failed') throw new MeshError('CONFLICT', 'the entry changed meanwhile');
  }

  async #renew(): Promise<void> {
    const { clock, signal } = this.#options;
    while (!signal.aborted) {
      await sleep(clock, renewal, signal);
      for (const seat of this.#seats.values()) this.#then(seat, () => this.#register(seat));
    }
  }
}

function keyOf(machine: Machine): string {
  return `${machine.namespace}/${entryName(machine)}`;
}
