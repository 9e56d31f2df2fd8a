import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import { silentLogger } from '../../common/core/log.ts';
import { inClusterAccess } from '../../common/kube/client/access.ts';
import { createKubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { createInformer, type Informer } from '../../common/kube/informer.ts';
import { type ConfigMap, configMapKind, namespaceKind } from '../../common/kube/kinds/core.ts';
import { testKubeSource } from '../../common/kube/testing/source-compliance.ts';
import type { Kind, KubeObject, KubeSource } from '../../common/kube/types.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { until } from '../../common/testing/until.ts';
import { Admission } from './admission/admission.ts';
import { builtInResources } from './kinds/table.ts';
import { createLocalSource } from './local-source.ts';
import { Registry } from './resources/registry.ts';
import { Rest } from './rest/rest.ts';
import { openStore } from './storage/store.ts';
import { startTestServer, type TestServer } from './testing/client.ts';
import { type FaultProxy, startFaultProxy } from './testing/fault-proxy.ts';
import { MemoryJournal } from './testing/memory-journal.ts';

testKubeSource('the API client', async () => {
  const server = await startTestServer();
  const access = loadKubeconfig(server.server.kubeconfig);
  const [source, other] = [createKubeClient({ access }), createKubeClient({ access })];
  return {
    source,
    other,
    async [Symbol.asyncDispose]() {
      source.close();
      other.close();
      await server[Symbol.asyncDispose]();
    },
  };
});

testKubeSource('the source inside the API server', async () => {
  const store = await openStore(new MemoryJournal());
  const registry = new Registry(builtInResources);
  const rest = new Rest({ store, admission: new Admission([]), clock: systemClock, newUid: randomUUID });
  const source = createLocalSource(rest, registry);
  await source.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
  return { source, other: source, [Symbol.asyncDispose]: () => store.close() };
});

interface Faulty extends AsyncDisposable {
  readonly server: TestServer;
  readonly proxy: FaultProxy;
  /** Past the proxy. */
  readonly direct: KubeSource;
  /** `n` of each version of the ConfigMap `a`, in the order in which the informer told of them. */
  readonly seen: string[];
  readonly informer: Informer<ConfigMap>;
}

async function openFaulty(): Promise<Faulty> {
  const server = await startTestServer();
  const proxy = await startFaultProxy(server.client);
  const direct = createKubeClient({ access: loadKubeconfig(server.server.kubeconfig) });
  const source = createKubeClient({ access: proxy.access });
  const stop = new AbortController();
  const seen: string[] = [];
  const note = (o: ConfigMap) => {
    if (o.metadata.name === 'a') seen.push(o.data?.['n'] ?? '');
  };
  const handlers = { added: note, modified: note };
  const options = { source, kind: configMapKind, log: silentLogger, signal: stop.signal, handlers };
  await direct.create(configMapKind, configMap('0'));
  const informer = createInformer(options);
  await informer.synced;
  return {
    server,
    proxy,
    direct,
    seen,
    informer,
    async [Symbol.asyncDispose]() {
      stop.abort();
      source.close();
      direct.close();
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const key = { namespace: 'default', name: 'a' };
const configMap = (n: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: key, data: { n } });
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => String(from + i));

async function write(direct: KubeSource, from: number, to: number): Promise<void> {
  for (const n of numbers(from, to)) await direct.patch(configMapKind, key, { data: { n } });
}

const patience = 30_000;

test('connections that break anywhere, also in the middle of an event, lose and repeat nothing', async () => {
  await using w = await openFaulty();
  let bytes = 0;
  // An event has some hundred bytes: the cuts come before, within and after one, or after several.
  w.proxy.fault = ({ watch }) => {
    bytes = (bytes + 1237) % 6000;
    return watch ? { kind: 'cut', after: 1 + bytes } : undefined;
  };
  w.proxy.cutAll();
  await write(w.direct, 1, 150);
  await until('enough watches to be cut', () => w.proxy.requests.length > 8, patience);
  w.proxy.fault = () => undefined;
  await write(w.direct, 151, 152);
  await until('the last change', () => w.seen.at(-1) === '152', patience);
  assert.deepEqual(w.seen, numbers(0, 152));
  assert.equal(w.proxy.requests.filter((r) => !r.includes('watch=true')).length, 1, 'it was listed once');
});

test('500s, pages of a proxy and refusals of the token are waited out', async () => {
  await using w = await openFaulty();
  const answers = [
    { code: 500, body: '{"kind":"Status","message":"etcdserver: leader changed"}' },
    { code: 502, body: '<html>bad gateway</html>' },
    { code: 401, body: '{"kind":"Status","message":"Unauthorized"}' },
    { code: 200, body: 'not an event\n' },
    { code: 200, body: '' },
  ];
  w.proxy.fault = () => {
    const next = answers.shift();
    return next && { kind: 'answer', ...next };
  };
  w.proxy.cutAll();
  await write(w.direct, 1, 3);
  await until('the last change', () => w.seen.at(-1) === '3', patience);
  assert.deepEqual([w.seen, answers], [numbers(0, 3), []]);
});

for (const [how, code, body] of [
  ['as an answer', 410, '{"kind":"Status","code":410,"reason":"Expired","message":"too old"}'],
  [
    'as an event',
    200,
    '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n',
  ],
] as const) {
  test(`after 410 ${how} it is listed anew and the difference told`, async () => {
    await using w = await openFaulty();
    const other = { namespace: 'default', name: 'b' };
    await w.direct.create(configMapKind, { ...configMap(''), metadata: other });
    await until('b', () => w.informer.get(other) !== undefined, patience);
    let away = true;
    w.proxy.fault = ({ watch }) => {
      if (away) return { kind: 'answer', code: 503, body: '' };
      return watch && w.informer.get(other) !== undefined ? { kind: 'answer', code, body } : undefined;
    };
    w.proxy.cutAll();
    await write(w.direct, 1, 5);
    await w.direct.delete(configMapKind, other);
    away = false;
    await until('the last change', () => w.seen.at(-1) === '5', patience);
    assert.deepEqual([w.seen, w.informer.get(other)], [['0', '5'], undefined]);
  });
}

test('a list of many pages is whole, and taken anew where its first page is of a state that is gone', async () => {
  await using w = await openFaulty();
  const made = numbers(1, 1100).map((n) => ({ ...configMap(n), metadata: { namespace: 'default', name: `m-${n}` } }));
  for (let i = 0; i < made.length; i += 50)
    await Promise.all(made.slice(i, i + 50).map((m) => w.direct.create(configMapKind, m)));
  const source = createKubeClient({ access: w.proxy.access });
  for (const gone of [false, true]) {
    w.proxy.fault = ({ path }) =>
      gone && path.includes('continue=') ? { kind: 'answer', code: 410, body: '{"message":"too old"}' } : undefined;
    const { items } = await source.list(configMapKind, AbortSignal.timeout(patience));
    // Controllers put maps of their own beside them.
    const listed = items.map((i) => i.metadata.name).filter((name) => name.startsWith('m-'));
    assert.deepEqual([new Set(listed).size, listed.length], [1100, 1100]);
    assert.deepEqual([items[0]?.apiVersion, items[0]?.kind], ['v1', 'ConfigMap']);
  }
  source.close();
});

test('an answer that does not come is given up, of a list as of a watch', async () => {
  await using w = await openFaulty();
  const clock = new FakeClock();
  const source = createKubeClient({ access: w.proxy.access, clock });
  w.proxy.fault = () => ({ kind: 'silence' });
  const signal = AbortSignal.timeout(patience);
  for (const ask of [
    () => source.list(configMapKind, signal),
    () => source.watch(configMapKind, '1', signal)[Symbol.asyncIterator]().next(),
    () => source.get(configMapKind, key),
  ]) {
    const asked = w.proxy.requests.length;
    const answer = assert.rejects(ask(), (e) => e instanceof MeshError && /no answer within 30 s/.test(e.message));
    await until('the request', () => w.proxy.requests.length > asked, patience);
    clock.advance(30_000);
    await answer;
  }
  source.close();
});

test('a kind that the server does not have is empty', async () => {
  await using w = await openFaulty();
  const kind: Kind<KubeObject> = {
    group: 'example.com',
    version: 'v1',
    kind: 'Thing',
    plural: 'things',
    namespaced: true,
  };
  const stop = new AbortController();
  const source = createKubeClient({ access: w.proxy.access });
  const informer = createInformer({ source, kind, log: silentLogger, signal: stop.signal });
  await informer.synced;
  assert.equal(informer.objects.size, 0);
  stop.abort();
  source.close();
});

test('a pod asks with the files of its service account, and with the new token once it is replaced', async () => {
  await using server = await startTestServer();
  const { ca, token, server: address } = server.client.config;
  const folder = await mkdtemp(join(tmpdir(), 'aq-account-'));
  await writeFile(join(folder, 'ca.crt'), ca);
  await writeFile(join(folder, 'namespace'), 'kube-system');
  await writeFile(join(folder, 'token'), 'not yet valid');
  const { hostname: host, port } = new URL(address);
  const clock = new FakeClock();
  const source = createKubeClient({ access: inClusterAccess({ host, port, folder }), clock });
  await assert.rejects(source.get(namespaceKind, { name: 'default' }), /Unauthorized/);
  await writeFile(join(folder, 'token'), `${token}\n`);
  clock.advance(10_001);
  assert.equal((await source.get(namespaceKind, { name: 'default' }))?.metadata.name, 'default');
  const made = await source.create(configMapKind, { ...configMap('0'), metadata: { name: 'm' } });
  assert.equal(made.metadata.namespace, 'kube-system');
  source.close();
  await rm(folder, { recursive: true });
});

test('a server that the CA does not vouch for gets no token', async () => {
  await using server = await startTestServer();
  await using stranger = await startTestServer();
  const access = { ...loadKubeconfig(server.server.kubeconfig), server: new URL(stranger.client.config.server) };
  const source = createKubeClient({ access });
  await assert.rejects(source.get(namespaceKind, { name: 'default' }), /certificate/);
  source.close();
});
