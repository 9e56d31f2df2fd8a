/** The real kubectl and the controllers: what users do to workloads, with kubelets that are played. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { type FakeKubelet, startKubelet } from '../../istiod/apiserver/controllers/testing/kubelet.ts';
import { readKubeconfig, startTestServer, TestClient, type TestServer } from '../../istiod/apiserver/testing/client.ts';
import { Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';

const wait = 20_000;

describe('kubectl and workloads', { skip: skipWithoutKubectl() }, () => {
  let server: TestServer;
  let kubectl: Kubectl;
  let kubelet: FakeKubelet;
  before(async () => {
    server = await startTestServer();
    kubectl = new Kubectl(server.server.kubeconfig);
    const client = new TestClient(await readKubeconfig(server.server.kubeconfig));
    kubelet = await startKubelet(client, ['node-1', 'node-2'], (pod) => {
      const { image } = pod.spec.containers[0];
      return image === 'broken' ? 'fail-to-start' : image === 'ends' ? 'succeed' : image === 'fails' ? 'fail' : 'run';
    });
  });
  after(async () => {
    await kubelet.stop();
    await server[Symbol.asyncDispose]();
  });

  test('a Deployment: create, rollout, history, undo, pause, scale, describe, delete', async () => {
    await kubectl.ok(['create', 'deployment', 'web', '--image=nginx:1', '--replicas=4']);
    await kubectl.ok(['rollout', 'status', 'deploy/web', '--timeout=20s']);
    assert.match(await kubectl.ok(['get', 'deploy', 'web']), /^web +4\/4 +4 +4 /m);
    assert.match(await kubectl.ok(['get', 'pods', '-o', 'wide']), /node-1[\s\S]*node-2|node-2[\s\S]*node-1/);
    await kubectl.ok(['set', 'image', 'deploy/web', 'nginx=nginx:2']);
    await kubectl.ok(['rollout', 'status', 'deploy/web', '--timeout=20s']);
    const images = () =>
      kubectl.ok(['get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].spec.containers[0].image}']);
    await until('old pods to be gone', async () => (await images()) === Array(4).fill('nginx:2').join(' '), wait);
    assert.match(await kubectl.ok(['rollout', 'history', 'deploy/web']), /^1 [\s\S]*^2 /m);
    await kubectl.ok(['rollout', 'undo', 'deploy/web']);
    await kubectl.ok(['rollout', 'status', 'deploy/web', '--timeout=20s']);
    await until('the first image', async () => (await images()) === Array(4).fill('nginx:1').join(' '), wait);
    assert.match(await kubectl.ok(['rollout', 'history', 'deploy/web']), /^2 [\s\S]*^3 /m);
    await kubectl.ok(['rollout', 'pause', 'deploy/web']);
    await kubectl.ok(['set', 'image', 'deploy/web', 'nginx=nginx:3']);
    await kubectl.ok(['scale', 'deploy/web', '--replicas=2']);
    await until('two', async () => (await images()) === 'nginx:1 nginx:1', wait);
    await kubectl.ok(['rollout', 'resume', 'deploy/web']);
    await kubectl.ok(['rollout', 'restart', 'deploy/web']);
    await kubectl.ok(['rollout', 'status', 'deploy/web', '--timeout=20s']);
    await until('the third image', async () => (await images()) === 'nginx:3 nginx:3', wait);
    const described = await kubectl.ok(['describe', 'deploy', 'web']);
    assert.match(described, /Available +True +MinimumReplicasAvailable/);
    assert.match(described, /Progressing +True +NewReplicaSetAvailable/);
    assert.match(described, /ScalingReplicaSet .*Scaled up replica set web-\w+ from 0 to 4/);
    await kubectl.ok(['delete', 'deploy', 'web', '--cascade=foreground', '--timeout=20s']);
    assert.equal(await kubectl.ok(['get', 'rs,pods', '-l', 'app=web', '-o', 'name']), '');
  });

  test('an image that never gets ready stops the rollout, and the old pods stay', async () => {
    await kubectl.ok(['create', 'deployment', 'stuck', '--image=good', '--replicas=2']);
    await kubectl.ok(['rollout', 'status', 'deploy/stuck', '--timeout=20s']);
    await kubectl.ok(['patch', 'deploy', 'stuck', '-p', '{"spec":{"progressDeadlineSeconds":1}}']);
    await kubectl.ok(['set', 'image', 'deploy/stuck', 'good=broken']);
    const { code, stderr } = await kubectl.run(['rollout', 'status', 'deploy/stuck', '--timeout=20s']);
    assert.equal(code, 1);
    assert.match(stderr, /exceeded its progress deadline/);
    assert.match(await kubectl.ok(['get', 'deploy', 'stuck']), /^stuck +2\/2 +1 +2 /m);
    await kubectl.ok(['delete', 'deploy', 'stuck']);
  });

  test('a pod that fits nowhere says why, until a node comes', async () => {
    const overrides = JSON.stringify({ spec: { nodeSelector: { disk: 'ssd' } } });
    await kubectl.ok(['run', 'picky', '--image=i', `--overrides=${overrides}`]);
    await until(
      'the event',
      async () =>
        /FailedScheduling .*0\/2 nodes are available: 2 node\(s\) didn't match Pod's node affinity\/selector/.test(
          await kubectl.ok(['describe', 'pod', 'picky']),
        ),
      wait,
    );
    await kubectl.ok(['label', 'node', 'node-2', 'disk=ssd']);
    await kubectl.ok(['wait', 'pod/picky', '--for=condition=Ready', '--timeout=20s']);
    assert.equal(await kubectl.ok(['get', 'pod', 'picky', '-o', 'jsonpath={.spec.nodeName}']), 'node-2');
    await kubectl.ok(['delete', 'pod', 'picky']);
  });

  test('a Service: its endpoints follow the pods; those of others stay', async () => {
    await kubectl.ok(['create', 'deployment', 'shop', '--image=i', '--replicas=3', '--port=80']);
    await kubectl.ok(['expose', 'deploy/shop', '--port=80']);
    await kubectl.ok(['rollout', 'status', 'deploy/shop', '--timeout=20s']);
    const ready = async () => {
      const text = await kubectl.ok(['get', 'endpointslices', '-l', 'kubernetes.io/service-name=shop', '-o', 'json']);
      const { items } = JSON.parse(text) as { items: { endpoints: { conditions: { ready: boolean } }[] }[] };
      return items.flatMap((s) => s.endpoints ?? []).filter((e) => e.conditions.ready).length;
    };
    await until('three endpoints', async () => (await ready()) === 3, wait);
    assert.match(await kubectl.ok(['get', 'endpoints', 'shop']), /10\.244\.\d+\.\d+:80/);
    assert.match(await kubectl.ok(['describe', 'service', 'shop']), /Endpoints: +10\.244/);
    await kubectl.ok(['scale', 'deploy/shop', '--replicas=1']);
    await until('one endpoint', async () => (await ready()) === 1, wait);
    const theirs = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'theirs' }, spec: { ports: [{ port: 80 }] } };
    const own = {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name: 'theirs' },
      subsets: [{ addresses: [{ ip: '192.0.2.1' }], ports: [{ port: 80 }] }],
    };
    await kubectl.ok(['apply', '-f', '-'], `${JSON.stringify(theirs)}\n---\n${JSON.stringify(own)}`);
    const mirrors = () =>
      kubectl.ok([
        'get',
        'endpointslices',
        '-l',
        'kubernetes.io/service-name=theirs',
        '-o',
        'jsonpath={.items[*].endpoints[*].addresses}',
      ]);
    await until('the mirror', async () => (await mirrors()) === '["192.0.2.1"]', wait);
    await kubectl.ok(['delete', 'service', 'shop', 'theirs']);
    await until(
      'nothing is left',
      async () => !/shop|theirs/.test(await kubectl.ok(['get', 'endpointslices,endpoints', '-o', 'name'])),
      wait,
    );
    await kubectl.ok(['delete', 'deploy', 'shop']);
  });

  const workload = (kind: string, name: string, spec: object, over: object = {}) =>
    JSON.stringify({
      apiVersion: kind === 'Job' ? 'batch/v1' : 'apps/v1',
      kind,
      metadata: { name },
      spec: {
        ...(kind === 'Job' ? {} : { selector: { matchLabels: { app: name } } }),
        template: {
          metadata: { labels: { app: name } },
          spec: { containers: [{ name: 'c', image: 'i' }], ...over },
        },
        ...spec,
      },
    });
  const podsOf = (name: string, path: string) =>
    kubectl.ok(['get', 'pods', '-l', `app=${name}`, '--sort-by=.metadata.name', '-o', `jsonpath={.items[*]${path}}`]);

  test('a DaemonSet: a pod on each node, rolled node by node, with history', async () => {
    await kubectl.ok(['apply', '-f', '-'], workload('DaemonSet', 'agent', {}));
    await kubectl.ok(['rollout', 'status', 'ds/agent', '--timeout=20s']);
    assert.deepEqual((await podsOf('agent', '.spec.nodeName')).split(' ').sort(), ['node-1', 'node-2']);
    await kubectl.ok(['set', 'image', 'ds/agent', 'c=j']);
    await kubectl.ok(['rollout', 'status', 'ds/agent', '--timeout=20s']);
    assert.equal(await podsOf('agent', '.spec.containers[0].image'), 'j j');
    await kubectl.ok(['rollout', 'undo', 'ds/agent']);
    await kubectl.ok(['rollout', 'status', 'ds/agent', '--timeout=20s']);
    assert.equal(await podsOf('agent', '.spec.containers[0].image'), 'i i');
    const surge = { spec: { updateStrategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } } };
    await kubectl.ok(['patch', 'ds', 'agent', '-p', JSON.stringify(surge)]);
    await kubectl.ok(['rollout', 'restart', 'ds/agent']);
    await kubectl.ok(['rollout', 'status', 'ds/agent', '--timeout=20s']);
    await kubectl.ok(['delete', 'ds', 'agent']);
  });

  test('a StatefulSet: names that stay, one after the other, from the last when it rolls', async () => {
    await kubectl.ok(['apply', '-f', '-'], workload('StatefulSet', 'db', { serviceName: 'db', replicas: 3 }));
    await kubectl.ok(['rollout', 'status', 'sts/db', '--timeout=20s']);
    assert.equal(await podsOf('db', '.metadata.name'), 'db-0 db-1 db-2');
    assert.equal(await podsOf('db', '.spec.hostname'), 'db-0 db-1 db-2');
    await kubectl.ok(['patch', 'sts', 'db', '-p', '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":2}}}}']);
    await kubectl.ok(['set', 'image', 'sts/db', 'c=j']);
    await kubectl.ok(['rollout', 'status', 'sts/db', '--timeout=20s']);
    await until('the last only', async () => (await podsOf('db', '.spec.containers[0].image')) === 'i i j', wait);
    await kubectl.ok(['patch', 'sts', 'db', '-p', '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}']);
    await kubectl.ok(['rollout', 'status', 'sts/db', '--timeout=20s']);
    await until('all', async () => (await podsOf('db', '.spec.containers[0].image')) === 'j j j', wait);
    await kubectl.ok(['scale', 'sts/db', '--replicas=1']);
    await until('one', async () => (await podsOf('db', '.metadata.name')) === 'db-0', wait);
    await kubectl.ok(['delete', 'sts', 'db']);
  });

  test('Jobs: complete, fail, and Indexed ones', async () => {
    const never = (image: string) => ({ restartPolicy: 'Never', containers: [{ name: 'c', image }] });
    await kubectl.ok(['apply', '-f', '-'], workload('Job', 'good', { completions: 4, parallelism: 2 }, never('ends')));
    await kubectl.ok(['wait', 'job/good', '--for=condition=complete', '--timeout=20s']);
    assert.match(await kubectl.ok(['get', 'job', 'good']), /^good +Complete +4\/4 /m);
    assert.match(await kubectl.ok(['describe', 'job', 'good']), /Pods Statuses: +0 Active .* 4 Succeeded \/ 0 Failed/);
    await kubectl.ok(['apply', '-f', '-'], workload('Job', 'bad', { backoffLimit: 0 }, never('fails')));
    await kubectl.ok(['wait', 'job/bad', '--for=condition=failed', '--timeout=20s']);
    const indexed = { completions: 3, parallelism: 3, completionMode: 'Indexed' };
    await kubectl.ok(['apply', '-f', '-'], workload('Job', 'indexed', indexed, never('ends')));
    await kubectl.ok(['wait', 'job/indexed', '--for=condition=complete', '--timeout=20s']);
    assert.equal(await kubectl.ok(['get', 'job', 'indexed', '-o', 'jsonpath={.status.completedIndexes}']), '0-2');
    await kubectl.ok(['delete', 'job', 'good', 'bad', 'indexed']);
    await until(
      'no pods',
      async () => (await kubectl.ok(['get', 'pods', '-l', 'job-name', '-o', 'name'])) === '',
      wait,
    );
  });
});
