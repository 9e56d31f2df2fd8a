import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { silentLogger } from '../../core/log.ts';
import { until } from '../../testing/until.ts';
import { configMapKind } from '../kinds/core.ts';
import { createFolderSource, type FolderSource } from './folder-source.ts';

const rounds = process.env['TEST_LONG'] === '1' ? 100 : 6;
const writer = join(import.meta.dirname, 'testing/writer.ts');
const key = { namespace: 'default', name: 'counter' };

function start(dir: string, ...args: string[]): ChildProcess {
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', writer, dir, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function withFolder(body: (dir: string, open: () => Promise<FolderSource>) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'aq-processes-'));
  const stop = new AbortController();
  const open = () => createFolderSource({ dir, log: silentLogger, signal: stop.signal });
  try {
    const source = await open();
    await source.create(configMapKind, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: key,
      data: { n: '0', copy: '0' },
    });
    await body(dir, open);
  } finally {
    stop.abort();
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

test('of increments by four processes at once none is lost', () =>
  withFolder(async (dir, open) => {
    const watching = await open();
    const children = [1, 2, 3, 4].map(() => start(dir, 'count', '25'));
    const codes = await Promise.all(children.map(async (c) => (await once(c, 'exit'))[0] as number | null));
    assert.deepEqual(codes, [0, 0, 0, 0]);
    assert.equal((await (await open()).get(configMapKind, key))?.data?.['n'], '100');
    await until('the watcher has seen it too', async () => {
      return (await watching.get(configMapKind, key))?.data?.['n'] === '100';
    });
  }));

test('a writer that is killed leaves the old or the new version, never a torn one', () =>
  withFolder(async (dir, open) => {
    for (let round = 0; round < rounds; round++) {
      const child = start(dir, 'forever');
      const exited = once(child, 'exit');
      let last = 0;
      for await (const line of createInterface({ input: child.stdout! })) {
        last = Number(line);
        // At another point of the write each time.
        if (last % 7 === round % 7) child.kill('SIGKILL');
      }
      await exited;
      const found = (await (await open()).get(configMapKind, key))?.data;
      const n = Number(found?.['n']);
      assert.ok(n >= last, `${n} is older than ${last}, which was confirmed`);
      assert.equal(found?.['copy'], String(n).padStart(20_000, '.'));
    }
  }));
