/** Events about objects, as kubectl describe shows them: the same again is counted instead of written anew. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../../../common/core/clock.ts';
import { describeError } from '../../../../common/core/errors.ts';
import type { Logger } from '../../../../common/core/log.ts';
import { eventKind } from '../../../../common/kube/schema/cluster.ts';
import type { KubeObject } from '../../../../common/kube/types.ts';
import type { ApiObject } from '../../objects.ts';
import { timestamp } from '../../rest/lifecycle.ts';
import { isCode, isTerminatingNamespace, type Writer } from './writer.ts';

export interface Happening {
  readonly type: 'Normal' | 'Warning';
  /** One word: `SuccessfulCreate`. */
  readonly reason: string;
  readonly message: string;
}

interface Recent {
  readonly name: string;
  readonly at: number;
}

/** Of what was written last, to be counted when it happens again. */
const remembered = 4096;
/** An event that was not seen for so long, in ms, is a new one. */
const forgotten = 10 * 60_000;

export class EventRecorder {
  readonly #writer: Writer;
  readonly #component: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #recent = new Map<string, Recent>();

  constructor(writer: Writer, component: string, clock: Clock, log: Logger) {
    this.#writer = writer;
    this.#component = component;
    this.#clock = clock;
    this.#log = log;
  }

  /** Never fails and waits for nothing: an event that cannot be written is logged. */
  record(about: KubeObject, happening: Happening): void {
    this.#write(about, happening).catch((e: unknown) => {
      if (isTerminatingNamespace(e)) return;
      this.#log.warn('an event was not written', { reason: happening.reason, error: describeError(e) });
    });
  }

  async #write(about: KubeObject, { type, reason, message }: Happening): Promise<void> {
    const { uid, name: objectName, resourceVersion, namespace = 'default' } = about.metadata;
    const id = `${uid}/${type}/${reason}/${message}`;
    const now = this.#clock.wall();
    const seen = this.#recent.get(id);
    const name = seen !== undefined && now - seen.at < forgotten ? seen.name : newName(objectName);
    this.#recent.delete(id);
    this.#recent.set(id, { name, at: now });
    if (this.#recent.size > remembered) this.#recent.delete(this.#recent.keys().next().value!);
    if (name === seen?.name && (await this.#again(namespace, name, now))) return;
    await this.#writer.create(eventKind, {
      metadata: { name, namespace },
      involvedObject: {
        kind: about.kind,
        apiVersion: about.apiVersion,
        name: objectName,
        uid,
        resourceVersion,
        ...(about.metadata.namespace === undefined ? {} : { namespace }),
      },
      type,
      reason,
      message: message.slice(0, 1024),
      source: { component: this.#component },
      reportingComponent: this.#component,
      reportingInstance: '',
      firstTimestamp: timestamp(now),
      lastTimestamp: timestamp(now),
      eventTime: null,
      count: 1,
    });
  }

  async #again(namespace: string, name: string, now: number): Promise<boolean> {
    try {
      await this.#writer.update(eventKind, { namespace, name }, (event) => counted(event, now));
      return true;
    } catch (e) {
      if (isCode(e, 404)) return false;
      throw e;
    }
  }
}

function counted(event: ApiObject, now: number): 'changed' {
  event['count'] = Number(event['count'] ?? 1) + 1;
  event['lastTimestamp'] = timestamp(now);
  return 'changed';
}

function newName(objectName: string): string {
  return `${objectName.slice(0, 236)}.${randomBytes(8).toString('hex')}`;
}
