/** The journal as an SQLite file, written by a thread of its own: a sync takes milliseconds, which no request waits for but those whose writes it keeps. */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { assertNever, describeError, MeshError } from '../../../common/core/errors.ts';
import type { Journal, JournalBatch, JournalRow } from './types.ts';

export const journalFile = 'objects.db';

/** `[revision, resource, namespace, name, deleted, json]`; the last has an ArrayBuffer of its own. */
export type Row = readonly [number, string, string, string, 0 | 1, Uint8Array<ArrayBuffer>];

export type ToWorker =
  | {
      readonly kind: 'append';
      readonly rows: readonly Row[];
      readonly remove: readonly number[];
      readonly compacted: number;
    }
  | { readonly kind: 'close' };

export type FromWorker =
  | { readonly kind: 'rows'; readonly rows: readonly Row[] }
  | { readonly kind: 'loaded'; readonly compacted: number }
  | { readonly kind: 'appended' }
  /** Of the last message, or of the start. */
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'closed' };

/** `dir` exists. */
export function openSqliteJournal(dir: string): Journal {
  return new SqliteJournal(join(dir, journalFile));
}

class SqliteJournal implements Journal {
  readonly #worker: Worker;
  #onRow: ((row: JournalRow) => void) | undefined;
  #pending: PromiseWithResolvers<number> | undefined;
  /** Why the thread is gone. */
  #ended: string | undefined;

  constructor(file: string) {
    this.#worker = new Worker(new URL('./sqlite-worker.ts', import.meta.url), { workerData: { file } });
    this.#worker.on('message', (message: FromWorker) => this.#receive(message));
    this.#worker.on('error', (e) => this.#end(describeError(e)));
    this.#worker.on('exit', () => this.#end('the thread of the storage ended'));
  }

  load(row: (row: JournalRow) => void): Promise<number> {
    this.#onRow = row;
    return this.#wait();
  }

  async append({ rows, remove, compacted }: JournalBatch): Promise<void> {
    const answer = this.#wait();
    this.#send({
      kind: 'append',
      rows: rows.map((r) => [
        r.revision,
        r.resource,
        r.namespace,
        r.name,
        r.deleted ? 1 : 0,
        r.json as Buffer<ArrayBuffer>,
      ]),
      remove,
      compacted,
    });
    await answer;
  }

  async close(): Promise<void> {
    if (this.#ended !== undefined) return;
    const answer = this.#wait();
    this.#send({ kind: 'close' });
    await answer;
    await this.#worker.terminate();
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #wait(): Promise<number> {
    const pending = Promise.withResolvers<number>();
    if (this.#ended !== undefined) pending.reject(new MeshError('CONFIG', this.#ended));
    else this.#pending = pending;
    return pending.promise;
  }

  #receive(message: FromWorker): void {
    switch (message.kind) {
      case 'rows':
        for (const [revision, resource, namespace, name, deleted, json] of message.rows) {
          this.#onRow?.({
            revision,
            resource,
            namespace,
            name,
            deleted: deleted === 1,
            json: Buffer.from(json.buffer),
          });
        }
        break;
      case 'loaded':
        this.#onRow = undefined;
        this.#settle((p) => p.resolve(message.compacted));
        break;
      case 'appended':
      case 'closed':
        this.#settle((p) => p.resolve(0));
        break;
      case 'failed':
        this.#settle((p) => p.reject(new MeshError('CONFIG', message.reason)));
        break;
      default:
        assertNever(message);
    }
  }

  #settle(how: (pending: PromiseWithResolvers<number>) => void): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending !== undefined) how(pending);
  }

  #end(reason: string): void {
    this.#ended ??= reason;
    this.#settle((p) => p.reject(new MeshError('CONFIG', reason)));
  }
}
