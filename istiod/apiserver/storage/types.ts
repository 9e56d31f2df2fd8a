/**
 * What the API server keeps: objects by key, each with the revision of its last change, and the changes themselves, which
 * watches read. Revisions are one sequence over all resources.
 */
import type { ApiObject, Json } from '../objects.ts';

export interface StoreKey {
  /** `pods.core`, `deployments.apps`: see kindName. */
  readonly resource: string;
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  readonly name: string;
}

/** A version of an object. */
export interface Stored {
  readonly key: StoreKey;
  readonly revision: number;
  /** The object, with this revision as its metadata.resourceVersion. Begins with apiVersion, then kind. */
  readonly json: Json;
  /** What `json` was made from, in the turn in which it becomes visible, for those who hear of it then: not to be changed. */
  readonly made: ApiObject | undefined;
  /** metadata.labels. */
  readonly labels: Readonly<Record<string, string>> | undefined;
}

export type Write =
  | { readonly kind: 'create'; readonly key: StoreKey; readonly object: ApiObject }
  /** `expected`: the revision that the new state was made from. */
  | { readonly kind: 'update'; readonly key: StoreKey; readonly expected: number; readonly object: ApiObject }
  /** `object`: its last state, which watches see. */
  | { readonly kind: 'delete'; readonly key: StoreKey; readonly expected: number; readonly object: ApiObject };

export interface Change {
  readonly revision: number;
  readonly type: 'created' | 'updated' | 'deleted';
  /** After the change; of a deletion the last state, under the deletion's revision. */
  readonly current: Stored;
  /** Before the change; undefined for a creation. */
  readonly previous: Stored | undefined;
}

export interface Range {
  readonly resource: string;
  /** undefined: all of them. */
  readonly namespace?: string | undefined;
  /** Names one object. */
  readonly name?: string | undefined;
  /** Only objects behind this position, which `Page.next` of an earlier page gave. */
  readonly after?: string | undefined;
  /** At most so many; undefined: all. */
  readonly limit?: number | undefined;
  /** As it was at this revision; undefined: now. */
  readonly revision?: number | undefined;
  readonly matches?: ((object: Stored) => boolean) | undefined;
}

/** In the order of namespace and name. */
export interface Page {
  readonly items: readonly Stored[];
  /** Of which the items are the state. */
  readonly revision: number;
  /** Where the next page begins; undefined when this is the last. */
  readonly next: string | undefined;
  /** Objects behind this page; undefined when this is the last, or `matches` may leave some out. */
  readonly remaining: number | undefined;
}

/** A place in the changes of one resource. It holds nothing: a reader that never reads costs nothing. */
export interface Cursor {
  /** Every change up to here was taken. */
  readonly revision: number;
  /** The next changes, oldest first; empty when all were taken. StoreError `compacted` when some are forgotten already. */
  take(limit: number): readonly Change[];
  /** Called after each commit that changed the resource. */
  onChange: (() => void) | undefined;
  close(): void;
}

export interface Store {
  /** Of the last committed change. */
  readonly revision: number;
  /** Changes up to here are forgotten. */
  readonly compacted: number;
  get(key: StoreKey): Stored | undefined;
  /** StoreError `compacted` when `revision` is too old, `future` when it has not been yet. */
  list(range: Range): Page;
  /** Number of objects, by resource. */
  counts(): ReadonlyMap<string, number>;
  /** Sets metadata.resourceVersion; resolves when the change is on the disk. StoreError. */
  write(write: Write): Promise<Stored>;
  /** Changes after `revision`. StoreError as of `list`. */
  watch(resource: string, revision: number): Cursor;
  close(): Promise<void>;
}

export type StoreFailure =
  | { readonly kind: 'exists'; readonly current: Stored }
  | { readonly kind: 'missing' }
  /** Changed since `expected`. */
  | { readonly kind: 'changed'; readonly current: Stored }
  | { readonly kind: 'compacted' }
  | { readonly kind: 'future' }
  /** The disk refused; nothing was changed. */
  | { readonly kind: 'unavailable'; readonly reason: string };

export class StoreError extends Error {
  readonly failure: StoreFailure;

  constructor(failure: StoreFailure) {
    super(failure.kind === 'unavailable' ? failure.reason : failure.kind);
    this.name = 'StoreError';
    this.failure = failure;
  }
}

/** One change as it is written to the disk. */
export interface JournalRow {
  readonly revision: number;
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly deleted: boolean;
  readonly json: Json;
}

export interface JournalBatch {
  /** Ascending revisions. */
  readonly rows: readonly JournalRow[];
  /** Revisions whose rows are not needed any more. */
  readonly remove: readonly number[];
  /** Changes up to here are forgotten. */
  readonly compacted: number;
}

/** Where changes are kept over restarts. */
export interface Journal {
  /** Calls `row` for everything that is there, in the order of revisions; resolves with the last batch's `compacted`. Once, first. */
  load(row: (row: JournalRow) => void): Promise<number>;
  /** All of it or nothing, on the disk when this resolves; rejects with a reason for the user. One at a time. */
  append(batch: JournalBatch): Promise<void>;
  close(): Promise<void>;
}
