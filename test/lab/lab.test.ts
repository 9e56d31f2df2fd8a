/** The lab without the mesh: what pods, Services, names, probes and restarts do, and what is left afterwards. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { decodeJwt } from 'jose';
import { configMapKind, type Pod, podKind, type Service, serviceKind } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import { cleanUp } from '../../lab/cleanup.ts';
import { Lab, type LabApi } from '../../lab/index.ts';
import { countBytes, readTcp } from '../../lab/pcap.ts';
import { cgroupRoot, trySignal } from '../../lab/system/cgroup.ts';
import { netnsList } from '../../lab/system/netns.ts';
import { labName } from '../harness/lab-name.ts';
import { skipUnless } from '../harness/require.ts';
import { basics, endings, namespace, volumes } from './manifests.ts';

const needed = skipUnless('root', 'program:ip', 'program:nft', 'program:nsenter', 'program:tcpdump');

const own = labName('labtest');
const other = labName('labtwo');

interface Facts {
  readonly pod: string;
  readonly peer: { readonly address: string };
  readonly local: { readonly address: string };
}

describe('a lab of two nodes without the mesh', { skip: needed }, () => {
  let lab: LabApi;
  const near = { namespace, name: 'near' };

  before(async () => {
    lab = await Lab.up({ name: own, nodes: 2, mesh: false, manifests: [basics] });
    await lab.waitReady();
  });
  after(() => Lab.down(own));

  const pod = async (name: string): Promise<Pod> => {
    const found = await lab.kube.get(podKind, { namespace, name });
    assert.ok(found, `pod ${name}`);
    return found;
  };
  const service = async (name: string): Promise<Service> => {
    const found = await lab.kube.get(serviceKind, { namespace, name });
    assert.ok(found, `Service ${name}`);
    return found;
  };
  const sh = async (name: string, script: string): Promise<string> => {
    const result = await lab.exec({ namespace, name }, ['sh', '-c', script]);
    assert.equal(result.code, 0, `${script}: ${result.stderr}`);
    return result.stdout.trim();
  };
  const call = async (from: string, url: string): Promise<Facts> =>
    JSON.parse(await sh(from, `curl -sS -g --max-time 3 ${url}`)) as Facts;

  test("pods are spread over the nodes and have an address of each family of their node's range", async () => {
    const pods = await lab.podsOf(`${namespace}/echo`);
    assert.deepEqual(pods.map((p) => p.spec.nodeName).sort(), ['node-1', 'node-2']);
    for (const p of pods) {
      const [v4, v6] = p.status?.podIPs?.map((x) => x.ip) ?? [];
      const node = p.spec.nodeName!.slice(-1);
      assert.match(v4!, new RegExp(`^10\\.244\\.${node}\\.\\d+$`));
      assert.match(v6!, new RegExp(`^fd00:10:244:${node}::`));
      assert.equal(p.status?.podIP, v4);
      assert.equal(p.metadata.ownerReferences?.[0]?.kind, 'ReplicaSet');
      assert.ok(p.metadata.name.startsWith(`${p.metadata.ownerReferences?.[0]?.name}-`));
    }
  });

  test('a pod reaches pods on both nodes in both families, and they see its own address', async () => {
    const from = (await pod('near')).status?.podIPs?.map((x) => x.ip) ?? [];
    for (const target of await lab.podsOf(`${namespace}/echo`)) {
      for (const { ip } of target.status?.podIPs ?? []) {
        const facts = await call('near', ip.includes(':') ? `http://[${ip}]:8080` : `http://${ip}:8080`);
        assert.equal(facts.pod, target.metadata.name);
        assert.ok(from.includes(facts.peer.address), `${facts.peer.address} of ${from}`);
      }
    }
  });

  test('a Service address leads to all of its pods, in both families', async () => {
    const ips = (await service('echo')).spec.clusterIPs ?? [];
    assert.equal(ips.length, 2);
    for (const ip of ips) {
      const answered = new Set<string>();
      for (let i = 0; i < 40 && answered.size < 2; i++) {
        answered.add((await call('far', ip.includes(':') ? `http://[${ip}]` : `http://${ip}`)).pod);
      }
      assert.equal(answered.size, 2, ip);
    }
  });

  test('a pod reaches itself through its Service', async () => {
    const [one] = await lab.podsOf(`${namespace}/echo`);
    const self = { namespace, name: one!.metadata.name };
    for (const ip of (await service('echo')).spec.clusterIPs ?? []) {
      const url = ip.includes(':') ? `http://[${ip}]` : `http://${ip}`;
      for (let i = 0, hit = false; !hit; i++) {
        assert.ok(i < 60, `${ip} never led back to the pod`);
        const { code, stdout, stderr } = await lab.exec(self, ['curl', '-sS', '-g', '--max-time', '3', url]);
        assert.equal(code, 0, stderr);
        hit = (JSON.parse(stdout) as Facts).pod === self.name;
      }
    }
  });

  test('UDP goes through a Service too', async () => {
    const [v4] = (await service('echo')).spec.clusterIPs ?? [];
    const script = `exec 3<>/dev/udp/${v4}/90; echo marker >&3; timeout 3 head -c 6 <&3`;
    const result = await lab.exec(near, ['bash', '-c', script]);
    assert.equal(result.stdout.trim(), 'marker', result.stderr);
  });

  test('a Service without ready pods refuses at once', async () => {
    await lab.apply(`
apiVersion: v1
kind: Service
metadata: { name: empty, namespace: ${namespace} }
spec: { selector: { app: nobody }, ports: [{ port: 80 }] }
`);
    await lab.waitReady();
    for (const ip of (await service('empty')).spec.clusterIPs ?? []) {
      const began = performance.now();
      const url = ip.includes(':') ? `http://[${ip}]` : `http://${ip}`;
      const { code } = await lab.exec(near, ['curl', '-sS', '-g', '--max-time', '5', url]);
      assert.equal(code, 7, 'curl: connection refused');
      assert.ok(performance.now() - began < 2000);
    }
  });

  test('names resolve as in Kubernetes, and names that do not exist say so', async () => {
    for (const name of ['echo', `echo.${namespace}`, `echo.${namespace}.svc`, `echo.${namespace}.svc.cluster.local`]) {
      const addresses = await sh('near', `getent ahosts ${name} | cut -d' ' -f1 | sort -u`);
      assert.deepEqual(addresses.split('\n').sort(), [...((await service('echo')).spec.clusterIPs ?? [])].sort(), name);
    }
    const each = (await sh('near', "getent ahosts each | cut -d' ' -f1 | sort -u")).split('\n');
    const pods = await lab.podsOf(`${namespace}/echo`);
    assert.deepEqual(each.sort(), pods.flatMap((p) => p.status?.podIPs?.map((x) => x.ip) ?? []).sort());
    const began = performance.now();
    assert.equal((await lab.exec(near, ['getent', 'hosts', 'nowhere.example'])).code, 2);
    assert.ok(performance.now() - began < 2000, 'no waiting for a server that does not answer');
  });

  test('volumes, variables, init containers, users and tokens are as the manifest says', async () => {
    await lab.apply(volumes);
    await lab.waitReady();
    const { status, metadata, spec } = await pod('volumes');
    assert.equal(await sh('volumes', 'cat /shared/init'), 'hello from init');
    assert.equal(await sh('volumes', 'id -u; id -g; pwd; hostname'), '1234\n1234\n/work/here\nchosen');
    assert.equal(await sh('volumes', 'echo $BOTH'), `${spec.nodeName}/${status?.podIP}`);
    assert.equal(await sh('volumes', 'cat /etc/app/conf/greeting /etc/app/site.txt'), 'helloone');
    assert.equal(
      await sh('volumes', 'cat /secret/password; echo; cat /var/run/secrets/tokens/labels'),
      'hunter2\ncolor="blue"',
    );
    assert.notEqual((await lab.exec({ namespace, name: 'volumes' }, ['touch', '/secret/x'])).code, 0);
    const token = decodeJwt(await sh('volumes', 'cat /var/run/secrets/tokens/istio-token'));
    assert.deepEqual(token.aud, ['istio-ca']);
    assert.equal(token.sub, `system:serviceaccount:${namespace}:default`);
    assert.deepEqual((token['kubernetes.io'] as { pod: unknown }).pod, { name: 'volumes', uid: metadata.uid });
    assert.equal(await sh('volumes', 'cat /var/run/secrets/kubernetes.io/serviceaccount/namespace'), namespace);
  });

  test('what a container writes stays its own', async () => {
    await sh(
      'near',
      'echo x > /etc/aquifer-lab-test && echo x > /usr/aquifer-lab-test && echo x > /tmp/aquifer-lab-test',
    );
    for (const path of ['/etc', '/usr', '/tmp']) assert.equal(existsSync(join(path, 'aquifer-lab-test')), false, path);
    assert.equal((await lab.exec({ namespace, name: 'far' }, ['ls', '/etc/aquifer-lab-test'])).code, 2);
  });

  test('a changed ConfigMap reaches the pods that mount it', async () => {
    await lab.apply(volumes.replace('greeting: hello', 'greeting: goodbye'));
    await until('the new greeting', async () => (await sh('volumes', 'cat /etc/app/conf/greeting')) === 'goodbye');
  });

  test('containers restart with back-off, pods may end, and probes decide about readiness and life', async (t) => {
    // Also after a failure: these pods are never all ready, which the next tests wait for.
    t.after(() => lab.delete(endings).catch(() => undefined));
    await lab.apply(endings);
    const container = async (name: string) => (await pod(name)).status?.containerStatuses?.[0];
    await until('a restart', async () => ((await container('crashing'))?.restartCount ?? 0) >= 1);
    assert.match((await lab.logs({ namespace, name: 'crashing' })).trim(), /^started\nstarted/);
    await until('its failure', async () => (await pod('ending')).status?.phase === 'Failed');
    assert.deepEqual((await container('ending'))?.restartCount, 0);
    await until('readiness', async () => (await container('alive'))?.ready === true);
    await sh('alive', 'rm /tmp/ready');
    await until('unreadiness', async () => (await container('alive'))?.ready === false);
    await sh('alive', 'rm /tmp/alive');
    await until('a restart by liveness', async () => (await container('alive'))?.restartCount === 1);
    await lab.delete(endings);
    await until('the end of the pods', async () =>
      (await lab.pods()).every((p) => !['crashing', 'alive', 'ending'].includes(p.metadata.name)),
    );
  });

  test('a new template replaces the pods without a lost call', async () => {
    const beforehand = (await lab.podsOf(`${namespace}/echo`)).map((p) => p.metadata.name);
    const client = await lab.spawn(near, [
      'sh',
      '-c',
      'while :; do curl -s -o /dev/null -w "%{http_code}\\n" --max-time 2 --retry 0 http://echo; done',
    ]);
    let codes = '';
    client.stdout.setEncoding('utf8').on('data', (text: string) => {
      codes += text;
    });
    await until('calls', () => codes.length > 40);
    await lab.apply(basics.replace('labels: { app: echo } }', 'labels: { app: echo, version: two } }'));
    await until(
      'new pods',
      async () => {
        const pods = (await lab.podsOf(`${namespace}/echo`)).map((p) => p.metadata.name);
        return pods.length === 2 && pods.every((name) => !beforehand.includes(name));
      },
      60_000,
    );
    await lab.waitReady(60_000);
    client.kill('SIGKILL');
    await client.exited;
    const all = codes.trim().split('\n');
    // nothing drains here as the mesh would: a connection may meet the end of its server, but not more than that.
    const lost = all.filter((c) => c !== '200').length;
    assert.ok(lost <= 2, `${lost} of ${all.length} calls were lost`);
  });

  test('a capture of the link holds what crosses it, once', async () => {
    const marker = 'b1946ac92492d2347c6235b4d2611184';
    const target = (await lab.podsOf(`${namespace}/echo`)).find((p) => p.spec.nodeName === 'node-2')!;
    const capture = await lab.capture('tcp');
    await sh('near', `curl -sS --max-time 3 http://${target.status?.podIP}:8080/${marker}`);
    await sh('far', `curl -sS --max-time 3 http://${target.status?.podIP}:8080/within-the-node`);
    await capture.stop();
    const pcap = readFileSync(capture.file);
    // In the request, and in the answer that repeats its path.
    assert.equal(countBytes(pcap, Buffer.from(marker)), 2);
    assert.equal(countBytes(pcap, Buffer.from('within-the-node')), 0);
    assert.ok(readTcp(pcap).every((s) => s.source.port === 8080 || s.destination.port === 8080));
  });

  test('what the lab does not honour is refused with its place, and nothing of it is applied', async () => {
    const yaml = `apiVersion: v1
kind: ConfigMap
metadata: { name: not-applied, namespace: ${namespace} }
---
apiVersion: v1
kind: Pod
metadata: { name: refused, namespace: ${namespace} }
spec:
  hostUsers: false
  containers: [{ name: c, image: mysql }]
`;
    await assert.rejects(lab.apply(yaml), (e: Error) => {
      assert.match(e.message, /^manifest:9:14: Pod t\/refused: spec\.hostUsers: a lab does not honour this field/m);
      assert.match(e.message, /Pod t\/refused: spec\.containers\[0\]\.image: image "mysql" is not in the lab's table/);
      return true;
    });
    assert.equal(await lab.kube.get(configMapKind, { namespace, name: 'not-applied' }), undefined);
  });

  test('what the API server refuses is told with its place', async () => {
    const yaml = 'apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: x, namespace: nowhere }\n';
    await assert.rejects(
      lab.apply(yaml),
      /^MeshError: manifest:1:1: ServiceAccount nowhere\/x: namespaces "nowhere" not found/,
    );
  });

  test("a process that is executed into a pod is in the pod's cgroup and namespaces", async () => {
    const { uid } = (await pod('near')).metadata;
    assert.match(await sh('near', 'cat /proc/self/cgroup'), new RegExp(`^0::.*/node-1/kubepods/pod${uid}/tool$`, 'm'));
    const { code, stdout } = await lab.exec(near, ['cat', '/dev/stdin'], { stdin: 'through a file' });
    assert.deepEqual({ code, stdout }, { code: 0, stdout: 'through a file' });
    await assert.rejects(lab.exec(near, ['sleep', '9'], { timeout: 100 }), /sleep 9: no end within 100 ms/);
  });

  test('a second lab runs beside the first and leaves it alone', async () => {
    const second = await Lab.up({ name: other, nodes: 1, mesh: false });
    assert.deepEqual(
      (await Lab.names()).filter((n) => n === own || n === other),
      [own, other].sort(),
    );
    await second.down();
    assertGone(other);
    assert.equal((await call('near', 'http://echo')).pod.startsWith('echo-'), true);
  });
});

describe('the end of a lab', { skip: needed }, () => {
  const name = labName('labend');
  after(() => cleanUp(name));

  test('down leaves nothing', async () => {
    const lab = await Lab.up({ name, nodes: 2, mesh: false, manifests: [basics] });
    await lab.waitReady();
    await lab.down();
    assertGone(name);
  });

  test('a lab whose daemon was killed is cleaned by the next up', async () => {
    const first = await Lab.up({ name, nodes: 1, mesh: false, manifests: [basics.replaceAll('node-2', 'node-1')] });
    await first.waitReady();
    const daemon = await first.daemon();
    trySignal(daemon!, 'SIGKILL');
    await until('the end of the daemon', async () => (await first.daemon()) === undefined);
    const second = await Lab.up({ name, nodes: 1, mesh: false });
    assert.notEqual(await second.daemon(), daemon);
    assert.deepEqual(await second.pods(), []);
    await second.down();
    assertGone(name);
  });
});

function assertGone(lab: string): void {
  assert.deepEqual(netnsList(`aq-${lab}-`), []);
  assert.equal(existsSync(join(cgroupRoot(), `aquifer-${lab}`)), false);
  assert.equal(existsSync(join('/run/aquifer', lab)), false);
  assert.equal(readFileSync('/proc/self/mountinfo', 'utf8').includes(`/run/aquifer/${lab}/`), false);
}
