/** Every verb that kubectl names in its help: a script here, or a test beside this one. Kubelets are played. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { type FakeKubelet, startKubelet } from '../../istiod/apiserver/controllers/testing/kubelet.ts';
import { readKubeconfig, startTestServer, TestClient, type TestServer } from '../../istiod/apiserver/testing/client.ts';
import { Kubectl, kubectlPath, skipWithoutKubectl } from '../harness/kubectl.ts';

describe('every verb of kubectl', { skip: skipWithoutKubectl() }, () => {
  let server: TestServer;
  let kubectl: Kubectl;
  let kubelet: FakeKubelet;
  let folder: string;
  before(async () => {
    server = await startTestServer();
    folder = dirname(server.server.kubeconfig);
    kubectl = new Kubectl(server.server.kubeconfig);
    const client = new TestClient(await readKubeconfig(server.server.kubeconfig));
    const fate = (pod: { spec: { containers: { image: string }[] } }) =>
      pod.spec.containers[0]!.image === 'ends' ? 'succeed' : 'run';
    kubelet = await startKubelet(client, ['node-1', 'node-2'], fate);
    await kubectl.ok(['create', 'deployment', 'web', '--image=i', '--replicas=2']);
    await kubectl.ok(['rollout', 'status', 'deploy/web', '--timeout=20s']);
  });
  after(async () => {
    await kubelet.stop();
    await server[Symbol.asyncDispose]();
  });

  const field = (what: readonly string[], path: string) => kubectl.ok(['get', ...what, '-o', `jsonpath={${path}}`]);
  /** What it says where it must fail. */
  const refused = async (args: readonly string[], input = ''): Promise<string> => {
    const { code, stderr } = await kubectl.run(args, input);
    assert.notEqual(code, 0, args.join(' '));
    return stderr;
  };
  const configMap = (name: string, data: object) =>
    JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });

  const scripts: Readonly<Record<string, () => Promise<void>>> = {
    async create() {
      await kubectl.ok(['create', 'clusterrole', 'reader', '--verb=get', '--resource=pods']);
      await kubectl.ok(['create', 'clusterrolebinding', 'reader', '--clusterrole=reader', '--user=jane']);
      await kubectl.ok(['create', 'ingress', 'web', '--rule=a.example/b=web:80']);
      await kubectl.ok(['create', 'poddisruptionbudget', 'web', '--selector=app=web', '--min-available=1']);
      await kubectl.ok(['create', 'priorityclass', 'high', '--value=5']);
      const docker = ['--docker-server=a', '--docker-username=b', '--docker-password=c'];
      await kubectl.ok(['create', 'secret', 'docker-registry', 'pull', ...docker]);
      await kubectl.ok(['create', 'service', 'loadbalancer', 'front', '--tcp=80:80']);
      await kubectl.ok(['create', 'service', 'externalname', 'away', '--external-name=a.example']);
      assert.match(await kubectl.ok(['get', 'service', 'front']), /LoadBalancer +10\.\S+ +<pending> +80:3\d{4}\/TCP/);
      assert.match(await kubectl.ok(['get', 'service', 'away']), /ExternalName +<none> +a\.example/);
      await kubectl.ok(['create', 'cronjob', 'tick', '--image=ends', '--schedule=0 0 1 1 *', '--', 'date']);
      await kubectl.ok(['create', 'job', 'now', '--from=cronjob/tick']);
      await kubectl.ok(['wait', 'job/now', '--for=condition=complete', '--timeout=20s']);
    },
    async run() {
      await kubectl.ok(['run', 'one', '--image=i', '--port=80', '--expose', '--labels=app=one']);
      await kubectl.ok(['wait', 'pod/one', '--for=condition=Ready', '--timeout=20s']);
      assert.equal(await field(['service', 'one'], '.spec.ports[0].port'), '80');
    },
    async expose() {
      await kubectl.ok(['expose', 'deploy/web', '--port=80', '--target-port=8080', '--type=NodePort']);
      assert.match(await kubectl.ok(['get', 'service', 'web']), /NodePort .* 80:3\d{4}\/TCP/);
    },
    async set() {
      await kubectl.ok(['set', 'env', 'deploy/web', 'A=b']);
      assert.match(await kubectl.ok(['set', 'env', 'deploy/web', '--list']), /^A=b$/m);
      await kubectl.ok(['set', 'resources', 'deploy/web', '--limits=cpu=1,memory=1Gi']);
      assert.equal(await field(['deploy', 'web'], '.spec.template.spec.containers[0].resources.limits.cpu'), '1');
      await kubectl.ok(['set', 'selector', 'service/one', 'app=other']);
      assert.equal(await field(['service', 'one'], '.spec.selector.app'), 'other');
      await kubectl.ok(['create', 'serviceaccount', 'runner']);
      await kubectl.ok(['set', 'serviceaccount', 'deploy/web', 'runner']);
      assert.equal(await field(['deploy', 'web'], '.spec.template.spec.serviceAccountName'), 'runner');
      await kubectl.ok(['set', 'subject', 'clusterrolebinding', 'reader', '--group=readers']);
      assert.equal(await field(['clusterrolebinding', 'reader'], '.subjects[*].name'), 'jane readers');
      await kubectl.ok(['set', 'image', 'deploy/web', 'i=j']);
      await kubectl.ok(['rollout', 'status', 'deploy/web', '--timeout=20s']);
    },
    async edit() {
      const editor = { KUBE_EDITOR: "sed -i 's/replicas: 2/replicas: 3/'" };
      assert.match(await kubectl.ok(['edit', 'deploy', 'web'], '', editor), /web edited/);
      assert.equal(await field(['deploy', 'web'], '.spec.replicas'), '3');
    },
    async autoscale() {
      await kubectl.ok(['autoscale', 'deploy', 'web', '--min=1', '--max=3', '--cpu=80%']);
      assert.match(await kubectl.ok(['get', 'hpa', 'web']), /Deployment\/web +cpu: <unknown>\/80% +1 +3/);
    },
    async 'cluster-info'() {
      assert.match(await kubectl.ok(['cluster-info']), /control plane is running at https:/);
      assert.match(await kubectl.ok(['cluster-info', 'dump', '-o', 'json']), /"kind": "ReplicaSetList"/);
    },
    async top() {
      for (const what of ['pods', 'nodes'])
        assert.equal(await refused(['top', what]), 'error: Metrics API not available\n');
    },
    async cordon() {
      await kubectl.ok(['cordon', 'node-1']);
      assert.match(await kubectl.ok(['get', 'node', 'node-1']), /SchedulingDisabled/);
    },
    async drain() {
      const drain = ['drain', 'node-1', '--ignore-daemonsets', '--force', '--timeout=20s'];
      await kubectl.ok(['patch', 'pdb', 'web', '-p', '{"spec":{"minAvailable":"100%"}}']);
      await until(
        'the budget is known',
        async () => (await field(['pdb', 'web'], '.status.disruptionsAllowed')) === '0',
      );
      const blocked = await kubectl.run([...drain.slice(0, -1), '--timeout=2s', '--pod-selector=app=web']);
      const here = await kubectl.ok([
        'get',
        'pods',
        '-l',
        'app=web',
        '--field-selector=spec.nodeName=node-1',
        '-o',
        'name',
      ]);
      if (here !== '') assert.match(blocked.stderr, /Cannot evict pod as it would violate the pod's disruption budget/);
      await kubectl.ok(['patch', 'pdb', 'web', '-p', '{"spec":{"minAvailable":1}}']);
      await kubectl.ok(drain);
      const left = ['get', 'pods', '--field-selector=spec.nodeName=node-1', '-o', 'name'];
      assert.equal(await kubectl.ok(left), '');
    },
    async uncordon() {
      await kubectl.ok(['uncordon', 'node-1']);
      assert.doesNotMatch(await kubectl.ok(['get', 'node', 'node-1']), /SchedulingDisabled/);
    },
    async taint() {
      await kubectl.ok(['taint', 'node', 'node-1', 'disk=slow:NoSchedule']);
      assert.match(await kubectl.ok(['describe', 'node', 'node-1']), /^Taints: +disk=slow:NoSchedule$/m);
      await kubectl.ok(['taint', 'node', 'node-1', 'disk-']);
    },
    async describe() {
      for (const what of ['nodes', 'namespaces', 'services', 'ingresses', 'cronjobs', 'jobs', 'hpa', 'pdb', 'secrets'])
        assert.match(await kubectl.ok(['describe', what]), /^Name: /m, what);
    },
    async debug() {
      await kubectl.ok(['run', 'sick', '--image=i']);
      await kubectl.ok(['debug', 'sick', '--image=d', '--target=sick', '--attach=false']);
      assert.equal(await field(['pod', 'sick'], '.spec.ephemeralContainers[*].image'), 'd');
      await kubectl.ok(['debug', 'sick', '--image=d', '--copy-to=copy', '--attach=false']);
      assert.match(await field(['pod', 'copy'], '.spec.containers[*].image'), /\bd\b/);
      assert.match(await kubectl.ok(['debug', 'node/node-1', '--image=d', '--attach=false']), /node-debugger-node-1/);
    },
    async events() {
      assert.match(await kubectl.ok(['events', '--for=deploy/web']), /ScalingReplicaSet +Deployment\/web/);
      assert.match(await kubectl.ok(['events', '--types=Normal', '-A']), /^default .*Scheduled/m);
    },
    async diff() {
      const { code, stdout } = await kubectl.run(['diff', '-f', '-'], configMap('new', { a: 'b' }));
      assert.equal(code, 1);
      assert.match(stdout, /^\+\s+a: b$/m);
      assert.equal(await kubectl.ok(['get', 'cm', 'new', '--ignore-not-found']), '');
    },
    async replace() {
      assert.match(await refused(['replace', '-f', '-'], configMap('r', {})), /configmaps "r" not found/);
      await kubectl.ok(['create', '-f', '-'], configMap('r', { a: '1', b: '2' }));
      await kubectl.ok(['replace', '-f', '-'], configMap('r', { b: '3' }));
      assert.equal(await field(['cm', 'r'], '.data'), '{"b":"3"}');
      const uid = await field(['cm', 'r'], '.metadata.uid');
      await kubectl.ok(['replace', '--force', '-f', '-'], configMap('r', {}));
      assert.notEqual(await field(['cm', 'r'], '.metadata.uid'), uid);
    },
    async kustomize() {
      const at = join(folder, 'kustomized');
      await mkdir(at);
      await writeFile(join(at, 'kustomization.yaml'), 'namePrefix: my-\nresources: [map.yaml]\n');
      await writeFile(join(at, 'map.yaml'), configMap('settings', { a: 'b' }));
      assert.match(await kubectl.ok(['kustomize', at]), /name: my-settings/);
      await kubectl.ok(['apply', '-k', at]);
      assert.equal(await field(['cm', 'my-settings'], '.data.a'), 'b');
    },
    async wait() {
      await kubectl.ok(['wait', 'deploy/web', '--for=condition=Available', '--timeout=20s']);
      const [, message] = await Promise.all([
        kubectl.ok(['wait', 'cm/my-settings', '--for=delete', '--timeout=20s']),
        kubectl.ok(['delete', 'cm', 'my-settings']),
      ]);
      assert.match(message, /deleted/);
      assert.match(await refused(['wait', 'deploy/web', '--for=condition=Never', '--timeout=1s']), /timed out waiting/);
    },
    async proxy() {
      const child = spawn(kubectlPath(), ['proxy', '--port=0'], { env: kubectl.env });
      try {
        for await (const line of createInterface({ input: child.stdout })) {
          const port = /127\.0\.0\.1:(\d+)/.exec(line)?.[1];
          const answer = await fetch(`http://127.0.0.1:${port}/api/v1/namespaces/default/configmaps/r`);
          assert.equal(((await answer.json()) as { kind: string }).kind, 'ConfigMap');
          break;
        }
      } finally {
        child.kill();
      }
    },
    async config() {
      assert.equal(await kubectl.ok(['config', 'current-context']), 'aquifer\n');
      await kubectl.ok([
        'config',
        'set-context',
        'other',
        '--cluster=aquifer',
        '--user=aquifer',
        '--namespace=kube-system',
      ]);
      assert.equal(await field(['sa', 'default', '--context=other'], '.metadata.namespace'), 'kube-system');
    },
    async kuberc() {
      await kubectl.ok(['kuberc', 'set', '--section=defaults', '--command=get', '--option=output=name']);
      assert.equal(await kubectl.ok(['get', 'deploy']), 'deployment.apps/web\n');
    },
    async completion() {
      assert.match(await kubectl.ok(['completion', 'bash']), /__start_kubectl/);
      assert.match(await kubectl.ok(['__complete', 'get', 'deploy', '']), /^web$/m);
    },
    async plugin() {
      const at = join(folder, 'kubectl-hello');
      await writeFile(at, '#!/bin/sh\nexec echo hello from $KUBECONFIG\n', { mode: 0o755 });
      const path = { PATH: `${folder}:${process.env['PATH']}` };
      assert.match(await kubectl.ok(['hello'], '', path), /^hello from/);
    },
  };

  /** Tests beside this one. */
  const elsewhere = {
    'verbs.test.ts': [
      'explain',
      'get',
      'delete',
      'apply',
      'patch',
      'label',
      'annotate',
      'api-resources',
      'api-versions',
      'version',
    ],
    'workloads.test.ts': ['rollout', 'scale'],
    'auth.test.ts': ['auth', 'certificate'],
    'streams.test.ts': ['logs', 'attach', 'exec', 'port-forward', 'cp'],
  };

  for (const [verb, script] of Object.entries(scripts)) test(verb, script);

  test('no verb is left out', async () => {
    const help = await kubectl.ok(['--help']);
    const verbs = [...help.matchAll(/^ {2}([a-z-]+) {2,}[A-Z]/gm)].map((m) => m[1]!);
    assert.ok(verbs.length > 40, `${verbs.length} verbs`);
    const known = new Set([...Object.keys(scripts), ...Object.values(elsewhere).flat()]);
    assert.deepEqual(
      verbs.filter((v) => !known.has(v)),
      [],
    );
    for (const [file, used] of Object.entries(elsewhere)) {
      const text = readFileSync(join(import.meta.dirname, file), 'utf8');
      assert.deepEqual(
        used.filter((verb) => !text.includes(`'${verb}'`)),
        [],
        file,
      );
    }
  });
});
