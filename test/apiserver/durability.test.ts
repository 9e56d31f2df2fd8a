/** What was acknowledged is on the disk, told by the system calls of real processes. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { until } from '../../common/testing/until.ts';
import { fromJson } from '../../istiod/apiserver/objects.ts';
import { openSqliteJournal } from '../../istiod/apiserver/storage/sqlite-journal.ts';
import { openStore } from '../../istiod/apiserver/storage/store.ts';
import { longOr, needs } from '../harness/require.ts';
import { Disk } from './power-cut.ts';
import { startProcess } from './process.ts';
import { eventsIn, type FileEvent, straceArguments, traced } from './strace.ts';
import { objectOf } from './written-objects.ts';

const root = join(import.meta.dirname, '../..');
const folder = await realpath(await mkdtemp(join(tmpdir(), 'aquifer-durability-')));
after(() => rm(folder, { recursive: true }));

const configMaps = '/api/v1/namespaces/default/configmaps';

test('the API server answers a write after the sync', async (t) => {
  if (!needs(t, 'program:strace')) return;
  const dir = join(folder, 'answers');
  const trace = join(folder, 'answers.trace');
  await using server = await startProcess(dir, ['strace', ...straceArguments(trace)]);
  const writes = 30;
  // The handshake's last bytes are sent before the first answer.
  await server.client.ask('/readyz');
  for (let i = 0; i < writes; i++) {
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `write-number-${i}.x` } };
    assert.equal((await server.client.ask(configMaps, { method: 'POST', body })).code, 201);
  }
  await server.stop();
  const events = await eventsIn(trace, dir);
  for (let i = 0; i < writes; i++) {
    const next = (from: number, is: (e: FileEvent) => boolean) => events.findIndex((e, at) => at >= from && is(e));
    const name = `write-number-${i}.`;
    const wrote = next(0, (e) => e.kind === 'write' && e.file === 'objects.db-wal' && e.bytes.includes(name));
    assert.ok(wrote >= 0, `${name} was not seen`);
    const synced = next(wrote, (e) => e.kind === 'sync' && e.file === 'objects.db-wal');
    const answered = next(wrote, (e) => e.kind === 'answered');
    assert.ok(synced >= 0 && synced < answered, `${name} written ${wrote}, synced ${synced}, answered ${answered}`);
  }
});

test('after a power cut at any moment all that was acknowledged is there, and nothing is half there', async (t) => {
  if (!needs(t, 'program:strace')) return;
  const dir = join(folder, 'cut');
  const trace = join(folder, 'cut.trace');
  await mkdir(dir);
  const writer = join(import.meta.dirname, 'journal-writer.ts');
  const writes = longOr(250, 600);
  await traced(trace, [join(root, 'scripts/pinned-node'), writer, dir, String(writes)]);
  const events = await eventsIn(trace, dir);
  const moved = events.some((e) => e.kind === 'write' && e.file === 'objects.db' && e.offset > 100_000);
  assert.ok(moved, 'pages were moved from the log to their place meanwhile');
  const points = fc.sample(fc.nat(events.length - 1), { numRuns: longOr(60, 1000), seed: 1 }).sort((a, b) => a - b);
  let random = 1;
  const chance = () => {
    random = (random * 48_271) % 2_147_483_647;
    return random / 2_147_483_647;
  };
  const disk = new Disk();
  const acknowledged: number[] = [];
  let at = 0;
  for (const [n, point] of points.entries()) {
    for (; at <= point; at++) apply(disk, events[at]!, acknowledged);
    await checkFiles(disk.afterCut(chance, [0, 0.5, 0.9][n % 3]!), acknowledged, `cut at ${point}`);
  }
  assert.ok(acknowledged.length > 0);
});

function apply(disk: Disk, event: FileEvent, acknowledged: number[]): void {
  disk.apply(event);
  if (event.kind !== 'said') return;
  for (const [, number] of event.text.matchAll(/^wrote (\d+)$/gm)) acknowledged.push(Number(number));
}

async function checkFiles(
  files: ReadonlyMap<string, Buffer>,
  acknowledged: readonly number[],
  what: string,
): Promise<void> {
  const dir = await mkdtemp(join(folder, 'found-'));
  for (const [name, content] of files) await writeFile(join(dir, name), content);
  const store = await openStore(openSqliteJournal(dir));
  try {
    for (const number of acknowledged) {
      const { key, object } = objectOf(number);
      const found = store.get(key);
      assert.ok(found !== undefined, `${what}: write ${number} was acknowledged and is gone`);
      assert.deepEqual(fromJson(found.json)['data'], object['data'], what);
    }
    const all = store.list({ resource: 'configmaps.core' }).items.map((i) => i.revision);
    assert.deepEqual(
      all.toSorted((a, b) => a - b),
      all.map((_, i) => i + 1),
      `${what}: revisions without a gap`,
    );
  } finally {
    await store.close();
    await rm(dir, { recursive: true });
  }
}

test('a failed sync is told, changes nothing that is read, and stops writes until a restart', async (t) => {
  if (!needs(t, 'program:strace')) return;
  const dir = join(folder, 'eio');
  {
    // The first start writes roles, namespaces and what controllers give them.
    await using first = await startProcess(dir);
    await until(
      'the first objects',
      async () => (await first.client.ask(`${configMaps}/kube-root-ca.crt`)).code === 200,
    );
    await first.kill();
    // A later start makes some syncs too; forty are behind them.
    const inject = ['-f', '-o', '/dev/null', '-e', 'trace=fsync,fdatasync'];
    const faults = ['-e', 'inject=fsync,fdatasync:error=EIO:when=40+'];
    await using server = await startProcess(dir, ['strace', ...inject, ...faults]);
    const kept: string[] = [];
    let refused: string | undefined;
    for (let i = 0; refused === undefined; i++) {
      assert.ok(i < 200, 'no sync failed');
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `c${i}` } };
      const answer = await server.client.ask(configMaps, { method: 'POST', body });
      if (answer.code === 201) kept.push(`c${i}`);
      else {
        assert.deepEqual([answer.code, answer.json.reason], [503, 'ServiceUnavailable'], answer.body.toString());
        assert.match(answer.json.message, /the disk refused/);
        refused = `c${i}`;
      }
    }
    assert.ok(kept.length > 0);
    assert.equal((await server.client.ask(`${configMaps}/${refused}`)).code, 404);
    for (const name of kept) assert.equal((await server.client.ask(`${configMaps}/${name}`)).code, 200);
    const later = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'later' } };
    assert.equal((await server.client.ask(configMaps, { method: 'POST', body: later })).code, 503);
    await writeFile(join(folder, 'kept'), kept.join('\n'));
    await server.kill();
    await using again = await startProcess(dir, []);
    for (const name of kept) assert.equal((await again.client.ask(`${configMaps}/${name}`)).code, 200, name);
    assert.equal((await again.client.ask(configMaps, { method: 'POST', body: later })).code, 201);
  }
});
