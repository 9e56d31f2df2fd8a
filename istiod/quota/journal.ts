/** Counts on the disk, in a SQLite file that one process at a time has open. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Count } from './counts.ts';

export interface Journal {
  /** Those whose window is not over. */
  load(now: number): readonly Count[];
  /** On the disk when it returns; throws where it is not. */
  write(counts: Iterable<Count>): void;
  /** Removes windows that are over. */
  sweep(now: number): void;
  close(): void;
}

/**
 * MeshError CONFIG for a folder that cannot be used. It syncs on the calling thread: what comes meanwhile waits in the sockets and
 * makes the next batch, and nobody can be answered before the sync anyway.
 */
export function openJournal(dataDir: string): Journal {
  const file = join(dataDir, 'quota.db');
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const db = new DatabaseSync(file);
    db.exec(`
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS counts (key TEXT PRIMARY KEY, start REAL NOT NULL, "end" REAL NOT NULL, used REAL NOT NULL)
        STRICT, WITHOUT ROWID;
      BEGIN EXCLUSIVE;
      COMMIT;
    `);
    const all = db.prepare('SELECT key, start, "end", used FROM counts WHERE "end" > ?');
    const put = db.prepare('INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?)');
    const remove = db.prepare('DELETE FROM counts WHERE "end" <= ?');
    return {
      load: (now) => all.all(now) as unknown as readonly Count[],
      write(counts) {
        db.exec('BEGIN IMMEDIATE');
        try {
          for (const { key, start, end, used } of counts) put.run(key, start, end, used);
          db.exec('COMMIT');
        } catch (e) {
          if (db.isTransaction) db.exec('ROLLBACK');
          throw e;
        }
      },
      sweep: (now) => void remove.run(now),
      close: () => db.close(),
    };
  } catch (e) {
    const remedy = 'name a folder that this process may write and no other one uses';
    throw new MeshError('CONFIG', `--data-dir ${dataDir}: ${file}: ${describeError(e)}; ${remedy}`);
  }
}
