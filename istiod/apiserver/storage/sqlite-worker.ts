/** The thread that owns the SQLite file. One transaction a batch; it answers after the sync. */
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { assertNever, describeError } from '../../../common/core/errors.ts';
import type { FromWorker, Row, ToWorker } from './sqlite-journal.ts';

const port = parentPort!;
const { file } = workerData as { file: string };
const rowsAMessage = 1000;
/** Result codes of SQLite. */
const [busy, full, ioError] = [5, 13, 10];

const send = (message: FromWorker, give: ArrayBuffer[] = []): void => port.postMessage(message, give);

/** After a failed sync nobody knows what the disk holds (the kernel forgets the pages): no more writes until a restart reads it. */
let broken: string | undefined;

try {
  const db = open();
  load(db);
  const append = appender(db);
  port.on('message', (message: ToWorker) => {
    switch (message.kind) {
      case 'append':
        append(message);
        break;
      case 'close':
        db.close();
        send({ kind: 'closed' });
        break;
      default:
        assertNever(message);
    }
  });
} catch (e) {
  send({ kind: 'failed', reason: reasonFor(e) });
}

/**
 * WAL, since one commit is one write and one sync; with the rollback journal it is three syncs and twice the time. FULL syncs
 * at each commit. The exclusive lock keeps a second server away from the folder.
 */
function open(): DatabaseSync {
  const db = new DatabaseSync(file);
  db.exec(`
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS versions (
      revision INTEGER PRIMARY KEY,
      resource TEXT NOT NULL,
      namespace TEXT NOT NULL,
      name TEXT NOT NULL,
      deleted INTEGER NOT NULL,
      json TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS log (compacted INTEGER NOT NULL) STRICT;
    INSERT INTO log SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM log);
  `);
  return db;
}

function load(db: DatabaseSync): void {
  const query = db.prepare(
    'SELECT revision, resource, namespace, name, deleted, CAST(json AS BLOB) FROM versions ORDER BY revision',
  );
  query.setReturnArrays(true);
  let rows: Row[] = [];
  for (const row of query.iterate() as unknown as Iterable<Row>) {
    rows.push(row);
    if (rows.length < rowsAMessage) continue;
    sendRows(rows);
    rows = [];
  }
  sendRows(rows);
  send({ kind: 'loaded', compacted: db.prepare('SELECT compacted FROM log').get()!['compacted'] as number });
}

/** Bytes change hands instead of being copied. */
function sendRows(rows: readonly Row[]): void {
  send(
    { kind: 'rows', rows },
    rows.map((row) => row[5].buffer),
  );
}

function appender(db: DatabaseSync): (batch: ToWorker & { kind: 'append' }) => void {
  const insert = db.prepare('INSERT INTO versions VALUES (?, ?, ?, ?, ?, CAST(? AS TEXT))');
  const remove = db.prepare('DELETE FROM versions WHERE revision = ?');
  const compact = db.prepare('UPDATE log SET compacted = ?');
  return (batch) => {
    if (broken !== undefined) {
      send({ kind: 'failed', reason: broken });
      return;
    }
    try {
      db.exec('BEGIN IMMEDIATE');
      for (const row of batch.rows) insert.run(...row);
      for (const revision of batch.remove) remove.run(revision);
      if (batch.remove.length > 0) compact.run(batch.compacted);
      db.exec('COMMIT');
      send({ kind: 'appended' });
    } catch (e) {
      if (db.isTransaction) db.exec('ROLLBACK');
      if (codeOf(e) !== full) broken = `${reasonFor(e)}; no more writes until a restart`;
      send({ kind: 'failed', reason: broken ?? reasonFor(e) });
    } finally {
      // Of this thread alone; the collector would let tens of megabytes come together.
      for (const [, , , , , json] of batch.rows) json.buffer.transfer(0);
    }
  };
}

function reasonFor(e: unknown): string {
  switch (codeOf(e)) {
    case full:
      return `the disk that holds ${file} is full: free some space, and writes go on`;
    case busy:
      return `${file} is in use by another process: stop it, or choose another --data-dir`;
    case ioError:
      return `the disk refused to read or write ${file} (${describeError(e)})`;
    default:
      return `${file}: ${describeError(e)}`;
  }
}

/** The primary code; extended ones have more in the upper bits. */
function codeOf(e: unknown): number | undefined {
  return e instanceof Error && 'errcode' in e && typeof e.errcode === 'number' ? e.errcode & 0xff : undefined;
}
