import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { createKubeClient, type KubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { type ConfigMap, configMapKind, namespaceKind } from '../../common/kube/kinds/core.ts';
import { formatProblem } from '../../common/kube/manifests/problem.ts';
import { until } from '../../common/testing/until.ts';
import { openTestApi } from '../testing/api-server.ts';
import { type Manifests, startManifests } from './manifests.ts';

interface World {
  readonly client: KubeClient;
  put(file: string, text: string): Promise<void>;
  remove(file: string): Promise<void>;
  start(): Promise<Manifests>;
  /** As if the process had ended. */
  stop(): void;
  read(name: string, namespace?: string): Promise<ConfigMap | undefined>;
}

async function withWorld(body: (w: World) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'aq-manifests-'));
  const folder = join(dir, 'files');
  await mkdir(folder);
  await using server = await openTestApi();
  const client = createKubeClient({ access: loadKubeconfig(server.kubeconfig) });
  let stop = new AbortController();
  const options = { dir: folder, stateFile: join(dir, 'state.json'), client, clock: systemClock, log: silentLogger };
  try {
    await body({
      client,
      async put(file, text) {
        await mkdir(dirname(join(folder, file)), { recursive: true });
        await writeFile(join(dir, 'staged'), text);
        await rename(join(dir, 'staged'), join(folder, file));
      },
      remove: (file) => rm(join(folder, file), { recursive: true }),
      start() {
        stop = new AbortController();
        return startManifests({ ...options, signal: stop.signal });
      },
      stop: () => stop.abort(),
      read: (name, namespace = 'default') => client.get(configMapKind, { namespace, name }),
    });
  } finally {
    stop.abort();
    client.close();
    await rm(dir, { recursive: true });
  }
}

const configMap = (name: string, n: string, namespace = 'default') =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, namespace: ${namespace}}\ndata: {n: "${n}"}\n`;
const shop = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n';
const patience = 30_000;

test('what the files say at the start is there when it has started, and changes are followed', () =>
  withWorld(async (w) => {
    await w.put('a.yaml', configMap('a', '1', 'shop'));
    await w.put('deep/z.yml', shop);
    await w.put('.hidden/h.yaml', configMap('h', '1'));
    const manifests = await w.start();
    assert.equal((await w.read('a', 'shop'))?.data?.['n'], '1');
    assert.deepEqual([await w.read('h'), manifests.problems()], [undefined, []]);
    await w.put('a.yaml', configMap('a', '2', 'shop'));
    await until('the change', async () => (await w.read('a', 'shop'))?.data?.['n'] === '2', patience);
    await w.put('a.yaml', configMap('b', '1', 'shop'));
    await until('the other object', () => w.read('b', 'shop'), patience);
    await until('the first to go', async () => !(await w.read('a', 'shop')), patience);
    await w.put('new/c.yaml', configMap('c', '1'));
    await until('a new file in a new folder', () => w.read('c'), patience);
    await w.remove('new');
    await until('it to go with its folder', async () => !(await w.read('c')), patience);
    await w.remove('a.yaml');
    await until('the file to go', async () => !(await w.read('b', 'shop')), patience);
    assert.ok(await w.client.get(namespaceKind, { name: 'shop' }));
  }));

test('fields that others set stay, those that a file drops go', () =>
  withWorld(async (w) => {
    await w.put('a.yaml', configMap('a', '1').replace('{n:', '{gone: x, n:'));
    await w.start();
    await w.client.patch(configMapKind, { namespace: 'default', name: 'a' }, { data: { theirs: 'y', n: 'theirs' } });
    await w.put('a.yaml', configMap('a', '2'));
    await until('the change', async () => (await w.read('a'))?.data?.['n'] === '2', patience);
    assert.deepEqual((await w.read('a'))?.data, { theirs: 'y', n: '2' });
  }));

test('a bad file is told with file, line and field, and the rest is applied', () =>
  withWorld(async (w) => {
    const pod =
      'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    image: i\n    imagePullPolicy: Sometimes\n';
    await w.put('bad.yaml', `${configMap('a', '1')}---\n${pod}`);
    await w.put('typo.yaml', configMap('t', '1').replace('\ndata:', '\ndta:'));
    await w.put('torn.yaml', '{ no: [yaml');
    await w.put('early.yaml', 'apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x}\n');
    await w.put('ok.yaml', configMap('ok', '1'));
    const manifests = await w.start();
    assert.ok((await w.read('a')) && (await w.read('ok')));
    const said = () => manifests.problems().map(formatProblem).sort();
    assert.match(said()[0]!, /^bad\.yaml:13:22: Pod p: spec\.containers\[0\]\.imagePullPolicy: /);
    assert.match(said()[1]!, /^early\.yaml:1:1: Thing x: the API server has no kind Thing in example\.com\/v1/);
    assert.match(said()[2]!, /^torn\.yaml:.*not valid YAML/);
    assert.match(said()[3]!, /^typo\.yaml:4:6: ConfigMap default\/t: dta: unknown field/);
    assert.equal(said().length, 4);
    // Bad now, good before: what was applied stays.
    await w.put('ok.yaml', '{ torn');
    await until('the problem', () => said().length === 5, patience);
    assert.ok(await w.read('ok'));
    await w.remove('bad.yaml');
    await w.remove('early.yaml');
    await w.put('typo.yaml', configMap('t', '1'));
    await w.put('ok.yaml', configMap('ok', '2'));
    await w.remove('torn.yaml');
    await until('no problem', () => said().length === 0, patience);
    assert.equal((await w.read('ok'))?.data?.['n'], '2');
  }));

test('what is refused is tried again: what it needs may come from elsewhere', () =>
  withWorld(async (w) => {
    await w.put('a.yaml', 'apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x, namespace: default}\n');
    const manifests = await w.start();
    assert.equal(manifests.problems().length, 1);
    const schema = { openAPIV3Schema: { type: 'object' } };
    await w.client.apply(
      {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: 'things.example.com' },
        spec: {
          group: 'example.com',
          scope: 'Namespaced',
          names: { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' },
          versions: [{ name: 'v1', served: true, storage: true, schema }],
        },
      },
      { fieldManager: 'test', force: false },
    );
    await until('no problem', () => manifests.problems().length === 0, patience);
  }));

test('a file that goes while nobody looks takes its objects along at the next start', () =>
  withWorld(async (w) => {
    await w.put('a.yaml', `${shop}---\n${configMap('a', '1', 'shop')}`);
    await w.put('b.yaml', configMap('b', '1'));
    await w.start();
    w.stop();
    await w.remove('a.yaml');
    await w.start();
    assert.ok(await w.read('b'));
    await until('the object to go', async () => !(await w.read('a', 'shop')), patience);
  }));
