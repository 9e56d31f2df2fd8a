/**
 * Random writers over HTTP at once, and watches beside them. What was acknowledged is readable, each watch saw every change
 * once and in order, and versions only grow.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Json, startTestServer, type TestServer } from '../../istiod/apiserver/testing/client.ts';
import { longOr } from '../harness/require.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server[Symbol.asyncDispose]());

const configMaps = '/api/v1/namespaces/default/configmaps';
const [writers, writes, names] = [8, longOr(60, 1500), 6];

interface Acknowledged {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly name: string;
  readonly value: string;
}

test('random writers, read and watched', { timeout: longOr(2, 20) * 60_000 }, async () => {
  const { client } = server;
  const { json } = await client.ask(configMaps);
  const start = Number(json.metadata.resourceVersion);
  const all = `${configMaps}?watch=1&resourceVersion=${start}`;
  const watches = ['', '&labelSelector=odd%3Dtrue', '&fieldSelector=metadata.name%3Dw1'].map((selector) =>
    collect(client.watch(all + selector)),
  );
  const done: Acknowledged[] = [];
  await Promise.all(Array.from({ length: writers }, (_, i) => write(i, done)));
  await client.ask(configMaps, { method: 'POST', body: configMap('w1-end', 'end', { odd: 'true' }) });
  await client.ask(`${configMaps}/w1`, { method: 'DELETE' });
  await client.ask(configMaps, { method: 'POST', body: configMap('w1', 'end', {}) });

  const [whole, odd, one] = (await Promise.all(watches)).map((w) => w.filter((e) => e.value !== 'end'));
  // After the writers only `end` comes, which closes each watch at another moment; see the deletion of w1.
  const ordered = whole!.filter(({ name }) => /^w\d$/.test(name));
  for (const [i, { version }] of ordered.entries())
    assert.ok(version > (ordered[i - 1]?.version ?? start), 'versions grow');
  assert.deepEqual(
    ordered.filter((e) => e.type !== 'DELETED'),
    done.toSorted((x, y) => x.version - y.version),
    'the watch saw what was acknowledged, once and in order',
  );
  checkDeletions(ordered);
  const ofOne = ordered.filter((e) => e.name === 'w1');
  assert.deepEqual(one!.slice(0, ofOne.length), ofOne);
  checkSelected(odd!, ordered);
  const last = new Map(ordered.map((d) => [d.name, d]));
  for (const [name, { type, value, version }] of last) {
    if (name === 'w1') continue;
    const { code, json: found } = await client.ask(`${configMaps}/${name}`);
    if (type === 'DELETED') assert.equal(code, 404, name);
    else assert.deepEqual([found.data.value, Number(found.metadata.resourceVersion)], [value, version], name);
  }
});

/** Each took the version that it named, and came right after it. */
function checkDeletions(ordered: readonly Acknowledged[]): void {
  const before = new Map<string, number>();
  const found: string[] = [];
  for (const { name, type, version } of ordered) {
    if (type === 'DELETED') found.push(`${name} ${before.get(name)}`);
    before.set(name, version);
  }
  assert.deepEqual(found.toSorted(), deletions.map((d) => `${d.name} ${d.version}`).toSorted());
}

/** A watch of a selection shows what comes into it and leaves it; its state follows from the whole's. */
function checkSelected(seen: readonly Acknowledged[], ordered: readonly Acknowledged[]): void {
  const selected = new Set<string>();
  const expected: string[] = [];
  for (const { name, type, value, version } of ordered) {
    const is = type !== 'DELETED' && isOdd(value);
    if (is) expected.push(`${version} ${selected.has(name) ? 'MODIFIED' : 'ADDED'} ${name}`);
    else if (selected.has(name)) expected.push(`${version} DELETED ${name}`);
    if (is) selected.add(name);
    else selected.delete(name);
  }
  const found = seen.map((e) => `${e.version} ${e.type} ${e.name}`);
  assert.deepEqual(found.slice(0, expected.length), expected);
}

const isOdd = (value: string): boolean => Number(value.split('-')[1]) % 2 === 1;

function configMap(name: string, value: string, labels: Record<string, string>): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels }, data: { value } };
}

async function write(writer: number, done: Acknowledged[]): Promise<void> {
  const { client } = server;
  let highest = 0;
  for (let i = 0; i < writes; i++) {
    const name = `w${Math.floor(Math.random() * names)}`;
    const value = `${writer}-${i}`;
    const body = configMap(name, value, { odd: String(isOdd(value)) });
    const kind = ['POST', 'PUT', 'PATCH', 'DELETE'][Math.floor(Math.random() * 4)]!;
    const path = kind === 'POST' ? configMaps : `${configMaps}/${name}`;
    // Deletions name the version that they delete, so that it is known what they took.
    const current = kind === 'DELETE' ? (await client.ask(path)).json : undefined;
    if (kind === 'DELETE' && current.kind === 'Status') continue;
    const resourceVersion = current?.metadata.resourceVersion as string;
    const answer = await client.ask(path, {
      method: kind,
      type: kind === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
      body: kind === 'DELETE' ? { preconditions: { resourceVersion } } : body,
    });
    if (answer.code >= 300) {
      assert.ok([404, 409].includes(answer.code), `${kind}: ${answer.body}`);
      continue;
    }
    if (kind === 'DELETE') {
      deletions.push({ name, version: Number(resourceVersion) });
      continue;
    }
    const version = Number(answer.json.metadata.resourceVersion);
    assert.ok(version > highest, 'what one writer writes has growing versions');
    highest = version;
    done.push({ version, type: kind === 'POST' ? 'ADDED' : 'MODIFIED', name, value });
  }
}

/** `version`: of the object that it took. */
const deletions: { readonly name: string; readonly version: number }[] = [];

async function collect(events: AsyncGenerator<Json>): Promise<Acknowledged[]> {
  const seen: Acknowledged[] = [];
  for await (const { type, object } of events) {
    const { name, resourceVersion } = object.metadata;
    seen.push({ version: Number(resourceVersion), type, name, value: object.data.value });
    if (object.data.value === 'end' && (name === 'w1' || name === 'w1-end')) break;
  }
  return seen;
}
