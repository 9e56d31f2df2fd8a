/** A disk without space: writes are refused, reads go on, and writes resume without a restart. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Json, startTestServer } from '../../istiod/apiserver/testing/client.ts';
import { needs } from '../harness/require.ts';

const configMaps = '/api/v1/namespaces/default/configmaps';

const bodyOf = (name: string) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data: { padding: 'x'.repeat(20_000) },
});

test('a full disk', async (t) => {
  if (!needs(t, 'root')) return;
  const dir = await mkdtemp(join(tmpdir(), 'aquifer-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'aquifer-full', dir]);
  try {
    const data = join(dir, 'data');
    const filler = join(dir, 'filler');
    await mkdir(data);
    const kept: string[] = [];
    {
      await using server = await startTestServer(data);
      const { client } = server;
      const create = async (name: string) => {
        const answer = await client.ask(configMaps, { method: 'POST', body: bodyOf(name) });
        if (answer.code === 201) kept.push(name);
        return answer;
      };
      const { resourceVersion } = (await client.ask(configMaps)).json.metadata;
      assert.equal((await create('before')).code, 201);
      await writeFile(filler, Buffer.alloc(8 * 1024 * 1024)).catch((e: NodeJS.ErrnoException) =>
        assert.equal(e.code, 'ENOSPC'),
      );
      let refused = 0;
      for (let i = 0; i < 40; i++) {
        const { code, json } = await create(`full-${i}`);
        if (code === 201) continue;
        refused++;
        assert.deepEqual([code, json.kind, json.reason], [503, 'Status', 'ServiceUnavailable'], JSON.stringify(json));
        assert.match(json.message, /the object was not stored: the disk that holds .* is full/);
        assert.equal((await client.ask(`${configMaps}/full-${i}`)).code, 404);
      }
      assert.ok(refused > 0, 'the disk was full');
      const listed = (await client.ask(configMaps)).json.items.map((i: Json) => i.metadata.name);
      assert.deepEqual(listed.filter((n: string) => !n.startsWith('kube-')).sort(), kept.toSorted());
      await rm(filler);
      for (let i = 0; i < 10; i++) assert.equal((await create(`after-${i}`)).code, 201);
      // A watch sees each that was kept, and none that was refused. Controllers make some too.
      const seen: string[] = [];
      for await (const { object } of client.watch(`${configMaps}?watch=1&resourceVersion=${resourceVersion}`)) {
        if (!object.metadata.name.startsWith('kube-')) seen.push(object.metadata.name);
        if (object.metadata.name === 'after-9') break;
      }
      assert.deepEqual(seen, kept);
    }
    await using again = await startTestServer(data);
    for (const name of kept) assert.equal((await again.client.ask(`${configMaps}/${name}`)).code, 200, name);
  } finally {
    execFileSync('umount', [dir]);
    await rm(dir, { recursive: true });
  }
});
