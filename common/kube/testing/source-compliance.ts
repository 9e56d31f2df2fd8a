/** What every KubeSource does (common/kube/types.ts), as tests. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MeshError } from '../../core/errors.ts';
import { silentLogger } from '../../core/log.ts';
import { until } from '../../testing/until.ts';
import { createInformer, keyOf } from '../informer.ts';
import { type ConfigMap, configMapKind, namespaceKind, podKind } from '../kinds/core.ts';
import type { KubeObject, KubeSource, WatchEvent } from '../types.ts';

export interface SourceUnderTest extends AsyncDisposable {
  readonly source: KubeSource;
  /** The same objects for another process. */
  readonly other: KubeSource;
}

/** Ms; a machine that is busy is no reason to fail. */
const patience = 30_000;

const configMap = (name: string, data: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
  data,
});
const key = (name: string) => ({ namespace: 'default', name });

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'a', namespace: 'default', labels: { app: 'a' } },
  spec: { containers: [{ name: 'c', image: 'x' }] },
};

const rejectsWith = (promise: Promise<unknown>, code: string) =>
  assert.rejects(promise, (e) => e instanceof MeshError && e.code === code);

export function testKubeSource(name: string, open: () => Promise<SourceUnderTest>): void {
  describe(`${name} as a KubeSource`, () => {
    test('what is made has what a server fills in, and is there for everybody', async () => {
      await using world = await open();
      const { source, other } = world;
      assert.equal(await source.get(configMapKind, key('a')), undefined);
      const made = await source.create(configMapKind, configMap('a', { x: '1' }));
      assert.match(made.metadata.uid, /^[0-9a-f-]{36}$/);
      assert.ok(made.metadata.resourceVersion !== '' && made.metadata.creationTimestamp !== undefined);
      const found = await until('the other one to see it', () => other.get(configMapKind, key('a')), patience);
      assert.deepEqual([found.apiVersion, found.kind, found.data], ['v1', 'ConfigMap', { x: '1' }]);
      const { items } = await other.list(configMapKind, AbortSignal.timeout(patience));
      assert.deepEqual(
        items.filter((i) => i.metadata.name === 'a'),
        [found],
      );
      await rejectsWith(other.create(configMapKind, configMap('a')), 'CONFLICT');
      const nameless = { ...configMap('a'), metadata: { name: 'Not A Name', namespace: 'default' } };
      await rejectsWith(source.create(configMapKind, nameless), 'CONFIG');
    });

    test('patches merge, null removes, and one who raced is told', async () => {
      await using world = await open();
      const { source } = world;
      const made = await source.create(configMapKind, configMap('a', { x: '1', y: '2' }));
      const patched = await source.patch(configMapKind, key('a'), {
        data: { x: null, z: '3' },
        metadata: { labels: { l: 'v' } },
      });
      assert.deepEqual([patched.data, patched.metadata.labels], [{ y: '2', z: '3' }, { l: 'v' }]);
      assert.equal(patched.metadata.uid, made.metadata.uid);
      assert.notEqual(patched.metadata.resourceVersion, made.metadata.resourceVersion);
      const stale = { resourceVersion: made.metadata.resourceVersion };
      await rejectsWith(source.patch(configMapKind, key('a'), { data: { w: '4' } }, stale), 'CONFLICT');
      const fresh = { resourceVersion: patched.metadata.resourceVersion };
      const again = await source.patch(configMapKind, key('a'), { data: { w: '4' } }, fresh);
      assert.deepEqual(again.data, { y: '2', z: '3', w: '4' });
      await rejectsWith(source.patch(configMapKind, key('b'), { data: {} }), 'NOT_FOUND');
    });

    test('the status and the rest are written apart', async () => {
      await using world = await open();
      const { source } = world;
      const made = await source.create(podKind, pod);
      const both = { metadata: { annotations: { a: '1' } }, status: { phase: 'Running' } };
      const rest = await source.patch(podKind, key('a'), both);
      assert.equal(rest.metadata.annotations?.['a'], '1');
      assert.notEqual(rest.status?.phase, 'Running');
      const options = { subresource: 'status', resourceVersion: rest.metadata.resourceVersion } as const;
      const change = { metadata: { annotations: { a: null } }, status: { phase: 'Running', podIP: '10.0.0.1' } };
      const status = await source.patch(podKind, key('a'), change, options);
      assert.deepEqual([status.metadata.annotations?.['a'], status.status?.phase], ['1', 'Running']);
      assert.equal(status.metadata.generation, made.metadata.generation);
      await rejectsWith(source.patch(podKind, key('a'), { status: { podIP: '10.0.0.2' } }, options), 'CONFLICT');
    });

    test('what is deleted is gone, also when it is deleted twice', async () => {
      await using world = await open();
      const { source, other } = world;
      const made = await source.create(configMapKind, configMap('a'));
      await source.delete(configMapKind, key('a'));
      assert.equal(await source.get(configMapKind, key('a')), undefined);
      await source.delete(configMapKind, key('a'));
      await until('the other one to see it', async () => !(await other.get(configMapKind, key('a'))), patience);
      const again = await other.create(configMapKind, configMap('a'));
      assert.notEqual(again.metadata.uid, made.metadata.uid);
    });

    test('who deletes one object leaves another of its name alone', async () => {
      await using world = await open();
      const { source } = world;
      const { uid } = (await source.create(configMapKind, configMap('a'))).metadata;
      await rejectsWith(
        source.delete(configMapKind, key('a'), { uid: '00000000-0000-4000-8000-000000000000' }),
        'CONFLICT',
      );
      assert.ok(await source.get(configMapKind, key('a')));
      await source.delete(configMapKind, key('a'), { uid });
      assert.equal(await source.get(configMapKind, key('a')), undefined);
    });

    test('who asks for one name or namespace is told of nothing else', async () => {
      await using world = await open();
      const { source } = world;
      const stop = new AbortController();
      const within = { namespace: 'default', name: 'a' };
      const before = await source.list(configMapKind, stop.signal, { within });
      assert.deepEqual(before.items, []);
      const seen: string[] = [];
      const watching = collect(source.watch(configMapKind, before.resourceVersion, stop.signal, within), seen);
      await source.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'other' } });
      await source.create(configMapKind, { ...configMap('a'), metadata: { name: 'a', namespace: 'other' } });
      await source.create(configMapKind, configMap('b'));
      await source.create(configMapKind, configMap('a', { n: '1' }));
      await until('the event', () => seen.length > 0, patience);
      stop.abort();
      await watching;
      assert.deepEqual(seen, ['ADDED a 1']);
      const { items } = await source.list(configMapKind, AbortSignal.timeout(patience), { within });
      assert.deepEqual(
        items.map((i) => [i.metadata.namespace, i.metadata.name]),
        [['default', 'a']],
      );
    });

    test('a watch tells what came after its version, in order and once, until it is ended', async () => {
      await using world = await open();
      const { source } = world;
      await source.create(configMapKind, configMap('before'));
      const stop = new AbortController();
      const { resourceVersion } = await source.list(configMapKind, stop.signal);
      await source.create(configMapKind, configMap('a', { n: '0' }));
      const seen: string[] = [];
      const watching = collect(source.watch(configMapKind, resourceVersion, stop.signal), seen);
      for (let n = 1; n <= 20; n++) await source.patch(configMapKind, key('a'), { data: { n: String(n) } });
      await source.create(podKind, pod);
      await source.delete(configMapKind, key('a'));
      await source.create(configMapKind, configMap('last'));
      await until('the last event', () => seen.at(-1) === 'ADDED last', patience);
      stop.abort();
      await watching;
      const changes = Array.from({ length: 20 }, (_, n) => `MODIFIED a ${n + 1}`);
      assert.deepEqual(seen, ['ADDED a 0', ...changes, 'DELETED a 20', 'ADDED last']);
    });

    test('an informer ends with what is there, whoever wrote at the same time', async () => {
      const action = fc.record({
        what: fc.constantFrom('create', 'patch', 'delete'),
        of: fc.constantFrom('a', 'b', 'c'),
      });
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(action, { maxLength: 8 }), { minLength: 2, maxLength: 3 }),
          async (writers) => {
            await using world = await open();
            const { source, other } = world;
            const stop = new AbortController();
            try {
              const informer = createInformer({ source, kind: configMapKind, log: silentLogger, signal: stop.signal });
              await informer.synced;
              await Promise.all(writers.map((actions, i) => write(i === 0 ? source : other, actions)));
              await source.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'end' } });
              await until(
                'the same objects',
                async () => {
                  const { items } = await source.list(configMapKind, stop.signal);
                  const told = items.map((i) => `${keyOf(i.metadata)} ${i.metadata.resourceVersion}`).sort();
                  const known = [...informer.objects].map(([k, o]) => `${k} ${o.metadata.resourceVersion}`).sort();
                  return told.join() === known.join();
                },
                patience,
              );
            } finally {
              stop.abort();
            }
          },
        ),
        { numRuns: 5 },
      );
    });
  });
}

async function write(
  source: KubeSource,
  actions: readonly { readonly what: string; readonly of: string }[],
): Promise<void> {
  for (const [i, { what, of }] of actions.entries()) {
    try {
      if (what === 'create') await source.create(configMapKind, configMap(of));
      else if (what === 'patch') await source.patch(configMapKind, key(of), { data: { n: String(i) } });
      else await source.delete(configMapKind, key(of));
    } catch (e) {
      // It was there already, or not there any more.
      if (!(e instanceof MeshError) || (e.code !== 'CONFLICT' && e.code !== 'NOT_FOUND')) throw e;
    }
  }
}

async function collect(events: AsyncIterable<WatchEvent<ConfigMap & KubeObject>>, seen: string[]): Promise<void> {
  try {
    for await (const e of events) {
      if (e.type !== 'BOOKMARK')
        seen.push([e.type, e.object.metadata.name, e.object.data?.['n']].filter((s) => s !== undefined).join(' '));
    }
  } catch (e) {
    // A source may say so when it is ended; it must not fail otherwise.
    if (!(e instanceof MeshError) || e.code !== 'API_UNAVAILABLE') throw e;
  }
}
