import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { millis } from '../../core/brand.ts';
import { type Clock, systemClock } from '../../core/clock.ts';
import { MeshError } from '../../core/errors.ts';
import { silentLogger } from '../../core/log.ts';
import { FakeClock } from '../../testing/fake-clock.ts';
import { until } from '../../testing/until.ts';
import { createInformer } from '../informer.ts';
import { configMapKind, namespaceKind, podKind, serviceKind } from '../kinds/core.ts';
import { authorizationPolicyKind } from '../kinds/security.ts';
import { formatProblem } from '../manifests/problem.ts';
import { testKubeSource } from '../testing/source-compliance.ts';
import type { Kind, KubeObject, WatchEvent } from '../types.ts';
import { createFolderSource, type FolderSource } from './folder-source.ts';

interface World {
  readonly dir: string;
  put(file: string, text: string): Promise<void>;
  open(clock?: Clock): Promise<FolderSource>;
  /** The first event of the kind from now on that fits. */
  next<T extends KubeObject>(
    source: FolderSource,
    kind: Kind<T>,
    wanted: (e: Exclude<WatchEvent<T>, { type: 'BOOKMARK' }>) => boolean,
    after: () => Promise<unknown>,
  ): Promise<T>;
}

async function withWorld(body: (w: World) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'aq-folder-'));
  const stop = new AbortController();
  const world: World = {
    dir,
    async put(file, text) {
      await mkdir(dirname(join(dir, file)), { recursive: true });
      await writeFile(join(dir, '.tmp'), text);
      await rename(join(dir, '.tmp'), join(dir, file));
    },
    open: (clock = systemClock) => createFolderSource({ dir, log: silentLogger, signal: stop.signal, clock }),
    async next(source, kind, wanted, after) {
      const { resourceVersion } = await source.list(kind, stop.signal);
      const events = source.watch(kind, resourceVersion, AbortSignal.any([stop.signal, AbortSignal.timeout(5_000)]));
      await after();
      for await (const e of events) if (e.type !== 'BOOKMARK' && wanted(e)) return e.object;
      throw new Error('the awaited event did not come');
    },
  };
  try {
    await body(world);
  } finally {
    stop.abort();
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

testKubeSource('the folder source', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'aq-folder-'));
  const stop = new AbortController();
  const open = () => createFolderSource({ dir, log: silentLogger, signal: stop.signal });
  return {
    source: await open(),
    other: await open(),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
});

const policy = (name: string, action = 'DENY', namespace = 'shop') => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  action: ${action}
`;
const namespaceYaml = (name: string) => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}}\n`;
const shop = { namespace: 'shop', name: 'p' };

const rejectsWith = (promise: Promise<unknown>, code: string, text: RegExp) =>
  assert.rejects(promise, (e) => e instanceof MeshError && e.code === code && text.test(e.message));

test('manifests at any depth and in several documents are served', () =>
  withWorld(async (w) => {
    await w.put('all.yaml', `${namespaceYaml('shop')}---\n---\n${policy('p')}`);
    await w.put('deep/er/more.yml', policy('q'));
    await w.put('.hidden/no.yaml', policy('hidden'));
    const source = await w.open();
    const { items } = await source.list(authorizationPolicyKind, AbortSignal.timeout(1000));
    assert.deepEqual(
      items.map((i) => i.metadata.name),
      ['p', 'q'],
    );
    assert.deepEqual(source.problems(), []);
  }));

test('a bad document is reported with its place, the rest is served', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaceYaml('shop'));
    await w.put('bad.yaml', `${policy('p')}---\n${policy('q').replace('action:', 'acton:')}---\n{ not: [yaml\n`);
    const source = await w.open();
    assert.ok(await source.get(authorizationPolicyKind, shop));
    assert.equal(await source.get(authorizationPolicyKind, { namespace: 'shop', name: 'q' }), undefined);
    const problems = source.problems().map(formatProblem);
    assert.equal(
      problems[0],
      'bad.yaml:13:3: AuthorizationPolicy shop/q: spec.acton: unknown field; did you mean "action"?',
    );
    assert.match(problems[1] ?? '', /^bad\.yaml:\d+:\d+: not valid YAML: /);
  }));

test('the last good object stays while its new text is bad, also over a restart', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaceYaml('shop'));
    await w.put('p.yaml', policy('p'));
    const source = await w.open();
    await w.put('p.yaml', policy('p', 'FORBID'));
    await w.next(
      source,
      namespaceKind,
      (e) => e.object.metadata.name === 'later',
      () => w.put('z.yaml', namespaceYaml('later')),
    );
    await until('the copy', () =>
      existsSync(join(w.dir, '.objects/.lastgood/authorizationpolicies.security.istio.io/shop/p.json')),
    );
    const restarted = await w.open();
    for (const s of [source, restarted]) {
      assert.equal((await s.get(authorizationPolicyKind, shop))?.spec?.action, 'DENY');
      assert.match(formatProblem(s.problems()[0]!), /spec\.action: "FORBID" is not allowed/);
    }
    await w.next(
      restarted,
      authorizationPolicyKind,
      (e) => e.object.spec?.action === 'ALLOW',
      () => w.put('p.yaml', policy('p', 'ALLOW')),
    );
    assert.deepEqual(restarted.problems(), []);
    assert.equal((await restarted.get(authorizationPolicyKind, shop))?.metadata.generation, 2);
  }));

test('of two definitions the first file wins and the other is reported', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaceYaml('shop'));
    await w.put('a.yaml', policy('p', 'ALLOW'));
    await w.put('b.yaml', policy('p', 'DENY'));
    const source = await w.open();
    assert.equal((await source.get(authorizationPolicyKind, shop))?.spec?.action, 'ALLOW');
    assert.match(formatProblem(source.problems()[0]!), /^b\.yaml:2:1: .*already defined at a\.yaml:2/);
    await w.next(
      source,
      authorizationPolicyKind,
      (e) => e.object.spec?.action === 'DENY',
      () => rm(join(w.dir, 'a.yaml')),
    );
    assert.deepEqual(source.problems(), []);
  }));

test('objects of a namespace that does not exist are withheld until it does', () =>
  withWorld(async (w) => {
    await w.put('p.yaml', policy('p'));
    const source = await w.open();
    assert.equal(await source.get(authorizationPolicyKind, shop), undefined);
    assert.match(formatProblem(source.problems()[0]!), /namespace "shop" does not exist/);
    await w.next(
      source,
      authorizationPolicyKind,
      (e) => e.type === 'ADDED',
      () => w.put('ns.yaml', namespaceYaml('shop')),
    );
    assert.deepEqual(source.problems(), []);
    await rejectsWith(
      source.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x', namespace: 'nope' } }),
      'NOT_FOUND',
      /namespace "nope" does not exist/,
    );
  }));

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'a', namespace: 'default' },
  spec: { containers: [{ name: 'c', image: 'x' }] },
};
const podKey = { namespace: 'default', name: 'a' };

test('create, patch, status and delete of a program object, seen by another process', () =>
  withWorld(async (w) => {
    const source = await w.open();
    const other = await w.open();
    const created = await w.next(
      other,
      podKind,
      (e) => e.type === 'ADDED',
      () => source.create(podKind, pod),
    );
    assert.match(created.metadata.uid, /^[0-9a-f-]{36}$/);
    await rejectsWith(other.create(podKind, pod), 'CONFLICT', /exists already/);
    const patched = await other.patch(podKind, podKey, {
      metadata: { annotations: { a: '1' }, name: 'other', uid: 'x' },
      status: { phase: 'Running' },
    });
    assert.equal(patched.metadata.uid, created.metadata.uid);
    assert.equal(patched.metadata.name, 'a');
    assert.equal(patched.status, undefined);
    const status = await source.patch(
      podKind,
      podKey,
      { metadata: { annotations: null }, status: { phase: 'Running' } },
      { subresource: 'status' },
    );
    assert.deepEqual(status.metadata.annotations, { a: '1' });
    assert.equal(status.status?.phase, 'Running');
    assert.equal(status.metadata.generation, 1);
    await rejectsWith(source.patch(podKind, podKey, { spec: { bogus: 1 } }), 'CONFIG', /spec\.bogus: unknown field/);
    await rejectsWith(source.patch(podKind, podKey, {}, { resourceVersion: 'old' }), 'CONFLICT', /has changed since/);
    await w.next(
      other,
      podKind,
      (e) => e.type === 'DELETED',
      () => source.delete(podKind, podKey),
    );
    assert.equal(await other.get(podKind, podKey), undefined);
    await source.delete(podKind, podKey);
    await rejectsWith(other.patch(podKind, podKey, {}), 'NOT_FOUND', /Pod default\/a does not exist/);
    const again = await other.create(podKind, pod);
    assert.notEqual(again.metadata.uid, created.metadata.uid);
  }));

test('a patch of a user object is laid over the manifest, survives its edits and goes with it', () =>
  withWorld(async (w) => {
    const text = (port: number) =>
      `apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: ${port}}]}\n`;
    const key = { namespace: 'default', name: 'web' };
    await w.put('svc.yaml', text(80));
    const source = await w.open();
    await source.patch(serviceKind, key, { spec: { clusterIP: '10.96.0.5' } });
    await w.next(
      source,
      serviceKind,
      (e) => e.object.spec.ports?.[0]?.port === 81,
      () => w.put('svc.yaml', text(81)),
    );
    const restarted = await w.open();
    const found = await restarted.get(serviceKind, key);
    assert.equal(found?.spec.clusterIP, '10.96.0.5');
    assert.equal(found?.spec.ports?.[0]?.port, 81);
    await rejectsWith(source.delete(serviceKind, key), 'CONFIG', /defined in svc\.yaml:1/);
    await w.next(
      source,
      serviceKind,
      (e) => e.type === 'DELETED',
      () => rm(join(w.dir, 'svc.yaml')),
    );
    await w.next(
      restarted,
      serviceKind,
      (e) => e.type === 'ADDED',
      () => w.put('svc.yaml', text(80)),
    );
  }));

test('a Namespace takes its program objects along', () =>
  withWorld(async (w) => {
    const source = await w.open();
    const inShop = { ...pod, metadata: { name: 'a', namespace: 'shop' } };
    await source.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
    await source.create(podKind, inShop);
    await w.next(
      source,
      podKind,
      (e) => e.type === 'DELETED',
      () => source.delete(namespaceKind, { name: 'shop' }),
    );
    await source.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
    await source.create(podKind, inShop);
  }));

test('a version of another process, or one that is too old, is GONE', () =>
  withWorld(async (w) => {
    const [a, b] = [await w.open(), await w.open()];
    const { resourceVersion } = await a.list(podKind, AbortSignal.timeout(1000));
    for (const version of [resourceVersion, '0', 'nonsense']) {
      const events = b.watch(podKind, version, AbortSignal.timeout(1000))[Symbol.asyncIterator]();
      await rejectsWith(events.next(), 'GONE', /not kept any more/);
    }
  }));

test('an in-place rewrite never shows the objects as deleted', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaceYaml('shop'));
    await w.put('p.yaml', policy('p'));
    const source = await w.open();
    const stop = new AbortController();
    const deleted: string[] = [];
    const informer = createInformer({
      source,
      kind: authorizationPolicyKind,
      log: silentLogger,
      signal: stop.signal,
      handlers: { deleted: (o) => void deleted.push(o.metadata.name) },
    });
    await informer.synced;
    await w.next(
      source,
      authorizationPolicyKind,
      (e) => e.object.spec?.action === 'ALLOW',
      () => writeFile(join(w.dir, 'p.yaml'), policy('p', 'ALLOW')),
    );
    stop.abort();
    assert.deepEqual(deleted, []);
    assert.equal(informer.get(shop)?.spec?.action, 'ALLOW');
  }));

test('a file that is removed counts as gone only when it has stayed away', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaceYaml('shop'));
    await w.put('p.yaml', policy('p'));
    const clock = new FakeClock();
    const source = await w.open(clock);
    await rm(join(w.dir, 'p.yaml'));
    // Seen after the removal, which therefore has been read.
    await w.next(
      source,
      namespaceKind,
      (e) => e.object.metadata.name === 'later',
      () => w.put('z.yaml', namespaceYaml('later')),
    );
    assert.ok(await source.get(authorizationPolicyKind, shop));
    await w.next(
      source,
      authorizationPolicyKind,
      (e) => e.type === 'DELETED',
      async () => clock.advance(millis(100)),
    );
  }));

test('folders that appear and vanish are followed', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaceYaml('shop'));
    const source = await w.open();
    await w.next(
      source,
      authorizationPolicyKind,
      (e) => e.type === 'ADDED',
      () => w.put('sub/dir/p.yaml', policy('p')),
    );
    await w.next(
      source,
      authorizationPolicyKind,
      (e) => e.type === 'DELETED',
      () => rename(join(w.dir, 'sub'), join(w.dir, '.away')),
    );
  }));

test('a missing folder is an error that says what to do', async () => {
  await rejectsWith(
    createFolderSource({ dir: '/nonexistent/aq', log: silentLogger, signal: AbortSignal.timeout(1000) }),
    'CONFIG',
    /not a folder.*AQUIFER_KUBE_DIR/,
  );
});

test('no temporary files are left behind', () =>
  withWorld(async (w) => {
    const source = await w.open();
    await source.create(podKind, pod);
    await source.patch(podKind, podKey, { metadata: { labels: { a: 'b' } } });
    const files = await readdir(join(w.dir, '.objects/pods.core/default'));
    assert.deepEqual(files.sort(), ['a@1.json', 'a@2.json']);
  }));

test('a write to an object whose manifest goes at the same moment gives the object, or says that there is none', () =>
  withWorld(async (w) => {
    const source = await w.open();
    await w.put('shop.yaml', namespaceYaml('shop'));
    for (let i = 0; i < 40; i++) {
      await w.put('p.yaml', policy('p'));
      await until('it is served', async () => (await source.get(authorizationPolicyKind, shop)) !== undefined);
      const patch = source.patch(
        authorizationPolicyKind,
        shop,
        { status: { observedGeneration: String(i) } },
        { subresource: 'status' },
      );
      for (let turns = 0; turns < i; turns++) await new Promise((resolve) => setImmediate(resolve));
      const [written] = await Promise.allSettled([patch, rm(join(w.dir, 'p.yaml'))]);
      if (written.status === 'fulfilled') assert.equal(written.value.metadata.name, 'p');
      else assert.ok(written.reason instanceof MeshError && written.reason.code === 'NOT_FOUND', written.reason);
      await until('it is gone', async () => (await source.get(authorizationPolicyKind, shop)) === undefined);
    }
  }));
