import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../core/log.ts';
import { FakeKube } from '../testing/fake-kube.ts';
import { until } from '../testing/until.ts';
import { createInformer } from './informer.ts';
import { configMapKind } from './kinds/core.ts';
import type { KubeSource } from './types.ts';

const object = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' } });
const key = (name: string) => ({ name, namespace: 'default' });

async function withInformer(source: KubeSource, body: (seen: string[]) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const seen: string[] = [];
  const note = (what: string) => (o: { metadata: { name: string } }) => void seen.push(`${what} ${o.metadata.name}`);
  const handlers = { added: note('added'), modified: note('modified'), deleted: note('deleted') };
  const { synced } = createInformer({ source, kind: configMapKind, log: silentLogger, signal: stop.signal, handlers });
  try {
    await synced;
    await body(seen);
  } finally {
    stop.abort();
  }
}

test('what is there, then what changes, in order', async () => {
  const kube = new FakeKube();
  await kube.create(configMapKind, object('a'));
  await withInformer(kube, async (seen) => {
    assert.deepEqual(seen, ['added a']);
    await kube.create(configMapKind, object('b'));
    await kube.patch(configMapKind, key('a'), { data: { x: 'y' } });
    await kube.delete(configMapKind, key('b'));
    await until('three events', () => seen.length === 4);
    assert.deepEqual(seen.slice(1), ['added b', 'modified a', 'deleted b']);
  });
});

test('after GONE the list is taken anew: what vanished is deleted, what is the same is not repeated', async () => {
  const kube = new FakeKube();
  for (const name of ['same', 'changes', 'vanishes']) await kube.create(configMapKind, object(name));
  await withInformer(kube, async (seen) => {
    kube.compact();
    await kube.patch(configMapKind, key('changes'), { data: { x: 'y' } });
    await kube.delete(configMapKind, key('vanishes'));
    await until('both', () => seen.length === 5);
    assert.deepEqual(seen.slice(3).sort(), ['deleted vanishes', 'modified changes']);
  });
});

test('a source that fails is asked again', async () => {
  const kube = new FakeKube();
  await kube.create(configMapKind, object('a'));
  let failures = 2;
  const flaky: KubeSource = Object.create(kube, {
    list: {
      value: (...args: Parameters<KubeSource['list']>) =>
        failures-- > 0 ? Promise.reject(new Error('away')) : kube.list(args[0]),
    },
    watch: { value: kube.watch.bind(kube) },
  });
  await withInformer(flaky, async (seen) => assert.deepEqual(seen, ['added a']));
});

test('many changes at once leave turns of the event loop to others', async () => {
  const kube = new FakeKube();
  const stop = new AbortController();
  /** In which turn of the event loop each change was told of. */
  const told: number[] = [];
  let turn = 0;
  const next = () => {
    turn++;
    if (told.length < 50) setImmediate(next);
  };
  const added = () => {
    told.push(turn);
    const began = performance.now();
    while (performance.now() - began < 1);
  };
  const options = { source: kube, kind: configMapKind, log: silentLogger, signal: stop.signal, handlers: { added } };
  await createInformer(options).synced;
  next();
  await Promise.all(Array.from({ length: 50 }, (_, i) => kube.create(configMapKind, object(String(i)))));
  await until('all told', () => told.length === 50);
  stop.abort();
  const most = Math.max(...told.map((t) => told.filter((other) => other === t).length));
  // Five fit into a share of 4 ms; what is left of one and the next may come between two steps of our count.
  assert.ok(most <= 10, `${most} of them were told of in one turn`);
});
