/** Events about objects, as kubectl describe shows them: the same again is counted instead of written anew. */
import { randomInt } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { describeError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { timestamp } from './timestamp.ts';
import type { KubeObject, ObjectKey } from './types.ts';

export interface Happening {
  readonly type: 'Normal' | 'Warning';
  /** One word: `SuccessfulCreate`. */
  readonly reason: string;
  readonly message: string;
  /** The part of the object that it is about: `spec.containers{web}`. */
  readonly fieldPath?: string | undefined;
}

/** An Event of the core group. */
export interface KubeEvent {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly [field: string]: unknown;
}

export interface EventWriter {
  create(event: KubeEvent): Promise<void>;
  /** `changes` are new values of fields. False when the event is gone. */
  change(key: ObjectKey, changes: { readonly count: number; readonly lastTimestamp: string }): Promise<boolean>;
  /** Whether a failure is to be expected: the namespace ends. */
  isHarmless(e: unknown): boolean;
}

export interface EventSource {
  readonly component: string;
  /** Of a node's kubelet: the node. */
  readonly host?: string;
}

interface Recent {
  readonly name: string;
  readonly at: number;
  readonly count: number;
}

/** Of what was written last, to be counted when it happens again. */
const remembered = 4096;
/** An event that was not seen for so long, in ms, is a new one. */
const forgotten = 10 * 60_000;
/** Of one object: so many events at once, then one in so many ms, as Kubernetes' own recorders allow. */
const burst = 25;
const refill = 300_000;

export class EventRecorder {
  readonly #writer: EventWriter;
  readonly #source: EventSource;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #recent = new Map<string, Recent>();
  /** By object: how much of its burst is used, and since when. */
  readonly #used = new Map<string, { readonly events: number; readonly at: number }>();
  /** Of the last event's name: names of events of one object sort as they happened. */
  #serial = 0;
  /** By object: an event that follows another is written after it. */
  readonly #writing = new Map<string, Promise<void>>();

  constructor(writer: EventWriter, source: EventSource, clock: Clock, log: Logger) {
    this.#writer = writer;
    this.#source = source;
    this.#clock = clock;
    this.#log = log;
  }

  /** Never fails and waits for nothing: an event that cannot be written is logged, one of too many is left out. */
  record(about: KubeObject, happening: Happening): void {
    const { uid } = about.metadata;
    if (!this.#allows(uid)) return;
    const now = this.#clock.wall();
    const before = this.#writing.get(uid) ?? Promise.resolve();
    const writing = before
      .then(() => this.#write(about, happening, now))
      .catch((e: unknown) => {
        if (this.#writer.isHarmless(e)) return;
        this.#log.warn('an event was not written', { reason: happening.reason, error: describeError(e) });
      })
      .finally(() => {
        if (this.#writing.get(uid) === writing) this.#writing.delete(uid);
      });
    this.#writing.set(uid, writing);
  }

  #allows(uid: string): boolean {
    const now = this.#clock.wall();
    const { events = 0, at = now } = this.#used.get(uid) ?? {};
    const used = Math.max(0, events - (now - at) / refill);
    remember(this.#used, uid, { events: used + 1 > burst ? used : used + 1, at: now });
    return used + 1 <= burst;
  }

  /** Ends in nanoseconds, as client-go's do, of which the last digits tell recorders apart. */
  #newName(objectName: string, now: number): string {
    this.#serial = Math.max(this.#serial + 1, Math.floor(now * 1000));
    const time = BigInt(this.#serial) * 1000n + BigInt(randomInt(1000));
    return `${objectName.slice(0, 236)}.${time.toString(16)}`;
  }

  async #write(about: KubeObject, { type, reason, message, fieldPath }: Happening, now: number): Promise<void> {
    const { uid, name: objectName, resourceVersion, namespace = 'default' } = about.metadata;
    const id = `${uid}/${type}/${reason}/${fieldPath}/${message}`;
    const seen = this.#recent.get(id);
    const at = timestamp(now);
    if (seen !== undefined && now - seen.at < forgotten) {
      const { name } = seen;
      const count = seen.count + 1;
      remember(this.#recent, id, { name, at: now, count });
      if (await this.#writer.change({ namespace, name }, { count, lastTimestamp: at })) return;
    }
    const name = this.#newName(objectName, now);
    remember(this.#recent, id, { name, at: now, count: 1 });
    await this.#writer.create({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: {
        kind: about.kind,
        apiVersion: about.apiVersion,
        name: objectName,
        uid,
        resourceVersion,
        ...(about.metadata.namespace === undefined ? {} : { namespace }),
        ...(fieldPath === undefined ? {} : { fieldPath }),
      },
      type,
      reason,
      message: message.slice(0, 1024),
      source: this.#source,
      reportingComponent: this.#source.component,
      reportingInstance: this.#source.host ?? '',
      firstTimestamp: at,
      lastTimestamp: at,
      eventTime: null,
      count: 1,
    });
  }
}

/** As the newest; the oldest goes. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > remembered) map.delete(map.keys().next().value!);
}
