/** kill -9 at random moments under writers: nothing acknowledged is lost, nothing is half written. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestClient } from '../../istiod/apiserver/testing/client.ts';
import { longOr } from '../harness/require.ts';
import { startProcess } from './process.ts';

const configMaps = '/api/v1/namespaces/default/configmaps';
const names = Array.from({ length: 8 }, (_, i) => `c${i}`);
/** Two fields of one write, far apart: an object that has one of each was written by halves. */
const padding = 'x'.repeat(5000);

const contentOf = (value: number) => ({ first: String(value), padding, last: String(value) });

/** What each name may hold: the last acknowledged write, or one whose answer nobody heard. */
class Expectation {
  acknowledged = 0;
  sent: number[] = [];

  allows(value: number): boolean {
    return value === this.acknowledged || this.sent.includes(value);
  }
}

test(`kill -9 at ${longOr(50, 1000)} random moments`, { timeout: longOr(10, 60) * 60_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'aquifer-kills-'));
  const expected = new Map(names.map((name) => [name, new Expectation()]));
  let counter = 0;
  let [written, cutOff] = [0, 0];
  try {
    for (let round = 0; round <= longOr(50, 1000); round++) {
      await using server = await startProcess(dir);
      const { client } = server;
      for (const [name, expectation] of expected) await check(client, name, expectation);
      const over = new AbortController();
      const writers = [...expected].map(async ([name, expectation]) => {
        while (!over.signal.aborted) {
          const value = ++counter;
          expectation.sent.push(value);
          if (await put(client, name, value)) {
            expectation.acknowledged = value;
            expectation.sent = [];
            written++;
          } else cutOff++;
        }
      });
      // The moment is random; nothing is waited for.
      await sleep(Math.random() * 60);
      await server.kill();
      over.abort();
      await Promise.all(writers);
    }
  } finally {
    await rm(dir, { recursive: true });
  }
  assert.ok(written > 0 && cutOff > 0, `${written} writes, ${cutOff} cut off`);
});

async function check(client: TestClient, name: string, expectation: Expectation): Promise<void> {
  const { code, json } = await client.ask(`${configMaps}/${name}`);
  const value = code === 404 ? 0 : Number(json.data.first);
  assert.ok(expectation.allows(value), `${name} holds ${value}; acknowledged ${expectation.acknowledged}`);
  if (code === 200) assert.deepEqual(json.data, contentOf(value));
  expectation.acknowledged = value;
  expectation.sent = [];
}

/** False: nobody knows. */
async function put(client: TestClient, name: string, value: number): Promise<boolean> {
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: contentOf(value) };
  try {
    const type = 'application/apply-patch+yaml';
    const path = `${configMaps}/${name}?fieldManager=test`;
    const { code } = await client.ask(path, { method: 'PATCH', type, body });
    assert.ok(code === 200 || code === 201, `${code}`);
    return true;
  } catch (e) {
    if (e instanceof assert.AssertionError) throw e;
    return false;
  }
}
