/**
 * Changes of resources, handed out in the same turn in which the store makes them visible. So a controller that awaited its
 * own write finds it in what it reads next, and needs no book of writes that it still expects to see.
 */
import { type ApiObject, fromJson, type Json } from '../../objects.ts';
import type { Change, Store, StoreKey } from '../../storage/types.ts';

export interface FeedChange {
  readonly key: StoreKey;
  readonly deleted: boolean;
  /** For a look that spares the parsing. */
  readonly json: Json;
  /** After the change, or the last state before the deletion. Parsed once for all readers: not to be changed. */
  object(): ApiObject;
}

/** Must not throw. */
export type FeedReader = (change: FeedChange) => void;

/** At most so many changes at a time; more come in the next round of the same turn. */
const chunk = 1000;

export class Feeds {
  readonly #store: Store;
  readonly #feeds = new Map<string, Feed>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** `resource` as the store names it. The reader gets first, before this returns, all objects that there are. */
  read(resource: string, reader: FeedReader): void {
    let feed = this.#feeds.get(resource);
    if (feed === undefined) {
      feed = new Feed(this.#store, resource);
      this.#feeds.set(resource, feed);
    }
    feed.add(reader);
  }

  close(): void {
    for (const feed of this.#feeds.values()) feed.close();
  }
}

class Feed {
  readonly #store: Store;
  readonly #resource: string;
  readonly #readers: FeedReader[] = [];
  readonly #close: () => void;

  constructor(store: Store, resource: string) {
    this.#store = store;
    this.#resource = resource;
    const cursor = store.watch(resource, store.revision);
    this.#close = () => cursor.close();
    cursor.onChange = () => {
      for (;;) {
        const changes = cursor.take(chunk);
        for (const change of changes) this.#hand(feedChange(change));
        if (changes.length < chunk) return;
      }
    };
  }

  add(reader: FeedReader): void {
    for (const { key, json } of this.#store.list({ resource: this.#resource }).items) {
      reader({ key, deleted: false, json, object: lazily(json, undefined) });
    }
    this.#readers.push(reader);
  }

  close(): void {
    this.#close();
  }

  #hand(change: FeedChange): void {
    for (const reader of this.#readers) reader(change);
  }
}

function feedChange({ type, current: { key, json, made } }: Change): FeedChange {
  return { key, deleted: type === 'deleted', json, object: lazily(json, made) };
}

/** `made`: what the text would give, where there is that already. */
function lazily(json: Json, made: ApiObject | undefined): () => ApiObject {
  let parsed = made;
  return () => {
    parsed ??= fromJson<ApiObject>(json);
    return parsed;
  };
}
