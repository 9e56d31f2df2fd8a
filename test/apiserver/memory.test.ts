/** Changes come and go for ever on one server: neither its memory nor its file grows with their number. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestClient } from '../../istiod/apiserver/testing/client.ts';
import { longOr } from '../harness/require.ts';
import { startProcess } from './process.ts';

const configMaps = '/api/v1/namespaces/default/configmaps';
const writers = 16;
const objects = 200;
/** So that the log of changes (32 MB) is full early. */
const padding = 'x'.repeat(10_000);
/** Also in the short form more than the log holds. */
const changes = longOr(12_000, 100_000);

test(`${changes} changes`, { timeout: 20 * 60_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'aquifer-memory-'));
  try {
    await using server = await startProcess(dir);
    const { client, pid } = server;
    await inTurn(objects, (i) => write(client, i, 0));
    const after: { readonly memory: number; readonly disk: number }[] = [];
    const parts = 4;
    for (let part = 1; part <= parts; part++) {
      await inTurn(changes / parts, (i) => write(client, i % objects, part * changes + i));
      after.push({ memory: await residentMb(pid), disk: await diskMb(dir) });
    }
    // From the middle on nothing more is kept than before; what the collector has not come to yet is up to 40 MB of it.
    const [, middle, , end] = after as [unknown, (typeof after)[0], unknown, (typeof after)[0]];
    const told = JSON.stringify(after);
    assert.ok(end.memory < middle.memory + 40, `resident memory grows: ${told}`);
    assert.ok(end.disk < middle.disk + 20, `the folder grows: ${told}`);
  } finally {
    await rm(dir, { recursive: true });
  }
});

async function inTurn(count: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: writers }, async () => {
      while (next < count) await work(next++);
    }),
  );
}

async function write(client: TestClient, i: number, value: number): Promise<void> {
  const name = `c${i}`;
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value: String(value), padding } };
  const { code } =
    value === 0
      ? await client.ask(configMaps, { method: 'POST', body })
      : await client.ask(`${configMaps}/${name}`, { method: 'PUT', body });
  assert.ok(code < 300, `${code}`);
}

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
}

async function diskMb(dir: string): Promise<number> {
  const sizes = (await readdir(dir)).map(async (name) => (await stat(join(dir, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0) / 1_000_000;
}
