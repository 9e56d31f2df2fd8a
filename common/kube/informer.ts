/**
 * A kind's objects kept up to date in memory: list, then watch with resume, and list again when the source says GONE. A kind that the
 * server does not have has no objects until it does.
 */

import { millis } from '../core/brand.ts';
import { type Clock, sleep, systemClock } from '../core/clock.ts';
import { describeError, MeshError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { turnOver } from '../core/turns.ts';
import type { Kind, KubeObject, KubeSource, ObjectKey, Within } from './types.ts';

export interface InformerHandlers<T extends KubeObject> {
  readonly added?: (object: T) => void;
  readonly modified?: (object: T, previous: T) => void;
  readonly deleted?: (object: T) => void;
}

export interface InformerOptions<T extends KubeObject> {
  readonly source: KubeSource;
  readonly kind: Kind<T>;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** They must not throw; they run in the order of the changes, also for the first list. */
  readonly handlers?: InformerHandlers<T>;
  /** Listing or watching failed, and is tried again. */
  readonly onFailure?: () => void;
  readonly clock?: Clock;
  /** Default: all objects of the kind. */
  readonly within?: Within;
  /** What is kept of each object. It keeps metadata's name, namespace, uid and resourceVersion. */
  readonly trim?: (object: T) => T;
}

export interface Informer<T extends KubeObject> {
  /** Resolves after the first list has been handed to the handlers; never, when the signal aborts before. */
  readonly synced: Promise<void>;
  /** By `keyOf`. Live: changes as events arrive. */
  readonly objects: ReadonlyMap<string, T>;
  get(key: ObjectKey): T | undefined;
}

/** `namespace/name`, or `name` for cluster-scoped kinds. */
export function keyOf(key: ObjectKey): string {
  return key.namespace === undefined ? key.name : `${key.namespace}/${key.name}`;
}

const firstDelay = 10;
const longestDelay = 15_000;
/** Ms between looks for a kind that is missing: its CustomResourceDefinition may come at any time. */
const missingDelay = millis(5_000);

/** Starts at once. Failures of the source are logged and tried again after 10 ms doubling to 15 s; what is known stays served. */
export function createInformer<T extends KubeObject>(options: InformerOptions<T>): Informer<T> {
  const objects = new Map<string, T>();
  const synced = Promise.withResolvers<void>();
  void run(options, objects, synced.resolve);
  return { synced: synced.promise, objects, get: (key) => objects.get(keyOf(key)) };
}

async function run<T extends KubeObject>(
  options: InformerOptions<T>,
  objects: Map<string, T>,
  onSynced: () => void,
): Promise<void> {
  const { source, kind, log, signal } = options;
  const { within = {}, trim = (object: T) => object, handlers = {} } = options;
  const clock = options.clock ?? systemClock;
  let delay = firstDelay;
  /** undefined: list before watching. */
  let resume: string | undefined;
  let missing = false;
  while (!signal.aborted) {
    try {
      if (resume === undefined) {
        const list = await source.list(kind, signal, { within, trim });
        const items = list.items.filter((o) => isWithin(o, within));
        await replaceAll(objects, items, handlers);
        [missing, resume] = [false, list.resourceVersion];
        onSynced();
      }
      for await (const event of source.watch(kind, resume, signal, within)) {
        delay = firstDelay;
        if (event.type === 'BOOKMARK') {
          resume = event.resourceVersion;
          continue;
        }
        if (isWithin(event.object, within)) {
          if (event.type === 'DELETED') remove(objects, event.object, handlers);
          else put(objects, trim(event.object), handlers);
        }
        resume = event.object.metadata.resourceVersion;
        await turnOver();
      }
    } catch (e) {
      if (signal.aborted) return;
      if (e instanceof MeshError && e.code === 'GONE') {
        resume = undefined;
        continue;
      }
      if (e instanceof MeshError && e.code === 'NOT_FOUND') {
        if (!missing) log.info('the API server does not have this kind yet', { kind: kind.kind });
        [missing, resume] = [true, undefined];
        await replaceAll(objects, [], handlers);
        onSynced();
        await sleep(clock, missingDelay, signal);
        continue;
      }
      options.onFailure?.();
      log.warn('watching failed; trying again', { kind: kind.kind, error: describeError(e), delay_ms: delay });
      await sleep(clock, millis(delay), signal);
      delay = Math.min(delay * 2, longestDelay);
    }
  }
}

function isWithin({ metadata }: KubeObject, { namespace, name }: Within): boolean {
  return (namespace ?? metadata.namespace) === metadata.namespace && (name ?? metadata.name) === metadata.name;
}

/** Objects that vanished while nobody watched are reported as deleted, those that changed as modified. */
async function replaceAll<T extends KubeObject>(
  objects: Map<string, T>,
  items: readonly T[],
  h: InformerHandlers<T>,
): Promise<void> {
  const kept = new Set(items.map((o) => keyOf(o.metadata)));
  for (const [key, object] of [...objects]) if (!kept.has(key)) remove(objects, object, h);
  for (const object of items) {
    put(objects, object, h);
    const later = turnOver();
    if (later !== undefined) await later;
  }
}

function put<T extends KubeObject>(objects: Map<string, T>, object: T, h: InformerHandlers<T>): void {
  const key = keyOf(object.metadata);
  const previous = objects.get(key);
  objects.set(key, object);
  if (previous === undefined) h.added?.(object);
  else if (previous.metadata.resourceVersion !== object.metadata.resourceVersion) h.modified?.(object, previous);
}

function remove<T extends KubeObject>(objects: Map<string, T>, object: T, h: InformerHandlers<T>): void {
  if (objects.delete(keyOf(object.metadata))) h.deleted?.(object);
}
