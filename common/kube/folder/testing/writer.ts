/** A process that writes to a folder: `writer.ts <dir> count <times>`, or `writer.ts <dir> forever`. Only for tests. */
import { MeshError } from '../../../core/errors.ts';
import { silentLogger } from '../../../core/log.ts';
import { configMapKind } from '../../kinds/core.ts';
import { createFolderSource } from '../folder-source.ts';

const [dir = '', mode, times = '0'] = process.argv.slice(2);
const stop = new AbortController();
const source = await createFolderSource({ dir, log: silentLogger, signal: stop.signal });
const key = { namespace: 'default', name: 'counter' };

/** Reads, adds one, and writes only if nobody wrote meanwhile. */
async function increment(): Promise<number> {
  for (;;) {
    const current = await source.get(configMapKind, key);
    if (current === undefined) throw new Error('there is no counter');
    const next = Number(current.data?.['n']) + 1;
    // Long enough that a torn write could not go unseen.
    const data = { n: String(next), copy: String(next).padStart(20_000, '.') };
    try {
      await source.patch(configMapKind, key, { data }, { resourceVersion: current.metadata.resourceVersion });
      return next;
    } catch (e) {
      if (!(e instanceof MeshError && e.code === 'CONFLICT')) throw e;
    }
  }
}

for (let i = 0; mode === 'forever' || i < Number(times); i++) process.stdout.write(`${await increment()}\n`);
stop.abort();
