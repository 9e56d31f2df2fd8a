/** Sends a watch's events as the client takes them. What it does not take stays in the store's log, not in memory of its own. */

import { millis } from '../../../common/core/brand.ts';
import type { Clock, Timer } from '../../../common/core/clock.ts';
import { describeError } from '../../../common/core/errors.ts';
import { encodeError, encodeEvent, type TableOptions } from '../codec/encode.ts';
import type { Representation } from '../codec/negotiate.ts';
import type { Resource } from '../resources/resource.ts';
import { ApiError, internalError } from '../status.ts';
import type { Watch, WatchItem } from './api-request.ts';

/** Where events go: a response, or what a test reads. */
export interface EventSink {
  /** False when the client must take something first; `onDrain` follows. */
  write(bytes: Buffer | string): boolean;
  end(): void;
  /** Breaks the connection. */
  cut(): void;
  onDrain: (() => void) | undefined;
}

export interface WatchStreamOptions {
  readonly form: Representation;
  readonly resource: Resource;
  readonly watch: Watch;
  readonly sink: EventSink;
  readonly table: TableOptions;
  readonly clock: Clock;
  /** Ms; see Limits. */
  readonly stalled: number;
  readonly onError: (text: string) => void;
}

const eventsAtOnce = 100;
/** Ms. The server ends watches that name no time of their own after 30 to 60 minutes, so that they spread over servers. */
const bookmarkEvery = 60_000;
const shortest = 30 * 60_000;

/** Runs until the watch ends, or the returned function is called. */
export function streamWatch(options: WatchStreamOptions): () => void {
  const { form, resource, watch, sink, table, clock } = options;
  let blocked = false;
  let ended = false;
  let first = true;
  let stall: Timer | undefined;

  const close = () => {
    if (ended) return;
    ended = true;
    watch.close();
    stall?.cancel();
    lifetime.cancel();
    bookmarks.cancel();
  };
  const finish = () => {
    close();
    sink.end();
  };
  const send = (item: WatchItem) => {
    const bytes = encodeEvent(form, resource, item, table, first);
    if (item.type !== 'BOOKMARK') first = false;
    if (!sink.write(bytes)) blocked = true;
  };
  const pump = () => {
    if (ended || blocked) return;
    try {
      for (;;) {
        const items = watch.take(eventsAtOnce);
        if (items.length === 0) return;
        for (const item of items) send(item);
        if (blocked) {
          stall = clock.after(millis(options.stalled), () => {
            close();
            sink.cut();
          });
          return;
        }
      }
    } catch (e) {
      const error = e instanceof ApiError ? e : internalError();
      if (!(e instanceof ApiError)) options.onError(describeError(e));
      sink.write(encodeError(form, error.status));
      finish();
    }
  };
  const sendBookmark = (): void => {
    if (ended) return;
    const revision = blocked ? undefined : watch.bookmark();
    if (revision !== undefined) send({ type: 'BOOKMARK', revision, initialEnd: false });
    bookmarks = clock.after(millis(bookmarkEvery), sendBookmark);
  };
  const lifetime = clock.after(millis(watch.timeout ?? shortest * (1 + Math.random())), () => {
    // Where it ended, so that the next watch begins there.
    const revision = blocked ? undefined : watch.bookmark();
    if (revision !== undefined) send({ type: 'BOOKMARK', revision, initialEnd: false });
    finish();
  });
  let bookmarks = clock.after(millis(bookmarkEvery), sendBookmark);
  sink.onDrain = () => {
    blocked = false;
    stall?.cancel();
    pump();
  };
  watch.onMore = pump;
  pump();
  return close;
}
