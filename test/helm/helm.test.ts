/** The real helm: charts of our own and of others come, change, fail, go back and go. Kubelets are played. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type FakeKubelet, startKubelet } from '../../istiod/apiserver/controllers/testing/kubelet.ts';
import { readKubeconfig, startTestServer, TestClient, type TestServer } from '../../istiod/apiserver/testing/client.ts';
import { chartPath, Helm, skipWithoutHelm } from '../harness/helm.ts';
import { Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';

const shop = join(import.meta.dirname, 'shop');
const waiting = ['--wait', '--timeout', '60s'];

describe('helm', { skip: skipWithoutHelm() || skipWithoutKubectl() }, () => {
  let server: TestServer;
  let helm: Helm;
  let kubectl: Kubectl;
  let kubelet: FakeKubelet;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'aquifer-helm-'));
    server = await startTestServer();
    helm = new Helm(server.server.kubeconfig);
    kubectl = new Kubectl(server.server.kubeconfig);
    const client = new TestClient(await readKubeconfig(server.server.kubeconfig));
    kubelet = await startKubelet(client, ['node-1'], ({ spec }) => {
      const { image } = spec.containers[0];
      return image === 'broken'
        ? 'fail-to-start'
        : image === 'fails'
          ? 'fail'
          : /ends|busybox/.test(image)
            ? 'succeed'
            : 'run';
    });
  });
  after(async () => {
    await kubelet.stop();
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  const field = (what: readonly string[], path: string) => kubectl.ok(['get', ...what, '-o', `jsonpath={${path}}`]);
  const history = async (release: string, namespace = 'default') =>
    (JSON.parse(await helm.ok(['history', release, '-n', namespace, '-o', 'json'])) as { status: string }[]).map(
      (r) => r.status,
    );

  test('a chart with hooks: install, test, upgrade, get, history, rollback, uninstall', async () => {
    const space = ['-n', 'shop'];
    await helm.ok(['install', 'shop', shop, ...space, '--create-namespace', '--wait-for-jobs', ...waiting]);
    assert.equal(await field(['deploy', 'shop-web', ...space], '.status.readyReplicas'), '2');
    assert.equal(await field(['job', 'shop-migrate', ...space], '.status.succeeded'), '1');
    assert.equal(await field(['cm', 'shop-settings', ...space], '.data.knowsJobs'), 'true');
    assert.equal(await field(['pvc', 'data-shop-db-0', ...space], '.status.phase'), 'Pending');
    const key = await field(['secret', 'shop-key', ...space], '.data.key');
    assert.match(await helm.ok(['list', '-A']), /^shop\s+shop\s+1\s.*deployed\s+shop-1\.0\.0/m);
    assert.match(await helm.ok(['test', 'shop', ...space]), /^Phase:\s+Succeeded$/m);

    await helm.ok(['upgrade', 'shop', shop, ...space, '--set', 'image=other,replicas=3', ...waiting]);
    assert.equal(await field(['deploy', 'shop-web', ...space], '.status.updatedReplicas'), '3');
    assert.equal(await field(['secret', 'shop-key', ...space], '.data.key'), key);
    assert.match(await helm.ok(['get', 'values', 'shop', ...space]), /image: other\nreplicas: 3/);
    assert.match(await helm.ok(['get', 'manifest', 'shop', ...space]), /image: other/);
    assert.match(await helm.ok(['get', 'hooks', 'shop', ...space]), /pre-install,pre-upgrade/);
    assert.deepEqual(await history('shop', 'shop'), ['superseded', 'deployed']);

    await helm.ok(['rollback', 'shop', '1', ...space, ...waiting]);
    assert.equal(await field(['deploy', 'shop-web', ...space], '.spec.template.spec.containers[0].image'), 'web');
    assert.deepEqual(await history('shop', 'shop'), ['superseded', 'superseded', 'deployed']);

    await helm.ok(['uninstall', 'shop', ...space, ...waiting]);
    assert.equal(await kubectl.ok(['get', 'deploy,sts,svc,secret,pdb', ...space, '-o', 'name']), '');
    assert.equal(await field(['cm', 'shop-farewell', ...space], '.data.was'), 'shop');
    assert.equal(await helm.ok(['list', '-aq', ...space]), '');
  });

  test('--atomic takes back what does not get ready; a hook that fails stops an upgrade', async () => {
    await helm.ok(['install', 'firm', shop, ...waiting]);
    const atomic = ['--atomic', '--timeout', '5s'];
    const broken = await helm.run(['upgrade', 'firm', shop, '--set', 'image=broken', ...atomic]);
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /release firm failed, and has been rolled back due to atomic being set/);
    assert.equal(await field(['deploy', 'firm-web'], '.spec.template.spec.containers[0].image'), 'web');
    assert.deepEqual(await history('firm'), ['superseded', 'failed', 'deployed']);
    const failed = await helm.run(['upgrade', 'firm', shop, '--set', 'migration=fails', '--timeout', '20s']);
    assert.match(failed.stderr, /pre-upgrade hooks failed.*firm-migrate.*BackoffLimitExceeded/s);
    assert.equal((await history('firm')).at(-1), 'failed');
    const never = await helm.run(['install', 'never', shop, '--set', 'image=broken', ...atomic]);
    assert.match(never.stderr, /release never failed, and has been uninstalled due to atomic being set/);
    assert.equal(await kubectl.ok(['get', 'deploy', 'never-web', '--ignore-not-found']), '');
    await helm.ok(['uninstall', 'firm', '--wait']);
  });

  test('what helm refuses: names in use, what others own, objects that the server refuses', async () => {
    await helm.ok(['install', 'twice', shop]);
    assert.match((await helm.run(['install', 'twice', shop])).stderr, /cannot re-use a name that is still in use/);
    await kubectl.ok(['create', 'service', 'clusterip', 'owned-web', '--tcp=80']);
    const owned = await helm.run(['install', 'owned', shop]);
    assert.match(owned.stderr, /Service "owned-web" in namespace "default" exists and cannot be imported/);
    const wrong = await helm.run(['upgrade', 'twice', shop, '--set', 'replicas=-1']);
    assert.match(wrong.stderr, /spec\.replicas: -1 is out of range/);
    await helm.ok(['uninstall', 'twice']);
    await kubectl.ok(['delete', 'service', 'owned-web']);
  });

  test('template goes through kubectl apply, and dry runs ask the server', async () => {
    const rendered = await helm.ok(['template', 'plain', shop, '--no-hooks']);
    await kubectl.ok(['apply', '-f', '-'], rendered);
    await kubectl.ok(['rollout', 'status', 'deploy/plain-web', '--timeout=30s']);
    await kubectl.ok(['apply', '--server-side', '--force-conflicts', '-f', '-'], rendered);
    await kubectl.ok(['delete', '-f', '-'], rendered);
    assert.match(await helm.ok(['install', 'dry', shop, '--dry-run=server']), /^STATUS: pending-install$/m);
    assert.equal(await kubectl.ok(['get', 'deploy', 'dry-web', '--ignore-not-found']), '');
  });

  test("helm's own starter: autoscaling, Ingress, probes, test", async () => {
    await helm.ok(['create', join(folder, 'starter')]);
    const set = ['--set', 'autoscaling.enabled=true,ingress.enabled=true,ingress.className=nginx'];
    const chart = join(folder, 'starter');
    await helm.ok(['install', 'web', chart, ...waiting]);
    assert.match(await helm.ok(['test', 'web']), /^Phase:\s+Succeeded$/m);
    await helm.ok(['upgrade', 'web', chart, ...set, ...waiting]);
    assert.match(await kubectl.ok(['get', 'ingress,hpa']), /web-starter .*nginx[\s\S]*Deployment\/web-starter/);
    await helm.ok(['rollback', 'web', '1', ...waiting]);
    assert.equal(await kubectl.ok(['get', 'ingress,hpa', '-o', 'name']), '');
    await helm.ok(['uninstall', 'web', ...waiting]);
  });

  test('an operator of others: definitions of custom resources, roles, and an object of them', async () => {
    await helm.ok(['install', 'dask', chartPath(), '-n', 'dask', '--create-namespace', ...waiting]);
    await kubectl.ok(['wait', 'crd/daskclusters.kubernetes.dask.org', '--for=condition=Established', '--timeout=20s']);
    const account = '--as=system:serviceaccount:dask:dask-dask-kubernetes-operator';
    assert.equal((await kubectl.ok(['auth', 'can-i', 'create', 'pods', account])).trim(), 'yes');
    assert.equal((await kubectl.run(['auth', 'can-i', 'create', 'nodes', account])).stdout.trim(), 'no');
    const autoscaler = {
      apiVersion: 'kubernetes.dask.org/v1',
      kind: 'DaskAutoscaler',
      metadata: { name: 'a', namespace: 'dask' },
      spec: { cluster: 'c', minimum: 1, maximum: 2 },
    };
    await kubectl.ok(['apply', '-f', '-'], JSON.stringify(autoscaler));
    const wrong = { ...autoscaler, spec: { ...autoscaler.spec, minimum: 'one' } };
    const refused = await kubectl.run(['apply', '-f', '-'], JSON.stringify(wrong));
    assert.match(refused.stderr, /spec\.minimum/);
    const set = ['--set', 'rbac.cluster=false,kopfArgs={--namespace=dask}'];
    await helm.ok(['upgrade', 'dask', chartPath(), '-n', 'dask', ...set, ...waiting]);
    assert.equal((await kubectl.run(['auth', 'can-i', 'create', 'pods', account])).stdout.trim(), 'no');
    assert.equal((await kubectl.ok(['auth', 'can-i', 'create', 'pods', account, '-n', 'dask'])).trim(), 'yes');
    await helm.ok(['rollback', 'dask', '-n', 'dask', ...waiting]);
    await helm.ok(['uninstall', 'dask', '-n', 'dask', ...waiting]);
    await kubectl.ok(['delete', 'namespace', 'dask', '--timeout=30s']);
  });
});
