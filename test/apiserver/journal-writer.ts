/**
 * A process that writes to a store and says on standard output what was acknowledged: `journal-writer.ts DIR WRITES`. Run
 * by durability.test.ts under strace.
 */
import { writeSync } from 'node:fs';
import { openSqliteJournal } from '../../istiod/apiserver/storage/sqlite-journal.ts';
import { openStore } from '../../istiod/apiserver/storage/store.ts';
import { objectOf, together } from './written-objects.ts';

const [dir = '', writes = '0'] = process.argv.slice(2);
// Few changes are kept, so that rows are removed too.
const store = await openStore(openSqliteJournal(dir), { changes: 20, bytes: 1_000_000 });
let next = 0;
await Promise.all(
  Array.from({ length: together }, async () => {
    while (next < Number(writes)) {
      const number = next++;
      const { key, object } = objectOf(number);
      await store.write({ kind: 'create', key, object });
      writeSync(1, `wrote ${number}\n`);
    }
  }),
);
await store.close();
