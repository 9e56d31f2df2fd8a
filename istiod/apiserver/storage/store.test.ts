/** The store over both journals, against a model that knows nothing of batches, logs and disks. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { type ApiObject, fromJson, type Json } from '../objects.ts';
import { MemoryJournal } from '../testing/memory-journal.ts';
import { positionOf } from './sorted-table.ts';
import { openSqliteJournal } from './sqlite-journal.ts';
import { openStore } from './store.ts';
import { type Change, type Journal, type Store, StoreError, type StoreKey, type Write } from './types.ts';

const folders: string[] = [];
after(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

async function sqliteFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'aquifer-store-'));
  folders.push(folder);
  return folder;
}

const key = (name: string, namespace = 'ns', resource = 'pods.core'): StoreKey => ({ resource, namespace, name });

function objectOf({ namespace, name }: StoreKey, value: unknown = 0): ApiObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels: { v: String(value) } },
    spec: { value },
  };
}

const create = (k: StoreKey, value: unknown = 0): Write => ({ kind: 'create', key: k, object: objectOf(k, value) });
const update = (k: StoreKey, expected: number, value: unknown): Write => ({
  kind: 'update',
  key: k,
  expected,
  object: objectOf(k, value),
});
const remove = (k: StoreKey, expected: number): Write => ({
  kind: 'delete',
  key: k,
  expected,
  object: objectOf(k, 'gone'),
});

async function failureOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (e) {
    assert.ok(e instanceof StoreError, String(e));
    return e.failure.kind;
  }
  return 'none';
}

const valueIn = (json: Json): unknown => fromJson<{ spec: { value: unknown } }>(json).spec.value;

/** Opens the same storage each time it is called. */
interface Opener {
  open(): Promise<Journal>;
}

const journals: Record<string, () => Promise<Opener>> = {
  memory: async () => {
    const journal = new MemoryJournal();
    return { open: async () => journal };
  },
  SQLite: async () => {
    const folder = await sqliteFolder();
    return { open: async () => openSqliteJournal(folder) };
  },
};

for (const [name, opener] of Object.entries(journals)) {
  describe(`a store over ${name}`, () => {
    test('writes are checked against the revision that they were made from', async () => {
      const store = await openStore(await (await opener()).open());
      const a = await store.write(create(key('a')));
      assert.equal(a.revision, 1);
      assert.match(a.json.toString(), /^\{"apiVersion":"v1","kind":"Pod","metadata":\{.*"resourceVersion":"1"/);
      assert.equal(await failureOf(store.write(create(key('a')))), 'exists');
      const b = await store.write(update(key('a'), 1, 'x'));
      assert.equal(b.revision, 2);
      assert.equal(await failureOf(store.write(update(key('a'), 1, 'y'))), 'changed');
      assert.equal(await failureOf(store.write(remove(key('a'), 1))), 'changed');
      assert.equal(await failureOf(store.write(update(key('b'), 1, 'y'))), 'missing');
      const gone = await store.write(remove(key('a'), 2));
      assert.equal(gone.revision, 3);
      assert.equal(store.get(key('a')), undefined);
      assert.equal(await failureOf(store.write(remove(key('a'), 3))), 'missing');
      assert.equal(store.revision, 3);
      await store.close();
    });

    test('of writers that raced one wins, and their changes come in order', async () => {
      const store = await openStore(await (await opener()).open());
      const cursor = store.watch('pods.core', 0);
      const results = await Promise.all(
        Array.from({ length: 40 }, (_, i) => failureOf(store.write(create(key('same'), i)))),
      );
      assert.deepEqual(
        [results.filter((r) => r === 'none').length, results.filter((r) => r === 'exists').length],
        [1, 39],
      );
      assert.equal(cursor.take(100).length, 1);
      await store.close();
    });

    test('what was written is there after a restart, with the changes that watches may resume from', async () => {
      const o = await opener();
      const first = await openStore(await o.open());
      await Promise.all(['a', 'b', 'c'].map((n) => first.write(create(key(n)))));
      await first.write(update(key('b'), first.get(key('b'))!.revision, 'new'));
      await first.write(remove(key('c'), first.get(key('c'))!.revision));
      const before = first.list({ resource: 'pods.core' }).items;
      const changes = first.watch('pods.core', 2).take(100);
      await first.close();
      const second = await openStore(await o.open());
      assert.equal(second.revision, 5);
      assert.deepEqual(second.list({ resource: 'pods.core' }).items, before);
      assert.deepEqual(second.watch('pods.core', 2).take(100), changes);
      await second.close();
    });

    test('what is forgotten is gone from the disk too, and said to be', async () => {
      const o = await opener();
      const limits = { changes: 4, bytes: 1_000_000 };
      const first = await openStore(await o.open(), limits);
      let { revision } = await first.write(create(key('a')));
      for (let i = 0; i < 20; i++) revision = (await first.write(update(key('a'), revision, i))).revision;
      await first.write(create(key('b')));
      await first.write(remove(key('b'), first.revision));
      for (let i = 0; i < 6; i++) revision = (await first.write(update(key('a'), revision, i))).revision;
      assert.equal(first.compacted, first.revision - 4);
      assert.throws(
        () => first.watch('pods.core', first.compacted - 1),
        (e: StoreError) => e.failure.kind === 'compacted',
      );
      assert.throws(
        () => first.watch('pods.core', first.revision + 1),
        (e: StoreError) => e.failure.kind === 'future',
      );
      const state = first.list({ resource: 'pods.core' });
      await first.close();
      const second = await openStore(await o.open(), limits);
      assert.deepEqual(second.list({ resource: 'pods.core' }), state);
      assert.ok(second.compacted >= second.revision - 5);
      await second.close();
    });

    test('who watches a resource that rests loses nothing to the writes of others', async () => {
      const o = await opener();
      const store = await openStore(await o.open(), { changes: 4, bytes: 1_000_000 });
      await store.write(create(key('quiet', 'a', 'nodes.core')));
      const quiet = store.watch('nodes.core', store.revision);
      const busy = store.watch('pods.core', store.revision);
      let { revision } = await store.write(create(key('a')));
      for (let i = 0; i < 20; i++) revision = (await store.write(update(key('a'), revision, i))).revision;
      await store.write(create(key('late', 'a', 'nodes.core')));
      assert.equal(quiet.take(100).length, 1);
      assert.throws(
        () => busy.take(100),
        (e: StoreError) => e.failure.kind === 'compacted',
      );
      await store.close();
    });

    test('random writers, restarts and readers agree with a model', async () => {
      const resources = ['pods.core', 'nodes.core'];
      const step = fc.record({
        kind: fc.constantFrom('create', 'update', 'stale', 'delete', 'restart', 'page'),
        resource: fc.constantFrom(...resources),
        namespace: fc.constantFrom('a', 'a-b', 'b'),
        name: fc.constantFrom('x', 'x-1', 'y'),
        value: fc.nat(),
        together: fc.boolean(),
      });
      const runs = name === 'SQLite' ? 15 : 150;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
          const o = await opener();
          let store = await openStore(await o.open());
          const model = new Model();
          let running: Promise<void>[] = [];
          for (const s of steps) {
            const k = key(s.name, s.namespace, s.resource);
            if (s.kind === 'restart' || s.kind === 'page' || !s.together) {
              await Promise.all(running);
              running = [];
            }
            if (s.kind === 'restart') {
              await store.close();
              store = await openStore(await o.open());
            } else if (s.kind === 'page') {
              model.checkLists(store, s.resource);
            } else {
              const current = store.get(k)?.revision ?? 0;
              const expected = s.kind === 'stale' ? Math.max(current - 1, 0) : current;
              const w =
                s.kind === 'create'
                  ? create(k, s.value)
                  : s.kind === 'delete'
                    ? remove(k, expected)
                    : update(k, expected, s.value);
              running.push(
                store.write(w).then(
                  ({ revision, json }) => model.accepted(w, revision, json.toString()),
                  (e: unknown) => model.refused(w, e),
                ),
              );
            }
          }
          await Promise.all(running);
          for (const resource of resources) {
            model.checkLists(store, resource);
            model.checkChanges(store, resource);
          }
          await store.close();
        }),
        { numRuns: runs },
      );
    });
  });
}

test('a disk that refuses changes nothing, and writes go on when it takes them again', async () => {
  const journal = new MemoryJournal();
  const store = await openStore(journal);
  await store.write(create(key('a'), 'kept'));
  journal.failing = 'the disk is full';
  const refused = await Promise.all([
    failureOf(store.write(update(key('a'), 1, 'lost'))),
    failureOf(store.write(create(key('a'), 'decided on what was lost'))),
  ]);
  assert.deepEqual(refused, ['unavailable', 'unavailable']);
  assert.equal(valueIn(store.get(key('a'))!.json), 'kept');
  assert.equal(store.watch('pods.core', 1).take(10).length, 0);
  journal.failing = undefined;
  assert.equal((await store.write(update(key('a'), 1, 'again'))).revision, 2);
});

test('who hears of a change in its turn is spared the parsing; later there are only the bytes', async () => {
  const store = await openStore(new MemoryJournal());
  const cursor = store.watch('pods.core', 0);
  const heard: unknown[] = [];
  cursor.onChange = () => {
    for (const { current } of cursor.take(10)) heard.push([current.made, fromJson(current.json)]);
  };
  const written = await store.write(create(key('a'), 1));
  await store.write(update(key('a'), written.revision, 2));
  for (const [made, read] of heard as [unknown, unknown][]) assert.deepStrictEqual(made, read);
  assert.equal(heard.length, 2);
  assert.equal(written.made, undefined);
  assert.equal(store.get(key('a'))?.made, undefined);
});

test('writers share syncs', async () => {
  const journal = new MemoryJournal();
  const store = await openStore(journal);
  await Promise.all(Array.from({ length: 200 }, (_, i) => store.write(create(key(`p${i}`)))));
  assert.ok(journal.batches <= 3, `${journal.batches} batches`);
});

test('a second server is kept away from the folder', async () => {
  const folder = await sqliteFolder();
  const store = await openStore(openSqliteJournal(folder));
  await store.write(create(key('a')));
  await assert.rejects(openStore(openSqliteJournal(folder)), /in use by another process/);
  await store.close();
});

/** What the store promises, told by the writes in the order of their revisions. */
class Model {
  readonly #writes: { readonly revision: number; readonly write: Write; readonly json: string }[] = [];

  accepted(write: Write, revision: number, json: string): void {
    this.#writes.push({ revision, write, json });
  }

  refused(_write: Write, e: unknown): void {
    assert.ok(e instanceof StoreError && ['exists', 'missing', 'changed'].includes(e.failure.kind), String(e));
  }

  #ordered() {
    return this.#writes.toSorted((a, b) => a.revision - b.revision);
  }

  #at(resource: string, revision: number): ReadonlyMap<string, string> {
    const state = new Map<string, string>();
    for (const { revision: r, write, json } of this.#ordered()) {
      if (r > revision || write.key.resource !== resource) continue;
      if (write.kind === 'delete') state.delete(positionOf(write.key));
      else state.set(positionOf(write.key), json);
    }
    return new Map([...state].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  checkLists(store: Store, resource: string): void {
    const revisions = this.#ordered().map((w) => w.revision);
    assert.deepEqual(
      revisions,
      revisions.map((_, i) => i + 1),
      'every revision is one write',
    );
    for (const revision of [...revisions.slice(-5), store.revision]) {
      const expected = [...this.#at(resource, revision).values()];
      for (const limit of [undefined, 1, 2]) {
        const found: string[] = [];
        let next: string | undefined;
        do {
          const page = store.list({ resource, limit, revision, after: next });
          found.push(...page.items.map((i) => i.json.toString()));
          next = page.next;
        } while (next !== undefined);
        assert.deepEqual(found, expected, `at ${revision}, ${limit} a page`);
      }
      const inA = store.list({ resource, namespace: 'a', revision }).items.map((i) => i.json.toString());
      assert.deepEqual(
        inA,
        [...this.#at(resource, revision)].filter(([p]) => p.startsWith('a/')).map(([, json]) => json),
      );
    }
  }

  checkChanges(store: Store, resource: string): void {
    const expected = this.#ordered().filter((w) => w.write.key.resource === resource);
    const cursor = store.watch(resource, 0);
    const found: Change[] = [];
    for (let some = cursor.take(3); some.length > 0; some = cursor.take(3)) found.push(...some);
    assert.deepEqual(
      found.map((c) => [c.revision, c.type, c.current.json.toString()]),
      expected.map((w) => [w.revision, `${w.write.kind}d`, w.json]),
    );
    for (const change of found) {
      const before = this.#at(resource, change.revision - 1).get(positionOf(change.current.key));
      assert.equal(change.previous?.json.toString(), before);
    }
  }
}
