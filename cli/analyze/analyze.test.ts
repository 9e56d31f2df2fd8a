import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { createLogger, LogLevels } from '../../common/core/log.ts';
import { createKubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { virtualServiceKind } from '../../common/kube/kinds/istio/virtual-service.ts';
import { startTestServer } from '../../istiod/apiserver/testing/client.ts';
import { installDefinitions } from '../../istiod/crds/install.ts';
import { aquifer as run } from '../testing/run.ts';
import { parseSuppressions, suppresses } from './suppressions.ts';

const aquifer = (args: readonly string[], input = '') => run(['analyze', ...args], { input });

const route = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
  - route:
    - destination: {host: web}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {ports: [{name: foo, port: 80}]}
`;

test('files alone: code, object, place, field; thresholds and exit codes', async () => {
  const alone = ['--use-kube=false', '-'];
  const all = await aquifer(alone, route);
  assert.equal(all.code, 79);
  const [first, second, sum] = all.out.split('\n');
  assert.match(
    first!,
    /^Error \[IST0101\] \(VirtualService default\/web stdin:8:27\) spec\.http\[0\]\.route\[0\]\.destination\.host: the host web/,
  );
  assert.match(second!, /^Info \[IST0118\] \(Service default\/api stdin:13:23\) spec\.ports\[0\]\.name: /);
  assert.equal(sum, '2 objects analyzed: 2 messages');
  assert.equal((await aquifer([...alone, '-S', 'IST0101=VirtualService web.*'], route)).code, 0);
  assert.equal((await aquifer([...alone, '-S', 'IST0101=*', '-A'], route)).code, 64);
  const json = await aquifer([...alone, '-o', 'json', '--output-threshold', 'error'], route);
  assert.deepEqual(
    (JSON.parse(json.out) as { code: string; reference: string }[]).map((m) => [m.code, m.reference]),
    [['IST0101', 'stdin:8:27']],
  );
  assert.equal((await aquifer([...alone, '-n', 'other'], route)).code, 79);
  assert.equal((await aquifer(['--use-kube=false'])).code, 64);
  assert.equal((await aquifer([])).code, 1);
});

test('some analyzers, one revision, another root namespace', async () => {
  const alone = ['--use-kube=false', '-'];
  const one = await aquifer([...alone, '--analyzer', 'service.PortNames', '-v'], route);
  assert.deepEqual([one.code, one.out.match(/IST\d+/g)], [0, ['IST0118']], one.out);
  assert.match(one.err, /^read VirtualService web: stdin$/m);
  assert.match(one.err, /^analyzers: service\.PortNames$/m);
  assert.equal((await aquifer([...alone, '--analyzer', 'x'], route)).code, 64);
  const labelled = route.replace('{name: web}', '{name: web, labels: {istio.io/rev: canary}}');
  assert.equal((await aquifer(alone, labelled)).code, 0, 'of another revision');
  assert.equal((await aquifer([...alone, '-r', 'canary'], labelled)).code, 79);
  const broken = `${route}---\nnot an object\n`;
  assert.equal((await aquifer([...alone, '-S', 'IST0101=* *'], broken)).code, 79);
  assert.equal((await aquifer([...alone, '-S', 'IST0101=* *', '--ignore-unknown'], broken)).code, 0);
  const folder = await mkdtemp(join(tmpdir(), 'aquifer-analyze-'));
  try {
    const file = join(folder, 'mesh.yaml');
    await writeFile(file, 'rootNamespace: roots\n');
    const said = await aquifer([...alone, '--meshConfigFile', file, '-v'], route);
    assert.match(said.err, /root namespace roots$/m);
    await writeFile(file, 'rootNamespace: [1]\n');
    assert.equal((await aquifer([...alone, '--meshConfigFile', file], route)).code, 1);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a cluster, and files as if they were applied to it', async () => {
  await using server = await startTestServer();
  const { kubeconfig } = server.server;
  const client = createKubeClient({ access: loadKubeconfig(kubeconfig) });
  const sink = { levels: new LogLevels('off'), format: 'plain' as const, write: () => undefined };
  await installDefinitions(client, systemClock, createLogger(sink, 'test'));
  const object = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'web', namespace: 'default' },
    spec: { hosts: ['web'], http: [{ route: [{ destination: { host: 'web' } }] }] },
  };
  await client.create(virtualServiceKind, object);
  client.close();
  const live = ['--kubeconfig', kubeconfig, '-n', 'default'];
  const found = await aquifer(live);
  assert.equal(found.code, 79);
  assert.match(found.out, /^Error \[IST0101\] \(VirtualService default\/web\) .*the host web/m);
  const service = 'apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{name: http, port: 80}]}\n';
  const mended = await aquifer([...live, '-'], service);
  assert.equal(mended.code, 0, mended.out + mended.err);
  const nobody = await aquifer([...live, '--as', 'system:serviceaccount:default:nobody']);
  assert.match(nobody.out, /IST0136|InsufficientPermissions|cannot be read/, nobody.out + nobody.err);
  assert.deepEqual((await aquifer([...live, '--as-group', 'g'])).code, 64, 'a group without a user');
  assert.equal((await aquifer([...live, '--kubeclient-timeout', 'soon'])).code, 64);
});

test('suppressions name code, kind and object', () => {
  const object = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'a', namespace: 'b', uid: '', resourceVersion: '' },
  };
  const is = (text: string) => suppresses(parseSuppressions([text])[0]!, 'IST0118', object);
  assert.deepEqual(['IST0118=Service a.b', 'IST0118=Service *.b', '*=Service a.b', 'IST0118=* a*'].map(is), [
    true,
    true,
    true,
    true,
  ]);
  assert.deepEqual(['IST0118=Service a', 'IST0102=Service a.b', 'IST0118=Pod a.b'].map(is), [false, false, false]);
  assert.throws(() => parseSuppressions(['IST0118']), /expected CODE=KIND NAME/);
});
