/**
 * The store: everything in memory, every change in a journal before it is visible to anyone. Writes that arrive while the
 * journal syncs are decided together afterwards and share the next sync. So decisions always see what is on the disk and
 * the earlier ones of their own batch, and a batch that the disk refuses leaves nothing to undo.
 */
import { describeError } from '../../../common/core/errors.ts';
import { type ApiObject, fromJson, type Json, toJson } from '../objects.ts';
import { ChangeLog, defaultLimits, type LogLimits } from './change-log.ts';
import { positionOf, SortedTable } from './sorted-table.ts';
import {
  type Change,
  type Cursor,
  type Journal,
  type JournalRow,
  type Page,
  type Range,
  type Store,
  type Stored,
  StoreError,
  type StoreFailure,
  type StoreKey,
  type Write,
} from './types.ts';

/** Writes that share a sync; serialising more would keep the event loop from others. */
const batchLimit = 128;

interface Waiting {
  readonly write: Write;
  readonly resolve: (stored: Stored) => void;
  readonly reject: (error: StoreError) => void;
}

/** Reads the journal. Rejects with what the journal says. */
export async function openStore(journal: Journal, limits: LogLimits = defaultLimits): Promise<Store> {
  const tables = new Tables();
  /** The log begins behind what was forgotten before, which the journal tells only at the end. */
  const changes: Change[] = [];
  let revision = 0;
  const compacted = await journal.load((row) => {
    const change = changeOf(row, tables.get(row));
    tables.apply(change);
    changes.push(change);
    revision = row.revision;
  });
  const log = new ChangeLog(limits, compacted);
  const unneeded = changes.filter((c) => c.revision > compacted).flatMap((c) => log.append(c));
  return new JournaledStore(journal, tables, log, revision, unneeded);
}

class JournaledStore implements Store {
  readonly #journal: Journal;
  readonly #tables: Tables;
  readonly #log: ChangeLog;
  readonly #cursors = new Map<string, Set<LogCursor>>();
  #waiting: Waiting[] = [];
  #unneeded: number[];
  #revision: number;
  #flushing: Promise<void> | undefined;
  #closed = false;

  constructor(journal: Journal, tables: Tables, log: ChangeLog, revision: number, unneeded: number[]) {
    this.#journal = journal;
    this.#tables = tables;
    this.#log = log;
    this.#revision = revision;
    this.#unneeded = unneeded;
  }

  get revision(): number {
    return this.#revision;
  }

  get compacted(): number {
    return this.#log.compacted;
  }

  get(key: StoreKey): Stored | undefined {
    return this.#tables.get(key);
  }

  counts(): ReadonlyMap<string, number> {
    return this.#tables.counts();
  }

  list(range: Range): Page {
    const { resource, namespace, name, after, limit, matches } = range;
    const revision = range.revision ?? this.#revision;
    this.#checkRevision(revision);
    const table = this.#tables.of(resource);
    const prefix =
      namespace === undefined ? '' : name === undefined ? `${namespace}/` : positionOf({ namespace, name });
    const then = revision === this.#revision ? undefined : this.#before(resource, revision);
    let positions = table.positions(prefix, after);
    if (then !== undefined) positions = withDeleted(positions, then, prefix, after);
    const items: Stored[] = [];
    for (let i = 0; i < positions.length; i++) {
      const position = positions[i]!;
      const object = then?.has(position) ? then.get(position) : table.get(position);
      if (object === undefined || (name !== undefined && object.key.name !== name)) continue;
      if (matches !== undefined && !matches(object)) continue;
      if (items.length === limit) {
        // Whether one is there was not known before; how many more match is not known either.
        const remaining = matches === undefined && then === undefined ? positions.length - i : undefined;
        return { items, revision, next: positionOf(items[items.length - 1]!.key), remaining };
      }
      items.push(object);
    }
    return { items, revision, next: undefined, remaining: undefined };
  }

  write(write: Write): Promise<Stored> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new StoreError({ kind: 'unavailable', reason: 'the server is stopping' }));
      this.#waiting.push({ write, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  watch(resource: string, revision: number): Cursor {
    this.#checkRevision(revision);
    let cursors = this.#cursors.get(resource);
    if (cursors === undefined) {
      cursors = new Set();
      this.#cursors.set(resource, cursors);
    }
    const cursor = new LogCursor(this, this.#log, resource, revision, (c) => void cursors.delete(c));
    cursors.add(cursor);
    return cursor;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#flushing;
    await this.#journal.close();
  }

  async #flush(): Promise<void> {
    // Writes of the same turn of the event loop come together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, batchLimit);
      this.#waiting = this.#waiting.slice(batch.length);
      await this.#commit(batch);
    }
    // In the same turn as the look at what is waiting: a write that comes now must start anew.
    this.#flushing = undefined;
  }

  async #commit(batch: readonly Waiting[]): Promise<void> {
    const { changes, answers } = decide(batch, this.#tables, this.#revision);
    if (changes.length > 0) {
      const remove = this.#unneeded;
      try {
        await this.#journal.append({ rows: changes.map(rowOf), remove, compacted: this.#log.compacted });
      } catch (e) {
        for (const { reject } of batch) reject(new StoreError({ kind: 'unavailable', reason: describeError(e) }));
        return;
      }
      this.#unneeded = [];
      this.#publish(changes);
      for (const { current } of changes) current.forgetMade();
    }
    for (const answer of answers) answer();
  }

  #publish(changes: readonly Change[]): void {
    const touched = new Set<string>();
    for (const change of changes) {
      this.#tables.apply(change);
      this.#unneeded.push(...this.#log.append(change));
      this.#revision = change.revision;
      touched.add(change.current.key.resource);
    }
    for (const resource of touched) {
      for (const cursor of this.#cursors.get(resource) ?? []) cursor.onChange?.();
    }
  }

  #checkRevision(revision: number): void {
    if (revision > this.#revision) throw new StoreError({ kind: 'future' });
    if (revision < this.#log.compacted) throw new StoreError({ kind: 'compacted' });
  }

  /** What objects that changed since were at `revision`, by position. */
  #before(resource: string, revision: number): ReadonlyMap<string, Stored | undefined> {
    const then = new Map<string, Stored | undefined>();
    for (const change of this.#log.after(resource, revision, Number.POSITIVE_INFINITY)) {
      const position = positionOf(change.current.key);
      if (!then.has(position)) then.set(position, change.previous);
    }
    return then;
  }
}

class LogCursor implements Cursor {
  onChange: (() => void) | undefined;
  readonly #store: Store;
  readonly #log: ChangeLog;
  readonly #resource: string;
  readonly #closed: (cursor: LogCursor) => void;
  #revision: number;

  constructor(store: Store, log: ChangeLog, resource: string, revision: number, closed: (cursor: LogCursor) => void) {
    this.#store = store;
    this.#log = log;
    this.#resource = resource;
    this.#revision = revision;
    this.#closed = closed;
  }

  get revision(): number {
    return this.#revision;
  }

  take(limit: number): readonly Change[] {
    if (this.#revision < this.#log.forgotten(this.#resource)) throw new StoreError({ kind: 'compacted' });
    const changes = this.#log.after(this.#resource, this.#revision, limit);
    this.#revision = changes.length < limit ? this.#store.revision : changes[changes.length - 1]!.revision;
    return changes;
  }

  close(): void {
    this.onChange = undefined;
    this.#closed(this);
  }
}

type Labels = Stored['labels'];

class Version implements Stored {
  readonly key: StoreKey;
  readonly revision: number;
  readonly json: Json;
  /** undefined: not read yet; thousands that were read from the disk are never asked for them. */
  #labels: Labels | null | undefined;
  #made: ApiObject | undefined;

  private constructor(key: StoreKey, revision: number, json: Json) {
    this.key = key;
    this.revision = revision;
    this.json = json;
  }

  /** As the disk has it. */
  static read(key: StoreKey, revision: number, json: Json): Version {
    return new Version(key, revision, json);
  }

  static written(key: StoreKey, revision: number, object: ApiObject): Version {
    const version = new Version(key, revision, toJson(object));
    version.#labels = object.metadata.labels ?? null;
    version.#made = object;
    return version;
  }

  get made(): ApiObject | undefined {
    return this.#made;
  }

  forgetMade(): void {
    this.#made = undefined;
  }

  get labels(): Labels {
    if (this.#labels === undefined) this.#labels = fromJson(this.json).metadata.labels ?? null;
    return this.#labels ?? undefined;
  }
}

interface WrittenChange extends Change {
  readonly current: Version;
}

class Tables {
  readonly #tables = new Map<string, SortedTable>();

  of(resource: string): SortedTable {
    let table = this.#tables.get(resource);
    if (table === undefined) {
      table = new SortedTable();
      this.#tables.set(resource, table);
    }
    return table;
  }

  get(key: StoreKey): Stored | undefined {
    return this.#tables.get(key.resource)?.get(positionOf(key));
  }

  apply({ type, current }: Change): void {
    const table = this.of(current.key.resource);
    if (type === 'deleted') table.delete(positionOf(current.key));
    else table.set(positionOf(current.key), current);
  }

  counts(): ReadonlyMap<string, number> {
    return new Map([...this.#tables].map(([resource, table]) => [resource, table.size]));
  }
}

/** Each write against what is stored and the earlier ones of the batch. `answers` are to be called once the changes are kept. */
function decide(batch: readonly Waiting[], tables: Tables, revision: number) {
  const changes: WrittenChange[] = [];
  const answers: (() => void)[] = [];
  const ahead = new Map<string, Stored | undefined>();
  for (const { write, resolve, reject } of batch) {
    const id = `${write.key.resource}/${positionOf(write.key)}`;
    const current = ahead.has(id) ? ahead.get(id) : tables.get(write.key);
    const failure = check(write, current);
    if (failure !== undefined) {
      answers.push(() => reject(new StoreError(failure)));
      continue;
    }
    const change = makeChange(write, current, revision + changes.length + 1);
    changes.push(change);
    ahead.set(id, change.type === 'deleted' ? undefined : change.current);
    answers.push(() => resolve(change.current));
  }
  return { changes, answers };
}

function check(write: Write, current: Stored | undefined): StoreFailure | undefined {
  if (write.kind === 'create') return current === undefined ? undefined : { kind: 'exists', current };
  if (current === undefined) return { kind: 'missing' };
  return current.revision === write.expected ? undefined : { kind: 'changed', current };
}

const typeOf = { create: 'created', update: 'updated', delete: 'deleted' } as const;

function makeChange({ kind, key, object }: Write, previous: Stored | undefined, revision: number): WrittenChange {
  const { apiVersion, kind: objectKind, metadata, ...rest } = object;
  const stamped = {
    apiVersion,
    kind: objectKind,
    metadata: { ...metadata, resourceVersion: String(revision) },
    ...rest,
  };
  const current = Version.written(key, revision, stamped);
  return { revision, type: typeOf[kind], current, previous };
}

function rowOf({ revision, type, current: { key, json } }: Change): JournalRow {
  return { revision, ...key, deleted: type === 'deleted', json };
}

function changeOf(row: JournalRow, previous: Stored | undefined): Change {
  const { revision, resource, namespace, name, deleted, json } = row;
  const current = Version.read({ resource, namespace, name }, revision, json);
  return { revision, type: deleted ? 'deleted' : previous === undefined ? 'created' : 'updated', current, previous };
}

/** Also the positions of objects that were there and are gone now. */
function withDeleted(
  present: readonly string[],
  then: ReadonlyMap<string, Stored | undefined>,
  prefix: string,
  after: string | undefined,
): readonly string[] {
  const inRange = [...then.keys()].filter((p) => p.startsWith(prefix) && (after === undefined || p > after));
  return [...new Set([...present, ...inRange])].sort(byCodeUnits);
}

const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
