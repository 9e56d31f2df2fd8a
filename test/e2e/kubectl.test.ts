/** The real kubectl against a lab: what it applies runs, and its users see and enter it as in a cluster. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { Lab, type LabApi } from '../../lab/index.ts';
import { Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';
import { labName } from '../harness/lab-name.ts';
import { skipUnless } from '../harness/require.ts';

const needed = skipWithoutKubectl() || skipUnless('root', 'program:ip', 'program:nft', 'program:nsenter');
const name = labName('kubectl');

const manifests = `
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: greeting, namespace: shop }
data: { word: hello }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: echo
          image: aquifer/echo
          ports: [{ name: http, containerPort: 8080 }]
          readinessProbe: { tcpSocket: { port: http }, periodSeconds: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { selector: { app: web }, ports: [{ port: 80, targetPort: http }] }
---
apiVersion: v1
kind: Pod
metadata: { name: talker, namespace: shop }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: debian
      command: [sh, -c, 'cat /etc/greeting/word; echo; mkfifo /tmp/in; while :; do cat /tmp/in; done']
      volumeMounts: [{ name: greeting, mountPath: /etc/greeting }]
  volumes: [{ name: greeting, configMap: { name: greeting } }]
`;

describe('kubectl and the pods of a lab', { skip: needed }, () => {
  let lab: LabApi;
  let kubectl: Kubectl;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'aquifer-kubectl-'));
    lab = await Lab.up({ name, nodes: 2, mesh: false });
    kubectl = new Kubectl(lab.kubeconfig);
    await kubectl.ok(['config', 'set-context', '--current', '--namespace=shop']);
  });
  after(async () => {
    await Lab.down(name);
    await rm(folder, { recursive: true });
  });

  test('apply, then wait until all runs, spread over the nodes', async () => {
    await kubectl.ok(['apply', '-f', '-'], manifests);
    await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    await kubectl.ok(['wait', '--for=condition=Ready', 'pod/talker', '--timeout=60s']);
    const nodes = await kubectl.ok(['get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].spec.nodeName}']);
    assert.deepEqual(nodes.split(' ').sort(), ['node-1', 'node-2']);
    assert.match(await kubectl.ok(['get', 'nodes']), /^node-1 +Ready/m);
  });

  test('logs -f shows what comes', async () => {
    const following = kubectl.start(['logs', '-f', 'talker']);
    let seen = '';
    following.stdout!.on('data', (chunk) => {
      seen += String(chunk);
    });
    await until('what was said before', () => seen === 'hello\n');
    await kubectl.ok(['exec', 'talker', '--', 'sh', '-c', 'echo later > /tmp/in']);
    await until('the new line', () => seen === 'hello\nlater\n');
    following.kill();
  });

  test('exec -it: a shell in the pod, on a terminal', async () => {
    const { terminal, shown, code } = kubectl.type(['exec', '-it', 'talker', '--', 'sh']);
    await until('a prompt', () => /[#$] $/.test(shown.text), 15_000);
    terminal.write('hostname; stty size; ip -4 -o addr show eth0 | grep -o "10[.]244[.][0-9.]*"\r');
    await until('the pod', () => /talker\r\n33 101\r\n10\.244\.[12]\.\d+/.test(shown.text), 15_000);
    terminal.write('exit 3\r');
    assert.equal(await code, 3, shown.text);
    terminal.destroy();
  });

  test('cp, into the pod and back', async () => {
    const [from, back] = [join(folder, 'from'), join(folder, 'back')];
    const content = 'y'.repeat(200_000);
    await writeFile(from, content);
    await kubectl.ok(['cp', from, 'talker:/root/copied']);
    assert.equal(await kubectl.ok(['exec', 'talker', '--', 'wc', '-c', '/root/copied']), '200000 /root/copied\n');
    await kubectl.ok(['cp', 'talker:/root/copied', back]);
    assert.equal(await readFile(back, 'utf8'), content);
  });

  test('port-forward, to a pod by its Service', async () => {
    const forward = kubectl.start(['port-forward', 'service/web', ':80']);
    let said = '';
    for (const stream of [forward.stdout!, forward.stderr!]) {
      stream.on('data', (chunk) => {
        said += String(chunk);
      });
    }
    const port = await until('forwarding', () => /127\.0\.0\.1:(\d+) -> 8080/.exec(said)?.[1], 15_000);
    const facts = (await (await fetch(`http://127.0.0.1:${port}/`)).json()) as { readonly pod: string };
    assert.match(facts.pod, /^web-/);
    forward.kill();
  });

  test('rollout: a new version replaces the pods, undo brings the old one back', async () => {
    const pods = async () => (await lab.podsOf('shop/web')).map((p) => p.metadata.name);
    const template = async () => (await lab.podsOf('shop/web'))[0]?.spec.containers[0]?.env;
    const before = await pods();
    await kubectl.ok(['set', 'env', 'deployment/web', 'VERSION=two']);
    await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    assert.deepEqual(await template(), [{ name: 'VERSION', value: 'two' }]);
    assert.ok((await pods()).every((p) => !before.includes(p)));
    await kubectl.ok(['rollout', 'undo', 'deployment/web']);
    await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    assert.equal(await template(), undefined);
    assert.match(await kubectl.ok(['rollout', 'history', 'deployment/web']), /^3 /m);
  });

  test('a pod asks the API server with its own token', async () => {
    const script = `
      account=/var/run/secrets/kubernetes.io/serviceaccount
      curl -sS --cacert $account/ca.crt -H "Authorization: Bearer $(cat $account/token)" \\
        https://kubernetes.default.svc/api/v1/namespaces/$(cat $account/namespace)/pods`;
    const refused = await kubectl.ok(['exec', 'talker', '--', 'sh', '-c', script]);
    assert.match(refused, /system:serviceaccount:shop:default.* cannot list resource/);
    await kubectl.ok(['create', 'rolebinding', 'readers', '--clusterrole=view', '--serviceaccount=shop:default']);
    const list = JSON.parse(await kubectl.ok(['exec', 'talker', '--', 'sh', '-c', script])) as { kind: string };
    assert.equal(list.kind, 'PodList');
  });

  test('an API server that is killed comes back with all that it had, and pods run on', async () => {
    const facts = ['get', 'pod', 'talker', '-o', 'jsonpath={.metadata.uid} {.status.containerStatuses[0].containerID}'];
    const before = await kubectl.ok(facts);
    const old = await lab.pid('istiod');
    await lab.kill('istiod');
    await until('another server', async () => (await lab.pid('istiod').catch(() => old)) !== old, 20_000);
    await until('an answer', async () => (await kubectl.run(facts)).stdout === before, 60_000);
    await kubectl.ok(['scale', 'deployment/web', '--replicas=3']);
    await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    assert.equal((await lab.podsOf('shop/web')).length, 3);
  });

  test('delete: pods end, and a namespace goes with all that it has', async () => {
    await kubectl.ok(['delete', 'pod', 'talker', '--timeout=30s']);
    assert.match((await kubectl.run(['get', 'pod', 'talker'])).stderr, /NotFound/);
    await kubectl.ok(['delete', 'namespace', 'shop', '--timeout=60s']);
    assert.deepEqual(await lab.pods(), []);
  });
});
